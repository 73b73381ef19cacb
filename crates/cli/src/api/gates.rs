//! `/v1/gates`: what waits for a person, and deciding it as it was shown.

use axum::http::StatusCode;
use axum::response::Response;
use dormouse_engine::gate::{
    Choice, Decide, EditedInput, Gate, GateCursor, GateError, GateFilter, Scope, Surface,
};
use dormouse_engine::run::RunState;
use dormouse_engine::{AgentName, CommandError, GateId, Subject};
use dormouse_filesystem::{Digest, Version};
use dormouse_secrets::Scrubber;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Paging;
use super::body::{self, Json, List, Named, Parameters};
use super::house::Asker;
use super::refusal::{self, Answered};
use super::view::{GateView, ShownView};
use crate::problem::{Code, Problem};

/// Most decisions of a batch.
const BATCH_MAX: usize = dormouse_engine::limits::GATES_BATCH_MAX;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    agent: Option<AgentName>,
    session: Option<String>,
    /// `pending` or `all`.
    state: Option<GateState>,
    limit: Option<usize>,
    cursor: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum GateState {
    Pending,
    All,
}

pub(super) async fn list(asker: Asker, Parameters(wanted): Parameters<Wanted>) -> Answered {
    let paging = Paging {
        limit: wanted.limit,
        cursor: None,
    };
    let session = match wanted.session {
        Some(session) => Some(asker.tenant.sessions.resolve(&session).await?),
        None => None,
    };
    let filter = GateFilter {
        agent: wanted.agent,
        session,
        is_pending: wanted.state == Some(GateState::Pending),
    };
    let after = match &wanted.cursor {
        Some(cursor) => Some(GateCursor::from_text(cursor)?),
        None => None,
    };
    let page = asker.tenant.gates.list(&filter, after, paging.limit()?).await?;
    refusal::whole(&page.issues)?;
    let items = page.rows.iter().map(|gate| GateView::of(gate, gate.version()));
    Ok(body::json(
        StatusCode::OK,
        &List {
            items: items.collect::<Vec<_>>(),
            next_cursor: page.next.map(|cursor| cursor.to_text()),
        },
    ))
}

pub(super) async fn get(asker: Asker, Named(id): Named) -> Answered {
    let id = asker.tenant.gates.resolve(&id).await?;
    show(&asker, id, When::Pending).await
}

/// When the effect of its decision is worth saying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// Before it is decided.
    Pending,
    /// Now, since it was just decided.
    Decided,
}

async fn show(asker: &Asker, id: GateId, when: When) -> Result<Response, Problem> {
    let gate = asker.tenant.gates.get(id).await;
    let gate = gate.map_err(|error| refused(id, error))?;
    let mut view = GateView::of(&gate, gate.version());
    let shown = asker.tenant.gates.displays(id).await?;
    view.shown = shown.iter().map(|shown| ShownView::of(shown)).collect();
    if gate.is_pending() || when == When::Decided {
        view = view.with_effect(effect(asker, &gate).await?);
    }
    Ok(body::item(StatusCode::OK, gate.version().get(), &view))
}

/// What deciding does, or did: who waits for it, and where.
async fn effect(asker: &Asker, gate: &Gate) -> Result<String, CommandError> {
    if let Some(ask) = &gate.budget {
        return Ok(format!(
            "approved with a limit, {} may use up to that until its period ends",
            ask.account
        ));
    }
    let kept = match &gate.origin {
        Subject::Task(task) => format!("its answer is kept for the next run of {task}"),
        origin => format!("its answer is kept for {}", origin.id()),
    };
    let Some(caller) = gate.caller.filter(|_| gate.blocking) else {
        return Ok("nobody waits for it".to_owned());
    };
    let run = match asker.tenant.runs.get(caller.run).await {
        Ok(row) => row.run,
        Err(CommandError::NotFound { .. }) => return Ok(kept),
        Err(error) => return Err(error),
    };
    Ok(match run.state {
        RunState::Starting | RunState::Running | RunState::Stopping => {
            format!("it answers the waiting call of {}", run.id)
        }
        RunState::Waiting => match run.task {
            Some(task) => format!("it makes {task} ready, which waits for it: dormouse run {task}"),
            None => kept,
        },
        RunState::Ended => kept,
    })
}

/// What is decided, of one gate or several.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Decision {
    Approve,
    Reject,
    Answer,
}

