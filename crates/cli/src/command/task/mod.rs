//! `task …`.

mod set;
mod wait;

pub(super) use self::wait::exit_of;

use std::path::Path;
use std::time::Duration;

use dormouse_engine::task::Wait;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::gate::{has_person, read_text, typed};
use super::listing;
use super::run::ensure_agent;
use crate::api::TaskView;
use crate::args::{Task, TaskAdd};
use crate::client::{Call, Session};
use crate::context::Context;
use crate::duration;
use crate::edge;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::output::{Format, Ui};
use crate::problem::{Code, Failure, Problem, Result};

pub(super) async fn task(session: &mut Session<'_>, context: &Context, command: Task) -> Result<Exit> {
    let ui = &context.ui;
    match command {
        Task::Add(arguments) => add(session, context, &arguments).await,
        Task::List {
            agent,
            owner,
            parent,
            state,
            page,
        } => {
            let call = Call::get("/v1/tasks")
                .query("agent", agent)
                .query("owner", owner)
                .query("parent", parent)
                .query("state", state);
            let columns = ["id", "number", "agent", "state", "attempts", "updated", "title"];
            listing::pages(session, ui, call, &page, &columns, |task| row(task, ui)).await
        }
        Task::Show { id } => {
            let body = session.ask(&Call::get(format!("/v1/tasks/{id}"))).await?;
            listing::item(ui, &body, |task| record(task, ui))
        }
        Task::Wait { ids } => wait::wait(session, ui, &ids).await,
        Task::Approve { id } => verb(session, ui, &id, "approve", &json!({})).await,
        Task::Refuse { id } => verb(session, ui, &id, "refuse", &json!({})).await,
        Task::Cancel { id, kill } => verb(session, ui, &id, "cancel", &json!({ "force": kill })).await,
        Task::Retry { id, fresh } => verb(session, ui, &id, "retry", &json!({ "fresh": fresh })).await,
        Task::Set(arguments) => set::set(session, context, &arguments).await,
        Task::Shelve { id } => verb(session, ui, &id, "shelve", &json!({})).await,
        Task::Enqueue { id } => verb(session, ui, &id, "enqueue", &json!({})).await,
        Task::Delete { id, yes } => delete(session, ui, &id, yes).await,
    }
}

async fn add(session: &mut Session<'_>, context: &Context, arguments: &TaskAdd) -> Result<Exit> {
    let body = wanted(context, arguments)?;
    let call = Call::post("/v1/tasks", &body).under(arguments.key.as_ref());
    let body = match session.ask(&call).await {
        // Most often the agent is there: nobody looks for it first.
        Err(Failure::Problem(problem)) if problem.is(Code::NotFound) => {
            ensure_agent(session, &context.ui, &arguments.agent, arguments.no_create).await?;
            session.ask(&call).await?
        }
        answer => answer?,
    };
    let task: TaskView = listing::read(&body)?;
    match context.ui.format {
        Format::Text => context.ui.line(task.id.to_string())?,
        Format::Json | Format::Jsonl => context.ui.line(&body)?,
    }
    session.deliver(&context.ui, None).await?;
    if session.owner().is_some() && task.command.is_some() && task.state == "ready" {
        context.ui.note(&format!(
            "it waits for dormouse serve; to run it now: dormouse run {}",
            task.id
        ));
    }
    Ok(Exit::Done)
}

fn wanted(context: &Context, arguments: &TaskAdd) -> Result<Value> {
    let title = arguments
        .title
        .clone()
        .unwrap_or_else(|| title_of(&arguments.command));
    let mut body = json!({ "agent": arguments.agent, "title": title, "after": arguments.after });
    if !arguments.command.is_empty() {
        let command =
            arguments
                .surroundings
                .command(&arguments.command, &context.config, &context.environment)?;
        body["command"] = json!(command);
    }
    if let Some(prompt) = &arguments.prompt {
        body["body"] = json!(said(prompt, &context.environment)?);
    }
    if let Some(priority) = arguments.priority {
        body["priority"] = json!(priority);
    }
    if let Some(on_failed) = arguments.on_failed {
        body["on_failed"] = json!(on_failed);
    }
    match (arguments.approval, arguments.backlog) {
        (true, _) => body["start"] = json!("pending_approval"),
        (false, true) => body["start"] = json!("backlog"),
        (false, false) => {}
    }
    let later = arguments.in_.map(|later| {
        let later = SignedDuration::try_from(later).unwrap_or(SignedDuration::MAX);
        edge::now().checked_add(later).unwrap_or(Timestamp::MAX)
    });
    if let Some(at) = arguments.not_before.or(later) {
        body["not_before"] = json!(at);
    }
    Ok(body)
}

/// What an argument says in words: itself, `@FILE`, or `-` for stdin.
pub(super) fn said(argument: &str, environment: &Environment) -> Result<String> {
    match argument.strip_prefix('@') {
        Some(file) => read_text(Path::new(file), environment),
        None if argument == "-" => read_text(Path::new("-"), environment),
        None => Ok(argument.to_owned()),
    }
}

/// Does it, and prints what the task is now.
async fn verb(session: &mut Session<'_>, ui: &Ui, id: &str, verb: &str, body: &Value) -> Result<Exit> {
    let call = Call::post(format!("/v1/tasks/{id}/{verb}"), body);
    changed(ui, &session.ask(&call).await?)
}

