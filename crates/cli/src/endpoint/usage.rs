//! The routes of a run's endpoint for what its worker uses.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use dormouse_engine::HoldId;
use dormouse_engine::budget::{Admission, Amounts, Dimension, Warning};
use dormouse_engine::supervisor::{AskError, Asking};
use serde::{Deserialize, Serialize};

use super::serve::denied;
use crate::api::body::{self, Json, Named};
use crate::problem::{Code, Problem};

/// Amounts, as a worker says them: they may be anything.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Said {
    amounts: BTreeMap<Dimension, i64>,
    /// The id of the hold, where it has to be the same when it is asked for again.
    #[serde(default)]
    hold: Option<HoldId>,
}

/// Nothing more is said.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

#[derive(Debug, Serialize)]
struct HoldView {
    /// None where nothing is limited.
    hold: Option<HoldId>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Warning>,
}

#[derive(Debug, Serialize)]
struct SaidView {
    hold: HoldId,
    /// `continue`, `warn` or `stop`; none of a hold that is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    said: Option<&'static str>,
}

type Answered = Result<Response, Problem>;

/// Reserves. It answers when it is admitted or refused, after a person was asked where that is due.
pub(super) async fn reserve(State(asking): State<Asking>, Json(said): Json<Said>) -> Answered {
    let (hold, amounts) = (said.hold, flows(said)?);
    let admission = asking.reserve(hold, &amounts).await.map_err(refused)?;
    Ok(admitted(StatusCode::CREATED, admission))
}

pub(super) async fn grow(State(asking): State<Asking>, Named(id): Named, Json(said): Json<Said>) -> Answered {
    let admission = asking.grow(hold_of(&id)?, &flows(said)?).await.map_err(refused)?;
    Ok(admitted(StatusCode::OK, admission))
}

pub(super) async fn meter(
    State(asking): State<Asking>,
    Named(id): Named,
    Json(said): Json<Said>,
) -> Answered {
    let hold = hold_of(&id)?;
    let metered = asking.meter(hold, &flows(said)?).await.map_err(refused)?;
    Ok(told(hold, Some(metered.word())))
}

pub(super) async fn reconcile(
    State(asking): State<Asking>,
    Named(id): Named,
    Json(said): Json<Said>,
) -> Answered {
    let hold = hold_of(&id)?;
    asking.reconcile(hold, &flows(said)?).await.map_err(refused)?;
    Ok(told(hold, None))
}

pub(super) async fn release(
    State(asking): State<Asking>,
    Named(id): Named,
    Json(Nothing {}): Json<Nothing>,
) -> Answered {
    let hold = hold_of(&id)?;
    asking.release(hold).await.map_err(refused)?;
    Ok(told(hold, None))
}

fn admitted(status: StatusCode, admission: Admission) -> Response {
    let Admission { hold, warnings } = admission;
    body::json(status, &HoldView { hold, warnings })
}

fn told(hold: HoldId, said: Option<&'static str>) -> Response {
    body::json(StatusCode::OK, &SaidView { hold, said })
}

fn hold_of(id: &str) -> Result<HoldId, Problem> {
    id.parse()
        .map_err(|_| Problem::new(Code::BadRequest, "the id of a hold is hld_ and 32 digits"))
}

/// A worker says what it uses up; what it holds at once is the run's.
fn flows(said: Said) -> Result<Amounts, Problem> {
    if let Some((gauge, _)) = said.amounts.iter().find(|(dimension, _)| dimension.is_gauge()) {
        return Err(Problem::new(
            Code::Invalid,
            format!("amounts: {gauge} is counted by itself"),
        ));
    }
    Ok(Amounts::of_signed(said.amounts)?)
}

fn refused(error: AskError) -> Problem {
    denied(None, error)
}