/// A decision on the gate of the path.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OneDecision {
    decision: Decision,
    shown_version: u64,
    shown_digest: Digest,
    #[serde(default)]
    scope: Scope,
    comment: Option<String>,
    input: Option<Box<RawValue>>,
    text: Option<String>,
    #[serde(default)]
    chosen: Vec<usize>,
    /// The limit of an account whose gate is approved.
    limit: Option<u64>,
}

/// One decision for several gates, each as it was shown.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ManyDecisions {
    decision: Decision,
    comment: Option<String>,
    gates: Vec<Shown>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shown {
    gate: GateId,
    shown_version: u64,
    shown_digest: Digest,
}

/// What one of several came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecidedView {
    /// Which.
    pub id: GateId,
    /// The status it would have had alone.
    pub status: u16,
    /// The gate, where the decision was applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateView>,
    /// Why it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

impl DecidedView {
    fn refused(id: GateId, problem: Problem) -> Self {
        Self {
            id,
            status: problem.status,
            gate: None,
            problem: Some(problem),
        }
    }
}

pub(super) async fn decide(asker: Asker, Named(id): Named, Json(wanted): Json<OneDecision>) -> Answered {
    let id = asker.tenant.gates.resolve(&id).await?;
    let scrubber = &scrubber_of(&asker, id).await?;
    let edited = match &wanted.input {
        Some(input) => Some(EditedInput::new(input.get(), scrubber).map_err(|error| refused(id, error))?),
        None => None,
    };
    let choice = match wanted.decision {
        Decision::Approve => match wanted.limit {
            Some(limit) => Choice::Raise { limit },
            None => Choice::Approve { edited },
        },
        Decision::Reject => Choice::Reject,
        Decision::Answer => Choice::Answer {
            text: wanted.text.as_deref().map(|text| scrubber.scrub(text)),
            chosen: wanted.chosen,
        },
    };
    let decide = Decide {
        gate: id,
        choice,
        shown_version: Version::new(wanted.shown_version),
        shown_digest: wanted.shown_digest,
        scope: wanted.scope,
        comment: wanted.comment.as_deref().map(|comment| scrubber.scrub(comment)),
    };
    let decided = asker.tenant.gates.decide(&asker.decider, &decide).await;
    decided.map_err(|error| refused(id, error))?;
    show(&asker, id, When::Decided).await
}

pub(super) async fn decide_many(asker: Asker, Json(wanted): Json<ManyDecisions>) -> Answered {
    if wanted.gates.is_empty() || wanted.gates.len() > BATCH_MAX {
        let detail = format!(
            "gates: {} are named, 1 to {BATCH_MAX} are taken",
            wanted.gates.len()
        );
        return Err(Problem::new(Code::Invalid, detail));
    }
    let choice = match wanted.decision {
        Decision::Approve => Choice::Approve { edited: None },
        Decision::Reject => Choice::Reject,
        Decision::Answer => {
            return Err(Problem::new(
                Code::Invalid,
                "decision: questions are answered one by one",
            ));
        }
    };
    let mut items = Vec::with_capacity(wanted.gates.len());
    for shown in wanted.gates {
        let comment = match &wanted.comment {
            None => None,
            Some(comment) => match scrubber_of(&asker, shown.gate).await {
                Ok(scrubber) => Some(scrubber.scrub(comment)),
                // The others were decided, or will be: each has its own answer.
                Err(problem) => {
                    items.push(DecidedView::refused(shown.gate, problem));
                    continue;
                }
            },
        };
        let decide = Decide {
            gate: shown.gate,
            choice: choice.clone(),
            shown_version: Version::new(shown.shown_version),
            shown_digest: shown.shown_digest,
            scope: Scope::Once,
            comment,
        };
        items.push(one_of_many(&asker, &decide).await);
    }
    let next_cursor = None;
    Ok(body::json(StatusCode::OK, &List { items, next_cursor }))
}

/// What is said of a gate passes what its agent knows before it is stored. An unknown one has no agent, and is refused
/// when it is decided.
async fn scrubber_of(asker: &Asker, gate: GateId) -> Result<Scrubber, Problem> {
    match asker.tenant.gates.get(gate).await {
        Ok(row) => Ok(asker.tenant.credentials.scrubber(&row.agent).await?),
        Err(GateError::UnknownGate { .. }) => Ok(Scrubber::empty()),
        Err(error) => Err(refused(gate, error)),
    }
}

async fn one_of_many(asker: &Asker, decide: &Decide) -> DecidedView {
    let id = decide.gate;
    let decided = match asker.tenant.gates.decide(&asker.decider, decide).await {
        Ok(_) => asker.tenant.gates.get(id).await,
        Err(error) => Err(error),
    };
    match decided {
        Ok(gate) => DecidedView {
            id,
            status: StatusCode::OK.as_u16(),
            gate: Some(GateView::of(&gate, gate.version())),
            problem: None,
        },
        Err(error) => DecidedView::refused(id, refused(id, error)),
    }
}