async fn delete(session: &mut Session<'_>, ui: &Ui, id: &str, is_meant: bool) -> Result<Exit> {
    if !is_meant {
        if !has_person(ui) {
            let why = "task delete deletes for good, and there is no terminal to ask at";
            return Err(Problem::new(Code::Usage, why)
                .hint("pass --yes if it is meant")
                .into());
        }
        // The person may think for long: nobody else waits for the store meanwhile.
        session.make_room().await?;
        let question = format!("task {id} is deleted for good; type {id} to delete it: ");
        if typed(&question, ui).await.as_deref() != Some(id) {
            return Err(Problem::new(Code::Usage, "nothing was deleted")
                .hint("type the id as it was given, or pass --yes")
                .into());
        }
    }
    session.ask(&Call::delete(format!("/v1/tasks/{id}"))).await?;
    Ok(Exit::Done)
}

/// The command line as a title: one line, cut where it is long.
pub(super) fn title_of(command: &[String]) -> String {
    const CHARACTERS_MAX: usize = 100;
    let line = command.join(" ");
    let line: String = line
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let line = line.trim();
    match line.char_indices().nth(CHARACTERS_MAX) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line.to_owned(),
    }
}

fn changed(ui: &Ui, body: &bytes::Bytes) -> Result<Exit> {
    match ui.format {
        Format::Text => {
            let task: TaskView = listing::read(body)?;
            ui.line(format!("{}\t{}", task.id, task.state))?;
        }
        Format::Json | Format::Jsonl => ui.line(body)?,
    }
    Ok(Exit::Done)
}

fn row(task: &TaskView, ui: &Ui) -> Vec<String> {
    vec![
        task.id.to_string(),
        task.number.to_string(),
        task.agent.to_string(),
        task.state.clone(),
        task.attempts.to_string(),
        ui.instant(task.updated_at),
        task.title.clone(),
    ]
}

fn record(task: &TaskView, ui: &Ui) -> Vec<(&'static str, String)> {
    let mut pairs = vec![
        ("id", task.id.to_string()),
        ("number", task.number.to_string()),
        ("title", task.title.clone()),
        ("agent", task.agent.to_string()),
        ("state", task.state.clone()),
    ];
    match task.wait {
        Some(Wait::Gate { gate }) => pairs.push(("waits for", gate.to_string())),
        Some(Wait::Until { until }) => pairs.push(("waits until", ui.instant(until))),
        Some(Wait::Tasks) | None => {}
    }
    if !task.after.is_empty() {
        let open: Vec<String> = task.after.iter().map(ToString::to_string).collect();
        pairs.push(("waits for", open.join(", ")));
        pairs.push(("on failed", task.on_failed.word().to_owned()));
    }
    pairs.extend(task.undone_by.map(|undone| ("undone by", undone.to_string())));
    pairs.extend(task.owner.as_ref().map(|owner| ("owner", owner.to_string())));
    pairs.extend(task.parent.map(|parent| ("given by", parent.to_string())));
    pairs.extend(
        task.reason
            .as_deref()
            .and_then(why)
            .map(|why| ("cannot run", why.to_owned())),
    );
    pairs.extend(task.outcome.map(|outcome| ("outcome", outcome.to_string())));
    pairs.push(("priority", task.priority.word().to_owned()));
    pairs.push(("attempts", task.attempts.to_string()));
    pairs.push(("failures", task.failures.to_string()));
    pairs.extend(task.last_run.map(|run| ("last run", run.to_string())));
    if let Some(command) = &task.command {
        pairs.push(("command", shown(&command.argv)));
        pairs.extend(command.cwd.as_ref().map(|cwd| ("cwd", cwd.display().to_string())));
        let timeout = command.wall_clock_ms.map(Duration::from_millis);
        pairs.extend(timeout.map(|timeout| ("timeout", duration::show(timeout))));
    }
    pairs.extend(task.not_before.map(|at| ("not before", ui.instant(at))));
    if !task.metadata.is_empty() {
        let metadata = serde_json::to_string(&task.metadata).expect("it was JSON");
        pairs.push(("metadata", metadata));
    }
    pairs.extend(task.body.clone().map(|body| ("prompt", body)));
    pairs.push(("created", ui.instant(task.created_at)));
    pairs.push(("updated", ui.instant(task.updated_at)));
    pairs.extend(task.ended_at.map(|at| ("ended", ui.instant(at))));
    pairs
}

/// Why it waits, for a person; none where what it waits for is said already.
fn why(word: &str) -> Option<&'static str> {
    Some(match word {
        "locked" => "its worker needs secrets, and nobody unlocked them",
        "paused" => "its agent is paused: dormouse agent resume",
        "no_supervisor" => "nobody claims: dormouse serve, or dormouse run with its id",
        "degraded" => "the loop that claims is missing: restart the server, and see its log",
        "agent_full" => "its agent runs as much at once as it may",
        "tenant_full" => "as much runs at once as the budget of all agents allows",
        "instance_full" => "as much runs at once as runs.instance_max allows",
        "budget" => "a budget is at its limit, or a person is asked first: dormouse budget show",
        _ => return None,
    })
}

/// Arguments as one could type them into a shell.
fn shown(argv: &[String]) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:,+@%".contains(c);
    let quoted = |word: &String| match word {
        word if !word.is_empty() && word.chars().all(is_plain) => word.clone(),
        word => format!("'{}'", word.replace('\'', r"'\''")),
    };
    argv.iter().map(quoted).collect::<Vec<_>>().join(" ")
}
