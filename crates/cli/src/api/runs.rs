//! `/v1/runs`.

use std::pin::Pin;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use dormouse_engine::command::CommandSpec;
use dormouse_engine::run::{OutcomeKind, RunFilter, RunState};
use dormouse_engine::supervisor::{Force, OnGate};
use dormouse_engine::task::NewTask;
use dormouse_engine::transcript::{Followed, Follower, TranscriptLogs};
use dormouse_engine::{AgentName, CommandError, RunId, Subject, TaskId};
use dormouse_filesystem::Segment;
use futures::Stream;
use serde::Deserialize;

use super::Paging;
use super::body::{self, Json, List, Named, Parameters};
use super::house::{Asker, House, Start};
use super::refusal::{self, Answered};
use super::stream;
use super::view::{ChunkView, RunView};
use crate::problem::{Code, Problem};

/// Longest wait for the end of a run in one request.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// A task that is there, or what a new one is made of.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    task: Option<String>,
    agent: Option<AgentName>,
    title: Option<String>,
    command: Option<CommandSpec>,
    #[serde(default)]
    on_gate: OnGate,
}

pub(super) async fn create(State(house): State<House>, asker: Asker, Json(wanted): Json<Wanted>) -> Answered {
    let start = match (wanted.task, wanted.agent, wanted.title, wanted.command) {
        (Some(task), None, None, None) => Start::Task(asker.tenant.tasks.resolve(&task).await?),
        (None, Some(agent), Some(title), Some(command)) => Start::New(Box::new(NewTask {
            command: Some(command),
            ..NewTask::new(agent, title)
        })),
        _ => {
            return Err(Problem::new(
                Code::BadRequest,
                "task, or agent, title and command of a new one: one of the two is taken",
            ));
        }
    };
    let run = match begun(&asker).await? {
        // Its answer was lost.
        Begun::Run(run) => run,
        // The owner of the store died between the two: it is begun now.
        Begun::Task(task) => house.start(&asker, Start::Task(task), wanted.on_gate).await?,
        Begun::Nothing => house.start(&asker, start, wanted.on_gate).await?,
    };
    show(&asker, run, StatusCode::CREATED).await
}

/// How far a request came that is asked again under its key.
enum Begun {
    Nothing,
    Task(TaskId),
    Run(RunId),
}

async fn begun(asker: &Asker) -> Result<Begun, Problem> {
    let mut begun = Begun::Nothing;
    for done in &asker.done_so_far {
        match done {
            Subject::Run(run) => return Ok(Begun::Run(*run)),
            Subject::Task(task) => begun = Begun::Task(*task),
            _ => {}
        }
    }
    if let Begun::Task(task) = begun
        && let Some(run) = asker.tenant.tasks.get(task).await?.last_run
    {
        return Ok(Begun::Run(run));
    }
    Ok(begun)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    agent: Option<AgentName>,
    task: Option<String>,
    outcome: Option<OutcomeKind>,
    limit: Option<usize>,
    cursor: Option<String>,
}