pub(super) async fn discard(asker: Asker, Named(id): Named) -> Answered {
    let id = asker.tenant.gates.resolve(&id).await?;
    let discarded = asker.tenant.gates.discard(&asker.decider, id).await;
    discarded.map_err(|error| refused(id, error))?;
    Ok(body::nothing())
}

/// That a gate was shown at a place, and how that finds it again.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShownAt {
    surface: Surface,
    reference: Option<String>,
}

/// Longest reference of a place, in bytes.
const REFERENCE_MAX: usize = 256;

pub(super) async fn shown(
    asker: Asker,
    Named(id): Named,
    Json(ShownAt { surface, reference }): Json<ShownAt>,
) -> Answered {
    let id = asker.tenant.gates.resolve(&id).await?;
    if reference.as_ref().is_some_and(|text| text.len() > REFERENCE_MAX) {
        let detail = format!("reference: at most {REFERENCE_MAX} bytes are taken");
        return Err(Problem::new(Code::Invalid, detail));
    }
    let reference = match reference {
        Some(text) => Some(scrubber_of(&asker, id).await?.scrub(&text)),
        None => None,
    };
    let gates = &asker.tenant.gates;
    let shown = gates
        .shown(&asker.decider, id, &surface, reference.as_ref())
        .await;
    shown.map_err(|error| refused(id, error))?;
    Ok(body::nothing())
}

/// What gates refuse, about this one.
pub(crate) fn refused(gate: GateId, error: GateError) -> Problem {
    let look = format!("see dormouse gate show {gate}");
    match error {
        GateError::UnknownGate { gate } => {
            Problem::new(Code::NotFound, format!("there is no gate {gate}")).hint("see dormouse gate list")
        }
        GateError::NotPending { status, by, at } => {
            let ago = match crate::output::TimeStyle::Relative.show(at, crate::edge::now()) {
                now if now == "now" => "just now".to_owned(),
                ago => ago,
            };
            Problem::new(Code::State, format!("gate {gate} was {status} by {by} {ago}")).hint(look)
        }
        GateError::TooLate { expired_at } => Problem::new(
            Code::State,
            format!(
                "gate {gate} expired at {expired_at}; the decision was recorded as too late, and not applied"
            ),
        )
        .hint("the worker was told no; what it wanted can be asked again by running its task again"),
        GateError::Changed { current } => Problem::new(
            Code::Stale,
            format!("gate {gate} is not what was shown: it has another digest, or is at version {current}"),
        )
        .current_version(current.get())
        .hint(format!("look again before deciding: dormouse gate show {gate}")),
        GateError::Forbidden { principal } => {
            Problem::new(Code::Forbidden, format!("{principal} may not decide gate {gate}"))
                .hint("ask somebody who may")
        }
        GateError::NotDecidable { place } => {
            Problem::new(Code::State, format!("gate {gate} can only be answered {place}")).hint(look)
        }
        GateError::WrongType { kind, decision, .. } => {
            let kind = dormouse_engine::gate::kind_word(kind);
            let how = match kind {
                "approval" => format!("dormouse gate approve {gate}, or reject"),
                "question" => format!("dormouse gate answer {gate} TEXT, or reject"),
                _ => format!("dormouse gate answer {gate}: that it was seen"),
            };
            Problem::new(
                Code::Invalid,
                format!("gate {gate} is of type {kind}, which takes no {decision}"),
            )
            .hint(format!("use {how}"))
        }
        GateError::Full { limit } => Problem::new(
            Code::Limit,
            format!("as many gates as {limit} allows are pending; the call is denied"),
        )
        .hint("decide some first: dormouse gate list"),
        GateError::AlreadyAwaited { gate } => Problem::new(
            Code::State,
            format!("gate {gate} is awaited already; the first to wait gets the answer"),
        ),
        error @ GateError::Invalid { .. } => Problem::new(Code::Invalid, error.to_string()).hint(look),
        GateError::UnknownSession { session } => {
            Problem::new(Code::NotFound, format!("there is no session {session}"))
                .hint("see dormouse session list")
        }
        error @ GateError::StaleIncarnation { .. } => Problem::new(Code::Stale, error.to_string()),
        error @ GateError::Rejected { .. } => Problem::new(Code::State, error.to_string()),
        GateError::Command(error) => error.into(),
    }
}
