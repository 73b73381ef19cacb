//! `wake list|add|cancel`.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::listing;
use super::task::title_of;
use crate::api::WakeView;
use crate::args::{Wake, WakeAdd};
use crate::client::{Call, Session};
use crate::context::Context;
use crate::edge;
use crate::exit::Exit;
use crate::output::{Format, Ui};
use crate::problem::Result;

pub(super) async fn wake(session: &mut Session<'_>, context: &Context, command: Wake) -> Result<Exit> {
    let ui = &context.ui;
    match command {
        Wake::List { agent, page } => {
            let call = Call::get("/v1/wakes").query("agent", agent);
            let columns = ["id", "agent", "due", "reason"];
            listing::pages(session, ui, call, &page, &columns, |wake| row(wake, ui)).await
        }
        Wake::Add(arguments) => add(session, context, &arguments).await,
        Wake::Cancel { id } => {
            session.ask(&Call::delete(format!("/v1/wakes/{id}"))).await?;
            ui.note(&format!("nothing becomes of {id}"));
            Ok(Exit::Done)
        }
    }
}

async fn add(session: &mut Session<'_>, context: &Context, arguments: &WakeAdd) -> Result<Exit> {
    let call = Call::post("/v1/wakes", &wanted(context, arguments)?);
    let body = session.ask(&call.under(arguments.key.as_ref())).await?;
    match context.ui.format {
        Format::Text => {
            let wake: WakeView = listing::read(&body)?;
            context.ui.line(wake.id.to_string())?;
        }
        Format::Json | Format::Jsonl => context.ui.line(&body)?,
    }
    Ok(Exit::Done)
}

fn wanted(context: &Context, arguments: &WakeAdd) -> Result<Value> {
    let reason = arguments
        .reason
        .clone()
        .unwrap_or_else(|| title_of(&arguments.command));
    let later = arguments.in_.map(|later| {
        let later = SignedDuration::try_from(later).unwrap_or(SignedDuration::MAX);
        edge::now().checked_add(later).unwrap_or(Timestamp::MAX)
    });
    let due = arguments.at.or(later).expect("one of them is required");
    let mut body = json!({ "agent": arguments.agent, "due": due, "reason": reason });
    if !arguments.command.is_empty() {
        let surroundings = &arguments.surroundings;
        let command = surroundings.command(&arguments.command, &context.config, &context.environment)?;
        body["command"] = json!(command);
    }
    Ok(body)
}

fn row(wake: &WakeView, ui: &Ui) -> Vec<String> {
    vec![
        wake.id.to_string(),
        wake.agent.to_string(),
        ui.instant(wake.due),
        wake.reason.clone(),
    ]
}
