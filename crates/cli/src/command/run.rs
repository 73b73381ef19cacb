//! `run`: a task, its run, what it prints as it comes, and one line at the end.

use std::time::Duration;

use bytes::Bytes;
use dormouse_engine::AgentName;
use dormouse_engine::outcome::{FailReason, Outcome};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::logs::{self, Sink};
use super::runs::said;
use super::signals::{Asked, Signals};
use super::{listing, task};
use crate::api::{ChunkView, House, List, RunView, TaskView};
use crate::args::{ExitBy, Run};
use crate::client::{Call, Client, Session};
use crate::context::Context;
use crate::duration::took;
use crate::exit::Exit;
use crate::nearest::nearest;
use crate::output::visible::Cleaner;
use crate::output::{Format, Ui};
use crate::problem::{Code, Failure, Problem, Result};

/// The agent of a command that names none.
const AGENT_DEFAULT: &str = "default";

/// How long an ended run may take to leave the books of its supervisor.
const BOOKS: Duration = Duration::from_millis(200);

pub(super) async fn run(session: &mut Session<'_>, context: &Context, arguments: &Run) -> Result<Exit> {
    let mut signals = Signals::listen();
    let Some((run, was_stopped)) = begin(session, context, arguments, &mut signals).await? else {
        return Ok(Exit::Cancelled);
    };
    let stopper = Stopper {
        run: run.id.to_string(),
        clients: session.clients(),
        house: session.owner().map(|o| o.house().clone()),
    };
    let stopping = stopper.spawn(signals, was_stopped);
    let followed = follow(session, &context.ui, &run).await;
    let ended = match followed {
        Ok(()) => ended(session, &run).await,
        Err(failure) => Err(failure),
    };
    stopping.abort();
    let exit = conclude(context, arguments, &ended?)?;
    stay_for_guests(session, &context.ui).await;
    Ok(exit)
}

/// Makes what is missing and starts the run. None when it was called off twice before anything ran.
async fn begin(
    session: &mut Session<'_>,
    context: &Context,
    arguments: &Run,
    signals: &mut Signals,
) -> Result<Option<(RunView, bool)>> {
    let mut starting = std::pin::pin!(start(session, context, arguments));
    let mut was_stopped = false;
    // Ends with the run, or with the second signal.
    loop {
        tokio::select! {
            started = &mut starting => return Ok(Some((started?, was_stopped))),
            _ = signals.next() => {
                if was_stopped {
                    return Ok(None);
                }
                was_stopped = true;
            }
        }
    }
}

async fn start(session: &mut Session<'_>, context: &Context, arguments: &Run) -> Result<RunView> {
    let task = match (&arguments.words[..], &arguments.command[..]) {
        ([id], []) if id.starts_with("tsk_") => ready(session, id).await?,
        ([], [_, ..]) => add(session, context, arguments).await?,
        ([], []) => {
            return Err(usage(
                "run takes a command, or the id of a task",
                "dormouse run --agent alice -- make check",
            ));
        }
        ([word, ..], []) => {
            let why = format!("'{word}' is no id of a task, and a command comes after --");
            return Err(usage(
                &why,
                &format!("dormouse run -- {}", arguments.words.join(" ")),
            ));
        }
        (_, [_, ..]) => {
            return Err(usage(
                "run takes a command or the id of a task, not both",
                "dormouse run -- make check",
            ));
        }
    };
    let body = session
        .ask(&Call::post("/v1/runs", &json!({ "task": task })))
        .await?;
    listing::read(&body)
}

fn usage(why: &str, example: &str) -> Failure {
    Problem::new(Code::Usage, why)
        .hint(format!("write {example}"))
        .into()
}

/// A task that is there already.
async fn ready(session: &mut Session<'_>, id: &str) -> Result<String> {
    let task: TaskView = listing::read(&session.ask(&Call::get(format!("/v1/tasks/{id}"))).await?)?;
    if task.command.is_none() {
        let detail = format!("task {} carries no command, so there is nothing to run", task.id);
        return Err(Problem::new(Code::Invalid, detail)
            .hint(format!("see dormouse task show {}", task.id))
            .into());
    }
    Ok(task.id.to_string())
}

async fn add(session: &mut Session<'_>, context: &Context, arguments: &Run) -> Result<String> {
    let command =
        arguments
            .surroundings
            .command(&arguments.command, &context.config, &context.environment)?;
    let agent = arguments
        .agent
        .clone()
        .unwrap_or_else(|| AGENT_DEFAULT.parse().expect("it is a name"));
    ensure_agent(session, &context.ui, &agent, arguments.no_create).await?;
    let body = json!({ "agent": agent, "title": task::title_of(&arguments.command), "command": command });
    let task: TaskView = listing::read(&session.ask(&Call::post("/v1/tasks", &body)).await?)?;
    Ok(task.id.to_string())
}

