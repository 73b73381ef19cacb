//! `task add|list|show|cancel|retry`.

use dormouse_engine::task::Wait;
use serde_json::json;

use super::listing;
use crate::api::TaskView;
use crate::args::{Task, TaskAdd};
use crate::client::{Call, Session};
use crate::context::Context;
use crate::duration;
use crate::exit::Exit;
use crate::output::{Format, Ui};
use crate::problem::Result;

pub(super) async fn task(session: &mut Session<'_>, context: &Context, command: Task) -> Result<Exit> {
    let ui = &context.ui;
    match command {
        Task::Add(arguments) => add(session, context, &arguments).await,
        Task::List { agent, state, page } => {
            let call = Call::get("/v1/tasks").query("agent", agent).query("state", state);
            let columns = ["id", "number", "agent", "state", "attempts", "updated", "title"];
            listing::pages(session, ui, call, &page, &columns, |task| row(task, ui)).await
        }
        Task::Show { id } => {
            let body = session.ask(&Call::get(format!("/v1/tasks/{id}"))).await?;
            listing::item(ui, &body, |task| record(task, ui))
        }
        Task::Cancel { id, kill } => {
            let body = session
                .ask(&Call::post(
                    format!("/v1/tasks/{id}/cancel"),
                    &json!({ "force": kill }),
                ))
                .await?;
            changed(ui, &body)
        }
        Task::Retry { id } => {
            let body = session
                .ask(&Call::post(format!("/v1/tasks/{id}/retry"), &json!({})))
                .await?;
            changed(ui, &body)
        }
    }
}

async fn add(session: &mut Session<'_>, context: &Context, arguments: &TaskAdd) -> Result<Exit> {
    let command =
        arguments
            .surroundings
            .command(&arguments.command, &context.config, &context.environment)?;
    let title = arguments
        .title
        .clone()
        .unwrap_or_else(|| title_of(&arguments.command));
    let body = json!({ "agent": arguments.agent, "title": title, "command": command });
    let call = Call::post("/v1/tasks", &body).under(arguments.key.as_ref());
    let body = session.ask(&call).await?;
    let task: TaskView = listing::read(&body)?;
    match context.ui.format {
        Format::Text => context.ui.line(task.id.to_string())?,
        Format::Json | Format::Jsonl => context.ui.line(&body)?,
    }
    session.deliver(&context.ui, None).await?;
    context
        .ui
        .note(&format!("nobody runs it by itself yet: dormouse run {}", task.id));
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
    if let Some(Wait::Gate { gate }) = task.wait {
        pairs.push(("waits for", gate.to_string()));
    }
    if task.reason.as_deref() == Some("locked") {
        pairs.push((
            "cannot run",
            "its worker needs secrets, and nobody unlocked them".to_owned(),
        ));
    }
    pairs.extend(task.outcome.map(|outcome| ("outcome", outcome.to_string())));
    pairs.push(("priority", task.priority.word().to_owned()));
    pairs.push(("attempts", task.attempts.to_string()));
    pairs.push(("failures", task.failures.to_string()));
    pairs.extend(task.last_run.map(|run| ("last run", run.to_string())));
    if let Some(command) = &task.command {
        pairs.push(("command", shown(&command.argv)));
        pairs.extend(command.cwd.as_ref().map(|cwd| ("cwd", cwd.display().to_string())));
        pairs.push(("timeout", duration::show(command.wall_clock())));
    }
    pairs.push(("created", ui.instant(task.created_at)));
    pairs.push(("updated", ui.instant(task.updated_at)));
    pairs.extend(task.ended_at.map(|at| ("ended", ui.instant(at))));
    pairs
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
