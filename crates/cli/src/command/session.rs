//! `session list|show|end|reopen|set`.

use serde_json::json;

use super::listing;
use crate::api::SessionView;
use crate::args;
use crate::client::{Call, Session};
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Format, Ui};
use crate::problem::Result;

pub(super) async fn session(
    session: &mut Session<'_>,
    context: &Context,
    command: args::Session,
) -> Result<Exit> {
    let ui = &context.ui;
    match command {
        args::Session::List { agent, page } => {
            let call = Call::get("/v1/sessions").query("agent", agent);
            let columns = ["id", "agent", "state", "turn", "gates", "activity", "run"];
            listing::pages(session, ui, call, &page, &columns, |item| row(item, ui)).await
        }
        args::Session::Show { id } => {
            let body = session.ask(&Call::get(format!("/v1/sessions/{id}"))).await?;
            listing::item(ui, &body, |item| record(item, ui))
        }
        args::Session::End { id } => {
            let call = Call::post(format!("/v1/sessions/{id}/end"), &json!({}));
            changed(session, ui, &call, |view| view.display.clone()).await
        }
        args::Session::Reopen { id } => {
            let call = Call::post(format!("/v1/sessions/{id}/reopen"), &json!({}));
            changed(session, ui, &call, |view| format!("life {}", view.incarnation)).await
        }
        args::Session::Set { id, mode } => {
            let call = Call::patch(format!("/v1/sessions/{id}"), &json!({ "mode": mode.0 }));
            changed(session, ui, &call, |view| format!("mode {}", word(&view.mode))).await
        }
    }
}

/// Changes it, and prints what it is now.
async fn changed(
    session: &mut Session<'_>,
    ui: &Ui,
    call: &Call,
    how: impl FnOnce(&SessionView) -> String,
) -> Result<Exit> {
    let body = session.ask(call).await?;
    match ui.format {
        Format::Text => {
            let view: SessionView = listing::read(&body)?;
            ui.line(format!("{}\t{}", view.id, how(&view)))?;
        }
        Format::Json | Format::Jsonl => ui.line(&body)?,
    }
    Ok(Exit::Done)
}

fn row(session: &SessionView, ui: &Ui) -> Vec<String> {
    vec![
        session.id.to_string(),
        session.agent.to_string(),
        session.display.clone(),
        session.turn.number.to_string(),
        session.pending.len().to_string(),
        ui.instant(session.activity_at),
        session.run.clone().unwrap_or_default(),
    ]
}

fn record(session: &SessionView, ui: &Ui) -> Vec<(&'static str, String)> {
    let mut pairs = vec![
        ("id", session.id.to_string()),
        ("agent", session.agent.to_string()),
        ("state", session.display.clone()),
        ("mode", word(&session.mode)),
        ("turn", turn(session)),
    ];
    pairs.extend(session.run.clone().map(|run| ("run", run)));
    pairs.extend(session.pending.iter().map(|gate| ("waits for", gate.clone())));
    if let Some(error) = &session.last_error {
        pairs.push((
            "last error",
            format!("{} {}", error.reason, error.text).trim().to_owned(),
        ));
    }
    if session.incarnation > 1 {
        pairs.push(("life", session.incarnation.to_string()));
    }
    pairs.push(("created", ui.instant(session.created_at)));
    pairs.push(("since", ui.instant(session.entered_at)));
    pairs.push(("activity", ui.instant(session.activity_at)));
    pairs
}

fn turn(session: &SessionView) -> String {
    let turn = &session.turn;
    match &turn.result {
        Some(result) => format!("{} ({})", turn.number, word(result)),
        None => format!("{} ({})", turn.number, word(&turn.phase)),
    }
}

/// The word an enum is stored as.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}
