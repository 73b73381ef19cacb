//! `/v1/wakes`: when agents are to be woken.

use axum::http::StatusCode;
use axum::response::Response;
use dormouse_engine::AgentName;
use dormouse_engine::command::CommandSpec;
use dormouse_engine::wake::{NewWake, TimedWake};
use dormouse_filesystem::Version;
use jiff::Timestamp;
use serde::Deserialize;

use super::OfAgent;
use super::body::{self, Json, List, Named, Parameters};
use super::house::Asker;
use super::refusal::{self, Answered};
use super::view::WakeView;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    agent: AgentName,
    due: Timestamp,
    reason: String,
    #[serde(default)]
    command: Option<CommandSpec>,
}

/// Adds one, and answers when it is durable: what comes of it is a task, later.
pub(super) async fn add(asker: Asker, Json(wanted): Json<Wanted>) -> Answered {
    let new = NewWake {
        agent: wanted.agent,
        due: wanted.due,
        reason: wanted.reason,
        command: wanted.command,
    };
    // Not read again: one that is due at once may be a task by now.
    let (wake, version) = asker.tenant.wakes.add(&asker.decider, new).await?;
    Ok(shown(StatusCode::ACCEPTED, &wake, version))
}

pub(super) async fn list(asker: Asker, Parameters(filter): Parameters<OfAgent>) -> Answered {
    let (agent, paging) = filter.parts();
    let (wakes, limit) = (&asker.tenant.wakes, paging.limit()?);
    let page = wakes.list(agent.as_ref(), paging.cursor(), limit).await?;
    refusal::whole(&page.issues)?;
    let items: Vec<_> = page
        .rows
        .iter()
        .map(|wake| WakeView::of(wake, wake.version()))
        .collect();
    let next_cursor = page.next.map(|cursor| cursor.to_string());
    Ok(body::json(StatusCode::OK, &List { items, next_cursor }))
}

pub(super) async fn get(asker: Asker, Named(id): Named) -> Answered {
    let id = asker.tenant.wakes.resolve(&id).await?;
    let wake = asker.tenant.wakes.get(id).await?;
    Ok(shown(StatusCode::OK, &wake, wake.version()))
}

/// Calls one off that waits.
pub(super) async fn cancel(asker: Asker, Named(id): Named) -> Answered {
    let id = asker.tenant.wakes.resolve(&id).await?;
    asker.tenant.wakes.cancel(&asker.decider, id).await?;
    Ok(body::nothing())
}

fn shown(status: StatusCode, wake: &TimedWake, version: Version) -> Response {
    body::item(status, version.get(), &WakeView::of(wake, version))
}
