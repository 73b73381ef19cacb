//! `/v1/sessions`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use dormouse_engine::session::SessionRow;
use dormouse_engine::{AgentName, SessionId};
use dormouse_state::{Answer, Command, EndReason, Mode};
use serde::Deserialize;

use super::Paging;
use super::body::{self, Json, List, Named, Parameters};
use super::house::{Asker, House};
use super::refusal::Answered;
use super::view::SessionView;
use crate::edge;
use crate::problem::{Code, Problem};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    agent: Option<AgentName>,
    limit: Option<usize>,
    cursor: Option<String>,
}

pub(super) async fn list(asker: Asker, Parameters(wanted): Parameters<Wanted>) -> Answered {
    let paging = Paging {
        limit: wanted.limit,
        cursor: wanted.cursor,
    };
    let (sessions, limit) = (&asker.tenant.sessions, paging.limit()?);
    let (rows, next) = match &wanted.agent {
        Some(agent) => sessions.list(agent, paging.cursor(), limit).await?,
        None => sessions.list_all(paging.cursor(), limit).await?,
    };
    let now = edge::now();
    let items = rows
        .iter()
        .map(|row| SessionView::of(row, row.version(), now))
        .collect::<Result<Vec<_>, _>>()?;
    let next_cursor = next.map(|cursor| cursor.to_string());
    Ok(body::json(StatusCode::OK, &List { items, next_cursor }))
}

pub(super) async fn get(asker: Asker, Named(id): Named) -> Answered {
    let id = asker.tenant.sessions.resolve(&id).await?;
    show(&asker, id).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {}

/// Ends a session for good, and stops the run that is at it. Ended again it is answered as the first time.
pub(super) async fn end(asker: Asker, Named(id): Named, Json(End {}): Json<End>) -> Answered {
    let id = asker.tenant.sessions.resolve(&id).await?;
    let ended = asker
        .tenant
        .sessions
        .end(&asker.principal, id, EndReason::Operator);
    // One that had ended is answered as it is.
    let _ = ended.await?;
    show(&asker, id).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reopen {}

/// Begins the next life of an ended session.
pub(super) async fn reopen(asker: Asker, Named(id): Named, Json(Reopen {}): Json<Reopen>) -> Answered {
    let (id, sessions) = (asker.tenant.sessions.resolve(&id).await?, &asker.tenant.sessions);
    let former = sessions.require(id).await?.state.incarnation;
    if sessions.reopen(&asker.principal, id).await? == former {
        return Err(Problem::new(Code::State, format!("session {id} has not ended"))
            .hint("one that is over has a next life; this one goes on as it is"));
    }
    let mut answer = show(&asker, id).await?;
    *answer.status_mut() = StatusCode::CREATED;
    Ok(answer)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Set {
    mode: Mode,
}

/// Sets under which rule its calls are made from now on.
pub(super) async fn set(
    State(house): State<House>,
    asker: Asker,
    Named(id): Named,
    Json(Set { mode }): Json<Set>,
) -> Answered {
    let (id, sessions) = (asker.tenant.sessions.resolve(&id).await?, &asker.tenant.sessions);
    house.engine().modes().may_be_set(mode).map_err(|error| {
        Problem::from(error).hint("an operator allows it in the settings: dormouse help config")
    })?;
    let set = Command::SetMode { mode };
    if let Answer::Rejected(why) = sessions.command(&asker.principal, id, &set).await? {
        let problem = Problem::new(Code::State, format!("session {id} takes no mode: it has {why}"));
        return Err(problem.hint(format!("see dormouse session show {id}")));
    }
    show(&asker, id).await
}

/// The session as it is now: with what its driver gathered beside its row.
async fn show(asker: &Asker, id: SessionId) -> Result<Response, Problem> {
    let sessions = &asker.tenant.sessions;
    let row = sessions.require(id).await?;
    let newest = SessionRow {
        state: sessions.state(id).await?,
        ..SessionRow::clone(&row)
    };
    let view = SessionView::of(&newest, row.version(), edge::now())?;
    Ok(body::item(StatusCode::OK, row.version().get(), &view))
}