/// An unknown agent is made, unless its name looks like a typo of a known one.
async fn ensure_agent(session: &mut Session<'_>, ui: &Ui, agent: &AgentName, no_create: bool) -> Result<()> {
    match session.ask(&Call::get(format!("/v1/agents/{agent}"))).await {
        Ok(_) => return Ok(()),
        Err(Failure::Problem(problem)) if problem.is(Code::NotFound) => {}
        Err(failure) => return Err(failure),
    }
    let names = agents(session).await?;
    let near = nearest(agent.as_str(), names.iter().map(AgentName::as_str));
    if let Some(near) = near {
        let detail = format!("there is no agent {agent}, and its name is close to {near}");
        return Err(Problem::new(Code::NotFound, detail)
            .hint(format!(
                "use --agent {near}, or make it with dormouse agent add {agent}"
            ))
            .into());
    }
    if no_create {
        return Err(Problem::new(
            Code::NotFound,
            format!("there is no agent {agent}, and --no-create was given"),
        )
        .hint(format!("make it with dormouse agent add {agent}"))
        .into());
    }
    match session
        .ask(&Call::post("/v1/agents", &json!({ "name": agent })))
        .await
    {
        Ok(_) => ui.note(&format!("made agent {agent}")),
        // Somebody else was as early.
        Err(Failure::Problem(problem)) if problem.is(Code::Exists) => {}
        Err(failure) => return Err(failure),
    }
    Ok(())
}

async fn agents(session: &mut Session<'_>) -> Result<Vec<AgentName>> {
    #[derive(serde::Deserialize)]
    struct Named {
        name: AgentName,
    }
    let (mut names, mut cursor) = (Vec::new(), None);
    // Ends with the last page.
    loop {
        let call = Call::get("/v1/agents")
            .query("limit", Some(1000))
            .query("cursor", cursor.take());
        let page: List<Named> = listing::read(&session.ask(&call).await?)?;
        names.extend(page.items.into_iter().map(|agent| agent.name));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(names);
        }
    }
}

/// Stops the run when this process is asked to stop: once by asking the worker, twice by killing it.
struct Stopper {
    run: String,
    clients: watch::Receiver<Option<Client>>,
    house: Option<House>,
}

impl Stopper {
    fn spawn(self, mut signals: Signals, was_stopped: bool) -> JoinHandle<()> {
        tokio::spawn(async move {
            if was_stopped {
                self.cancel(false).await;
            }
            let mut asked = u32::from(was_stopped);
            // Ends with the run: it is aborted then.
            loop {
                let signal = signals.next().await;
                asked += 1;
                match (signal, &self.house) {
                    (Asked::Terminate, Some(house)) if asked == 1 => drop(tokio::spawn({
                        let house = house.clone();
                        async move { house.stop().await }
                    })),
                    (Asked::Terminate, Some(house)) => house.kill_all(),
                    (Asked::Interrupt | Asked::Terminate, _) => self.cancel(asked > 1).await,
                }
            }
        })
    }

    async fn cancel(&self, force: bool) {
        let client = self.clients.borrow().clone();
        let Some(client) = client else { return };
        // It may have ended meanwhile; then there is nothing to stop.
        let _ = client
            .send(&Call::post(
                format!("/v1/runs/{}/cancel", self.run),
                &json!({ "force": force }),
            ))
            .await;
    }
}

async fn follow(session: &mut Session<'_>, ui: &Ui, run: &RunView) -> Result<()> {
    let mut streams = Streams {
        ui,
        out: Cleaner::default(),
        err: Cleaner::default(),
        is_read: true,
    };
    logs::feed(session, &run.id.to_string(), 0, true, &mut streams).await?;
    streams.finish();
    Ok(())
}

/// The worker's two streams, on ours.
struct Streams<'a> {
    ui: &'a Ui,
    out: Cleaner,
    err: Cleaner,
    /// Whether somebody still reads our stdout. The run goes on without: its output is kept.
    is_read: bool,
}

impl Sink for Streams<'_> {
    fn take(&mut self, chunk: &ChunkView, line: &Bytes) -> Result<()> {
        match self.ui.format {
            Format::Json => {}
            Format::Jsonl => {
                let printed = self.ui.line(line);
                self.printed(printed)?;
            }
            Format::Text if chunk.channel == "stderr" => self.stderr(&chunk.bytes()),
            Format::Text => self.stdout(&chunk.bytes())?,
        }
        Ok(())
    }
}

