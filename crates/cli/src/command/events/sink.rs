//! `events sink list|pause|resume|remove`.

use serde_json::json;

use super::super::listing;
use crate::api::SinkView;
use crate::args::Sink;
use crate::client::{Call, Session};
use crate::exit::Exit;
use crate::output::{Format, Ui};
use crate::problem::Result;

pub(super) async fn sink(session: &mut Session<'_>, ui: &Ui, command: Sink) -> Result<Exit> {
    match command {
        Sink::List => {
            let columns = ["name", "state", "after", "behind", "moved", "error"];
            listing::whole(session, ui, Call::get("/v1/sinks"), &columns, |sink| {
                row(sink, ui)
            })
            .await
        }
        Sink::Pause { sink } => set(session, ui, &format!("{sink}/pause")).await,
        Sink::Resume { sink } => set(session, ui, &format!("{sink}/resume")).await,
        Sink::Remove { sink } => {
            session.ask(&Call::delete(format!("/v1/sinks/{sink}"))).await?;
            ui.note(&format!("sink {sink} is forgotten"));
            Ok(Exit::Done)
        }
    }
}

/// Sets how it is, and prints what it is now.
async fn set(session: &mut Session<'_>, ui: &Ui, how: &str) -> Result<Exit> {
    let body = session
        .ask(&Call::post(format!("/v1/sinks/{how}"), &json!({})))
        .await?;
    match ui.format {
        Format::Text => {
            let view: SinkView = listing::read(&body)?;
            ui.line(format!("{}\t{}", view.name, view.state))?;
        }
        Format::Json | Format::Jsonl => ui.line(&body)?,
    }
    Ok(Exit::Done)
}

fn row(sink: &SinkView, ui: &Ui) -> Vec<String> {
    vec![
        sink.name.clone(),
        sink.state.clone(),
        sink.after.to_string(),
        sink.behind.to_string(),
        ui.instant(sink.updated_at),
        sink.last_error.clone().unwrap_or_default(),
    ]
}
