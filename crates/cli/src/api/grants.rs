//! `/v1/grants`: approvals that hold for equal calls of a session, and taking them back.

use axum::http::StatusCode;
use dormouse_engine::GateId;
use serde::Deserialize;

use super::Paging;
use super::body::{self, List, Named, Parameters};
use super::house::Asker;
use super::refusal::Answered;
use super::view::GrantView;
use crate::problem::{Code, Problem};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    session: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

pub(super) async fn list(asker: Asker, Parameters(wanted): Parameters<Wanted>) -> Answered {
    let paging = Paging {
        limit: wanted.limit,
        cursor: wanted.cursor,
    };
    let session = match wanted.session {
        Some(session) => Some(asker.tenant.sessions.resolve(&session).await?),
        None => None,
    };
    let (gates, limit) = (&asker.tenant.gates, paging.limit()?);
    let (rows, next) = gates.grants(session, paging.cursor(), limit).await?;
    let items: Vec<_> = rows.iter().map(|grant| GrantView::of(grant)).collect();
    let next_cursor = next.map(|cursor| cursor.to_string());
    Ok(body::json(StatusCode::OK, &List { items, next_cursor }))
}

pub(super) async fn revoke(asker: Asker, Named(id): Named) -> Answered {
    let gate: GateId = asker.tenant.gates.resolve(&id).await?;
    if asker.tenant.gates.revoke(&asker.decider, gate).await? {
        return Ok(body::nothing());
    }
    Err(Problem::new(Code::NotFound, format!("there is no grant {gate}"))
        .hint("see dormouse gate grants: it may have been taken back, or have gone with its session"))
}
