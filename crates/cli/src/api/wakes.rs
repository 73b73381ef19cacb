//! `/v1/wakes`: when agents are to be woken.

use axum::http::StatusCode;
use axum::response::Response;
use dormouse_engine::command::CommandSpec;
use dormouse_engine::wake::NewWake;
use dormouse_engine::{AgentName, WakeId};
use jiff::Timestamp;
use serde::Deserialize;

use super::Paging;
use super::body::{self, Json, List, Named, Parameters};
use super::house::Asker;
use super::refusal::{self, Answered};
use super::view::WakeView;
use crate::problem::Problem;

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
    let wake = asker.tenant.wakes.add(&asker.decider, new).await?;
    show(&asker, wake.id, StatusCode::ACCEPTED).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    agent: Option<AgentName>,
    limit: Option<usize>,
    cursor: Option<String>,
}

pub(super) async fn list(asker: Asker, Parameters(filter): Parameters<Filter>) -> Answered {
    let paging = Paging {
        limit: filter.limit,
        cursor: filter.cursor,
    };
    let (wakes, limit) = (&asker.tenant.wakes, paging.limit()?);
    let page = wakes.list(filter.agent.as_ref(), paging.cursor(), limit).await?;
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
    show(&asker, id, StatusCode::OK).await
}

/// Calls one off that waits.
pub(super) async fn cancel(asker: Asker, Named(id): Named) -> Answered {
    let id = asker.tenant.wakes.resolve(&id).await?;
    asker.tenant.wakes.cancel(&asker.decider, id).await?;
    Ok(body::nothing())
}

async fn show(asker: &Asker, id: WakeId, status: StatusCode) -> Result<Response, Problem> {
    let wake = asker.tenant.wakes.get(id).await?;
    let view = WakeView::of(&wake, wake.version());
    Ok(body::item(status, wake.version().get(), &view))
}
