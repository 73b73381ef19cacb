//! The durable steps of a run, as its worker does them: begun by one request, and ended by another.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use dormouse_engine::gate::Canonical;
use dormouse_engine::limits::STEP_RESULT_MAX;
use dormouse_engine::step::{Begun, Effect, StepError, StepFault, StepReport, Ticket};
use dormouse_engine::supervisor::Asking;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::api::body::{self, Json, Named};
use crate::problem::{Code, Problem};

/// Longest body that ends a step: a result of control characters alone, each of which needs six bytes of JSON.
const END_BYTES_MAX: usize = 6 * STEP_RESULT_MAX + 1024;

/// A step that a worker wants to do.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewStep {
    /// Its name.
    pub(crate) name: String,
    /// Which call it is, instead of its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// With what.
    pub(crate) input: Box<RawValue>,
    /// What doing it twice does.
    pub(crate) effect: Effect,
}

/// How it ended.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EndStep {
    /// It printed this.
    Printed(String),
    /// It printed so many bytes, more than are kept.
    TooLarge(u64),
    /// Certainly not done.
    NotDone(String),
    /// Failed, and would again.
    Permanent(String),
    /// Whether it was done is not known.
    Unknown(String),
}

/// What a worker is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StepAnswer {
    /// It is to be done.
    Do {
        /// What ends it.
        ticket: u64,
        /// What it hands to whom it asks.
        key: String,
    },
    /// What is kept of it, now or since a former attempt.
    Result(Box<RawValue>),
    /// It was not done, and nothing is kept.
    NotDone(String),
    /// It failed for good, now or in a former attempt.
    Permanent(String),
    /// It was done, and printed more than is kept.
    TooLarge {
        /// So many bytes.
        bytes: u64,
    },
}

/// The steps that were begun over one connection. When that ends, whoever began them is gone and ends none of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Carried(Arc<Mutex<Vec<Ticket>>>);

impl Carried {
    fn add(&self, ticket: Ticket) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(ticket);
    }

    /// The connection has ended.
    pub(super) fn abandon(&self, asking: &Asking) {
        let tickets = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for ticket in tickets {
            asking.abandon_step(ticket);
        }
    }
}

/// Whether the connection is over with this exchange, whatever becomes of who asked.
fn closes(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONNECTION);
    value.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"))
}

/// Begins a step, or answers with what is kept of it. It is whoever's the connection is, for as long as that is there.
pub(super) async fn begin(
    State(asking): State<Asking>,
    Extension(carried): Extension<Carried>,
    headers: HeaderMap,
    Json(wanted): Json<NewStep>,
) -> Result<Response, Problem> {
    let input = Canonical::parse(wanted.input.get())
        .map_err(|why| Problem::new(Code::Invalid, format!("input: {why}")))?;
    let begun = asking
        .begin_step(&wanted.name, wanted.key.as_deref(), &input, wanted.effect)
        .await;
    answered(begun.and_then(|begun| match begun {
        Begun::Do { ticket, key } => {
            if !closes(&headers) {
                carried.add(ticket);
            }
            Ok(StepAnswer::Do {
                ticket: ticket.0,
                key: key.to_string(),
            })
        }
        Begun::Done(json) => result(json),
    }))
}

/// Ends one, and answers with what is kept of it.
pub(super) async fn end(
    State(asking): State<Asking>,
    Named(ticket): Named,
    Json(end): Json<EndStep, END_BYTES_MAX>,
) -> Result<Response, Problem> {
    let ticket = ticket
        .parse()
        .map_err(|_| Problem::new(Code::BadRequest, "the ticket of a step is a number"))?;
    let end = match end {
        EndStep::Printed(text) => StepReport::Result(text.into()),
        EndStep::TooLarge(bytes) => StepReport::TooLarge(bytes),
        EndStep::NotDone(text) => StepFault::NotDone(text).into(),
        EndStep::Permanent(text) => StepFault::Permanent(text).into(),
        EndStep::Unknown(text) => StepFault::Unknown(text).into(),
    };
    answered(asking.end_step(Ticket(ticket), end).await.and_then(result))
}

fn result(json: String) -> Result<StepAnswer, StepError> {
    let raw = RawValue::from_string(json).expect("what is stored of a step is JSON");
    Ok(StepAnswer::Result(raw))
}

/// What is remembered of a step is an answer; what was refused is a problem.
fn answered(answer: Result<StepAnswer, StepError>) -> Result<Response, Problem> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(StepError::NotDone { message, .. }) => StepAnswer::NotDone(message.into_string()),
        Err(StepError::Permanent { message, .. }) => StepAnswer::Permanent(message.into_string()),
        Err(StepError::TooLarge { bytes, .. }) => StepAnswer::TooLarge { bytes },
        Err(error) => return Err(refused(error)),
    };
    Ok(body::json(StatusCode::OK, &answer))
}

fn refused(error: StepError) -> Problem {
    let text = error.to_string();
    match error {
        StepError::Command(error) => error.into(),
        StepError::StepChanged { .. } => Problem::new(Code::State, text)
            .hint("give it another name or --key; dormouse task retry --fresh does all steps of a task anew"),
        StepError::StepInProgress { .. } => {
            Problem::new(Code::State, text).hint("give each call that goes on at once a --key of its own")
        }
        StepError::StepsExhausted => {
            Problem::new(Code::Limit, text).hint("do more in one step, or split the task")
        }
        StepError::Name(_) | StepError::Input { .. } => Problem::new(Code::Invalid, text),
        StepError::WithinStep { .. }
        | StepError::TooLarge { .. }
        | StepError::NotDone { .. }
        | StepError::Permanent { .. }
        | StepError::Lost { .. }
        | StepError::Unreadable { .. }
        | StepError::Gate(_) => Problem::new(Code::State, text),
    }
}
