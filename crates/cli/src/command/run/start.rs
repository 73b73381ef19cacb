//! From the arguments to a run that has begun: the agent, then task and run by one request.

use std::cell::Cell;

use dormouse_engine::id::InvalidId;
use dormouse_engine::supervisor::OnGate;
use dormouse_engine::task::Wait;
use dormouse_engine::{AgentName, PrefixedId, TaskId};
use serde_json::{Value, json};

use crate::api::{List, RunView, TaskView};
use crate::args::Run;
use crate::client::{Call, Session};
use crate::command::signals::Signals;
use crate::command::{listing, task};
use crate::context::Context;
use crate::nearest::nearest;
use crate::output::Ui;
use crate::problem::{Code, Failure, Problem, Result};

/// The agent of a command that names none.
const AGENT_DEFAULT: &str = "default";

/// Makes what is missing and starts the run. With it comes how often it was called off meanwhile: once is heeded when
/// it has begun, and so is a second time once the request was sent. None when nothing was sent, or nobody waits longer.
pub(super) async fn begin(
    session: &mut Session<'_>,
    context: &Context,
    arguments: &Run,
    on_gate: OnGate,
    signals: &mut Signals,
) -> Result<Option<(RunView, u32)>> {
    let is_sent = Cell::new(false);
    let mut starting = std::pin::pin!(start(session, context, arguments, on_gate, &is_sent));
    let mut asked = 0;
    // Ends with the run, or with the signal that waits no longer.
    loop {
        tokio::select! {
            started = &mut starting => return Ok(Some((started?, asked))),
            _ = signals.next() => {
                asked += 1;
                if asked > 2 || (asked > 1 && !is_sent.get()) {
                    return Ok(None);
                }
            }
        }
    }
}

async fn start(
    session: &mut Session<'_>,
    context: &Context,
    arguments: &Run,
    on_gate: OnGate,
    is_sent: &Cell<bool>,
) -> Result<RunView> {
    let wanted = match (&arguments.words[..], &arguments.command[..]) {
        ([id], []) => json!({ "task": ready(session, id).await? }),
        ([], [_, ..]) => new(session, context, arguments).await?,
        ([], []) => {
            return Err(usage(
                "run takes a command, or the id of a task",
                "dormouse run --agent alice -- make check",
            ));
        }
        (words, []) => {
            let example = format!("dormouse run -- {}", words.join(" "));
            return Err(usage("run takes one task; a command comes after --", &example));
        }
        (_, [_, ..]) => {
            return Err(usage(
                "run takes a command or the id of a task, not both",
                "dormouse run -- make check",
            ));
        }
    };
    let mut wanted = wanted;
    wanted["on_gate"] = json!(on_gate);
    is_sent.set(true);
    listing::read(
        &session
            .ask(&Call::post("/v1/runs", &wanted).under(arguments.key.as_ref()))
            .await?,
    )
}

fn usage(why: &str, example: &str) -> Failure {
    Problem::new(Code::Usage, why)
        .hint(format!("write {example}"))
        .into()
}

/// A task that is there already.
async fn ready(session: &mut Session<'_>, word: &str) -> Result<String> {
    let number = word.strip_prefix('#').unwrap_or(word);
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let word = if is_number { number } else { word };
    match TaskId::given(word) {
        Ok(_) => {}
        Err(_) if is_number => {}
        Err(error @ InvalidId::OtherKind { .. }) => {
            return Err(usage(&error.to_string(), "dormouse run tsk_…"));
        }
        Err(_) => {
            let why = format!("'{word}' is no id of a task, and a command comes after --");
            return Err(usage(&why, &format!("dormouse run -- {word}")));
        }
    }
    let task: TaskView = listing::read(&session.ask(&Call::get(format!("/v1/tasks/{word}"))).await?)?;
    if task.command.is_none() {
        let detail = format!("task {} carries no command, so there is nothing to run", task.id);
        return Err(Problem::new(Code::Invalid, detail)
            .hint(format!("see dormouse task show {}", task.id))
            .into());
    }
    if let Some(Wait::Gate { gate }) = task.wait {
        let detail = format!("task {} waits for a person: gate {gate} is pending", task.id);
        return Err(Problem::new(Code::NeedsApproval, detail)
            .hint(format!("decide it first: dormouse gate show {gate}"))
            .into());
    }
    if matches!(task.state.as_str(), "failed" | "quarantined" | "cancelled") {
        let detail = format!(
            "task {} is {}, and only a ready one can be run",
            task.id, task.state
        );
        return Err(Problem::new(Code::State, detail)
            .hint(format!("make it ready with dormouse task retry {}", task.id))
            .into());
    }
    Ok(task.id.to_string())
}

/// A task that is made and started by one request, so that nothing is left of it when we are killed between.
async fn new(session: &mut Session<'_>, context: &Context, arguments: &Run) -> Result<Value> {
    let command =
        arguments
            .surroundings
            .command(&arguments.command, &context.config, &context.environment)?;
    let agent = arguments
        .agent
        .clone()
        .unwrap_or_else(|| AGENT_DEFAULT.parse().expect("it is a name"));
    ensure_agent(session, &context.ui, &agent, arguments.no_create).await?;
    Ok(json!({ "agent": agent, "title": task::title_of(&arguments.command), "command": command }))
}

/// An unknown agent is made, unless its name looks like a typo of a known one.
pub(in crate::command) async fn ensure_agent(
    session: &mut Session<'_>,
    ui: &Ui,
    agent: &AgentName,
    no_create: bool,
) -> Result<()> {
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
