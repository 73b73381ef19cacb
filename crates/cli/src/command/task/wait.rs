//! `task wait`: until tasks have ended, over owners that leave.

use std::time::Duration;

use bytes::Bytes;
use dormouse_engine::run::OutcomeKind;
use tokio::time::sleep;

use crate::api::TaskView;
use crate::client::{Call, Session};
use crate::command::listing;
use crate::exit::Exit;
use crate::output::{Format, Ui};
use crate::problem::Result;

/// How often a task is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// Waits for each, in the order they are named, and says how it ended.
pub(super) async fn wait(session: &mut Session<'_>, ui: &Ui, ids: &[String]) -> Result<Exit> {
    let mut exit = Exit::Done;
    for id in ids {
        let (task, body) = ended(session, id).await?;
        match ui.format {
            Format::Text => ui.line(format!("{}\t{}", task.id, task.state))?,
            Format::Json | Format::Jsonl => ui.line(&body)?,
        }
        session.deliver(ui, None).await?;
        if exit == Exit::Done {
            exit = exit_of(&task.state, task.outcome);
        }
    }
    Ok(exit)
}

async fn ended(session: &mut Session<'_>, id: &str) -> Result<(TaskView, Bytes)> {
    let call = Call::get(format!("/v1/tasks/{id}"));
    // Runs as long as the task does.
    loop {
        let body = session.ask(&call).await?;
        let task: TaskView = listing::read(&body)?;
        if task.ended_at.is_some() {
            return Ok((task, body));
        }
        let is_in_the_way = tokio::select! {
            () = session.is_in_the_way() => true,
            () = sleep(LOOK) => false,
        };
        if is_in_the_way {
            session.make_room().await?;
        }
    }
}

/// What the end of a task means.
pub(in crate::command) fn exit_of(state: &str, outcome: Option<OutcomeKind>) -> Exit {
    match (state, outcome) {
        ("cancelled", _) => Exit::Cancelled,
        (_, Some(OutcomeKind::Success)) => Exit::Done,
        (_, Some(OutcomeKind::Partial)) => Exit::Partial,
        (_, Some(OutcomeKind::Blocked)) => Exit::Blocked,
        (_, Some(OutcomeKind::Timeout)) => Exit::Timeout,
        (_, Some(OutcomeKind::Lost)) => Exit::Lost,
        (_, Some(OutcomeKind::Cancelled)) => Exit::Cancelled,
        (_, Some(OutcomeKind::Failed) | None) => Exit::Failed,
    }
}