impl Streams<'_> {
    fn stdout(&mut self, bytes: &[u8]) -> Result<()> {
        let printed = if self.ui.is_terminal {
            self.ui.bytes(self.out.clean(bytes).as_bytes())
        } else {
            self.ui.bytes(bytes)
        };
        self.printed(printed)
    }

    fn stderr(&mut self, bytes: &[u8]) {
        if self.ui.is_stderr_terminal {
            self.ui.stderr_bytes(self.err.clean(bytes).as_bytes());
        } else {
            self.ui.stderr_bytes(bytes);
        }
    }

    fn printed(&mut self, printed: Result<()>) -> Result<()> {
        match printed {
            Err(Failure::StdoutClosed) => {
                self.is_read = false;
                Ok(())
            }
            printed => printed,
        }
    }

    fn finish(mut self) {
        let _ = self.ui.bytes(self.out.finish().as_bytes());
        self.ui.stderr_bytes(self.err.finish().as_bytes());
    }
}

/// The run with its outcome.
async fn ended(session: &mut Session<'_>, run: &RunView) -> Result<(Bytes, RunView)> {
    // Ends with the run: each request waits for it, and its clocks bound it.
    loop {
        let body = session
            .ask(&Call::get(format!("/v1/runs/{}", run.id)).query("wait", Some(true)))
            .await?;
        let run: RunView = listing::read(&body)?;
        if run.outcome.is_some() {
            return Ok((body, run));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The document, what went wrong, the status line, the exit code.
fn conclude(context: &Context, arguments: &Run, (body, run): &(Bytes, RunView)) -> Result<Exit> {
    let ui = &context.ui;
    let outcome = run.outcome.as_ref().expect("it was waited for");
    if ui.format != Format::Text {
        match ui.line(body) {
            Err(Failure::StdoutClosed) | Ok(()) => {}
            failed => failed?,
        }
    } else if let Some(problem) = trouble(outcome, run) {
        ui.problem(&problem);
    }
    let time = run
        .facts
        .as_ref()
        .map(|facts| format!(" in {}", took(facts.clock_ms)))
        .unwrap_or_default();
    ui.note(&format!(
        "{} {}{time}   more: dormouse runs show {}",
        run.id,
        said(outcome, run),
        run.id
    ));
    Ok(match arguments.exit {
        ExitBy::Outcome => Exit::of_outcome(outcome),
        ExitBy::Worker => Exit::of_worker(run.facts.as_ref().and_then(|facts| facts.exit.as_ref())),
    })
}

/// What went wrong, where it was not the worker itself that said so.
fn trouble(outcome: &Outcome, run: &RunView) -> Option<Problem> {
    match outcome {
        Outcome::Failed {
            reason: FailReason::Exit | FailReason::Signal,
            ..
        } => None,
        Outcome::Failed {
            reason: FailReason::Spawn,
            message,
            ..
        } => {
            let hint = "give the program's whole path, or put it on the PATH that dormouse is started with; no shell is added";
            Some(Problem::new(Code::Invalid, message.as_str()).hint(hint))
        }
        Outcome::Failed { message, .. } => Some(
            Problem::new(Code::Internal, message.as_str()).hint(format!("see dormouse runs show {}", run.id)),
        ),
        Outcome::Timeout { .. } => {
            let detail = format!("the worker was stopped: {}", said(outcome, run));
            Some(
                Problem::new(Code::State, detail)
                    .hint("--timeout and --idle-timeout say how long a run may take"),
            )
        }
        Outcome::Lost { .. } => {
            let again = run
                .task
                .map(|task| format!("if it may be done again: dormouse task retry {task}"));
            Some(
                Problem::new(
                    Code::State,
                    "the owner of the run vanished; what the worker did is not known",
                )
                .hint(again.unwrap_or_else(|| format!("see dormouse runs show {}", run.id))),
            )
        }
        Outcome::Success { .. }
        | Outcome::Partial { .. }
        | Outcome::Blocked { .. }
        | Outcome::Cancelled { .. } => None,
    }
}

/// The owner of the store does not leave while others' runs are at work in it.
async fn stay_for_guests(session: &Session<'_>, ui: &Ui) {
    let Some(owner) = session.owner() else { return };
    let house = owner.house();
    // Its own run has ended and takes a moment to leave the books.
    let _ = tokio::time::timeout(BOOKS, house.idle()).await;
    match house.live_count() {
        0 => {}
        1 => ui.note("1 run of another command is at work here: staying until it ends; Ctrl-C stops it"),
        live => ui.note(&format!(
            "{live} runs of other commands are at work here: staying until they end; Ctrl-C stops them"
        )),
    }
    let mut signals = Signals::listen();
    tokio::select! {
        () = house.leave_when_idle() => return,
        _ = signals.next() => {}
    }
    tokio::select! {
        () = house.stop() => {}
        _ = signals.next() => house.kill_all(),
    }
}