pub(super) async fn list(asker: Asker, Parameters(filter): Parameters<Filter>) -> Answered {
    let paging = Paging {
        limit: filter.limit,
        cursor: filter.cursor,
    };
    let filter = match (filter.agent, filter.task, filter.outcome) {
        (None, None, None) => RunFilter::All,
        (Some(agent), None, None) => RunFilter::Agent(agent),
        (None, Some(task), None) => RunFilter::Task(asker.tenant.tasks.resolve(&task).await?),
        (None, None, Some(outcome)) => RunFilter::Outcome(outcome),
        _ => {
            return Err(Problem::new(
                Code::BadRequest,
                "agent, task and outcome: one of them is taken",
            ));
        }
    };
    let page = asker
        .tenant
        .runs
        .list(&filter, paging.cursor(), paging.limit()?)
        .await?;
    refusal::whole(&page.issues)?;
    let items = page.rows.iter().map(RunView::of).collect::<Vec<_>>();
    Ok(body::json(
        StatusCode::OK,
        &List {
            items,
            next_cursor: page.next.map(|cursor| cursor.to_string()),
        },
    ))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Look {
    /// Answer when it has ended, or after [`WAIT_MAX`].
    #[serde(default)]
    wait: bool,
}

pub(super) async fn get(
    State(house): State<House>,
    asker: Asker,
    Named(id): Named,
    Parameters(look): Parameters<Look>,
) -> Answered {
    let id = asker.tenant.runs.resolve(&id).await?;
    if look.wait && tokio::time::timeout(WAIT_MAX, house.ended(id)).await.is_ok() {
        return show_ended(&asker, id).await;
    }
    show(&asker, id, StatusCode::OK).await
}

/// A run that nobody here is at any more. Its row has the outcome, unless the store did not take it.
async fn show_ended(asker: &Asker, id: RunId) -> Answered {
    let row = asker.tenant.runs.get(id).await?;
    // A parked run has not ended, and nobody is at it.
    if row.outcome.is_none() && row.run.state != RunState::Waiting {
        let detail =
            format!("how run {id} ended is not known: nobody is at it, and its end was not recorded");
        return Err(Problem::new(Code::Unknown, detail).hint(format!(
            "the next owner of the store ends it: once this one has left, see dormouse runs show {id}"
        )));
    }
    Ok(body::item(
        StatusCode::OK,
        row.run.version().get(),
        &RunView::of(&row),
    ))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cancel {
    #[serde(default)]
    force: bool,
}

/// Cancels a run, and with it its task: an attempt that somebody stopped is not tried again.
pub(super) async fn cancel(
    State(house): State<House>,
    asker: Asker,
    Named(id): Named,
    Json(cancel): Json<Cancel>,
) -> Answered {
    let id = asker.tenant.runs.resolve(&id).await?;
    let force = if cancel.force {
        Force::Kill
    } else {
        Force::Cooperative
    };
    let row = house.cancel(&asker, id, force).await?;
    Ok(body::item(
        StatusCode::ACCEPTED,
        row.run.version().get(),
        &RunView::of(&row),
    ))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Said {
    text: String,
}

/// Says something more to the worker of a run, behind its turn.
pub(super) async fn send(
    State(house): State<House>,
    asker: Asker,
    Named(id): Named,
    Json(said): Json<Said>,
) -> Answered {
    let id = asker.tenant.runs.resolve(&id).await?;
    house.send(&asker, id, &said.text).await?;
    show(&asker, id, StatusCode::ACCEPTED).await
}

async fn show(asker: &Asker, id: RunId, status: StatusCode) -> Result<Response, Problem> {
    let row = asker.tenant.runs.get(id).await?;
    Ok(body::item(status, row.run.version().get(), &RunView::of(&row)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    #[serde(default)]
    from: u64,
    #[serde(default)]
    follow: bool,
}

/// What a run printed, as JSON lines: what there is, or on until it ends.
pub(super) async fn log(
    State(house): State<House>,
    asker: Asker,
    Named(id): Named,
    Parameters(log): Parameters<Log>,
) -> Answered {
    let id = asker.tenant.runs.resolve(&id).await?;
    asker.tenant.runs.get(id).await?;
    let follower = if log.follow {
        house.follow(&asker, id, log.from)
    } else {
        durable(&asker, id, log.from)
    };
    Ok(body::lines(stream::until_draining(
        chunks(follower),
        house.phase(),
    )))
}

/// What is kept of a run's output so far.
fn durable(asker: &Asker, run: RunId, offset: u64) -> Follower {
    let segment = Segment::parse(&run.to_string()).expect("ids are segments");
    Follower::of_durable(&TranscriptLogs::of(asker.tenant.space(), &segment), offset)
}

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, Problem>> + Send>>;

fn chunks(follower: Follower) -> Chunks {
    Box::pin(futures::stream::unfold(Some(follower), async |follower| {
        let mut follower = follower?;
        match follower.next().await {
            Ok(Followed::Frames(frames)) => {
                let lines: Vec<u8> = frames
                    .iter()
                    .flat_map(|frame| stream::line(&ChunkView::of(frame)))
                    .collect();
                Some((Ok(lines.into()), Some(follower)))
            }
            Ok(Followed::End) => None,
            Err(error) => Some((Err(CommandError::from(error).into()), None)),
        }
    }))
}
