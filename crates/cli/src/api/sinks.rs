//! `/v1/sinks`: where events are sent.

use axum::http::StatusCode;
use axum::response::Response;
use dormouse_engine::SinkName;
use dormouse_engine::relay::RelayCursor;
use serde::Deserialize;

use super::body::{self, Json, List, Named};
use super::house::Asker;
use super::refusal::Answered;
use super::view::SinkView;
use crate::problem::{Code, Problem};

pub(super) async fn list(asker: Asker) -> Answered {
    let last = last(&asker).await?;
    let sinks = asker.tenant.sinks.list().await?;
    let items: Vec<SinkView> = sinks.iter().map(|sink| SinkView::of(sink, last)).collect();
    let next_cursor = None;
    Ok(body::json(StatusCode::OK, &List { items, next_cursor }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

pub(super) async fn pause(asker: Asker, Named(sink): Named, Json(Nothing {}): Json<Nothing>) -> Answered {
    let sink = parsed(&sink)?;
    let paused = asker.tenant.sinks.pause(&asker.principal, &sink).await?;
    show(&asker, &paused).await
}

pub(super) async fn resume(asker: Asker, Named(sink): Named, Json(Nothing {}): Json<Nothing>) -> Answered {
    let sink = parsed(&sink)?;
    let resumed = asker.tenant.sinks.resume(&asker.principal, &sink).await?;
    show(&asker, &resumed).await
}

pub(super) async fn remove(asker: Asker, Named(sink): Named) -> Answered {
    let sink = parsed(&sink)?;
    asker.tenant.sinks.remove(&asker.principal, &sink).await?;
    Ok(body::nothing())
}

async fn show(asker: &Asker, cursor: &RelayCursor) -> Result<Response, Problem> {
    let view = SinkView::of(cursor, last(asker).await?);
    Ok(body::json(StatusCode::OK, &view))
}

/// The position of the newest event; 0 where there is none.
async fn last(asker: &Asker) -> Result<u64, Problem> {
    Ok(asker.tenant.events.head().await?.next.get() - 1)
}

fn parsed(name: &str) -> Result<SinkName, Problem> {
    name.parse()
        .map_err(|error| Problem::new(Code::BadRequest, format!("name: {error}")))
}
