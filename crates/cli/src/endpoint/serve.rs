//! Serving a run's endpoint: what its worker asks people, and what it uses, for the holder of the run's token.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use dormouse_engine::GateId;
use dormouse_engine::capability::CapabilityError;
use dormouse_engine::detect::Rules;
use dormouse_engine::gate::{Asked, Gate, mode_word};
use dormouse_engine::limits::DEPENDENCIES_MAX;
use dormouse_engine::supervisor::{AskError, Asking};
use dormouse_engine::task::{NewTask, Receiver, TaskState};
use dormouse_filesystem::Version;
use dormouse_secrets::Scrubbed;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tower::ServiceExt;

use super::steps::{self, Carried};
use super::wire::{GiftView, NewGift, NewRequest, ResultView};
use super::{detect, usage};
use crate::api::GateView;
use crate::api::body::{self, Json, Named};
use crate::api::gates::refused;
use crate::owner::token::ControlToken;
use crate::problem::{Code, Problem};

/// Connections at once; more wait in the backlog. A run has at most 100 pending gates, and each is awaited by one; a step that
/// goes on has one from its beginning to its end.
const CONNECTIONS_MAX: usize = 256;

/// The routes of a run's endpoint.
pub(super) fn router(asking: Asking, token: ControlToken, rules: Rules) -> Router {
    Router::new()
        .route("/v1/requests", post(ask))
        .route("/v1/requests/{id}/answer", post(answer))
        .route("/v1/holds", post(usage::reserve))
        .route("/v1/holds/{id}/grow", post(usage::grow))
        .route("/v1/holds/{id}/meter", post(usage::meter))
        .route("/v1/holds/{id}/reconcile", post(usage::reconcile))
        .route("/v1/holds/{id}/release", post(usage::release))
        .route("/v1/steps", post(steps::begin))
        .route("/v1/steps/{ticket}/end", post(steps::end))
        .route("/v1/detect", get(detect::limits).post(detect::detect))
        .route("/v1/tasks", post(give))
        .route("/v1/tasks/{id}/result", post(result))
        .fallback(async || {
            Problem::new(Code::NoRoute, "the endpoint of a run has no such route").into_response()
        })
        .layer(Extension(rules))
        .layer(middleware::from_fn_with_state(token, admit))
        .with_state(asking)
}

/// Lets the holder of the run's token through.
async fn admit(State(token): State<ControlToken>, request: Request, next: Next) -> Response {
    let presented = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if presented.is_some_and(|presented| token.is(presented)) {
        return next.run(request).await;
    }
    Problem::new(Code::Unauthorized, "the token is not that of this run")
        .hint("it is in the run's folder, DORMOUSE_RUN_DIR")
        .into_response()
}

/// Asks. The gate is durable when this answers; no content where the session's mode lets the call be made.
async fn ask(State(asking): State<Asking>, Json(wanted): Json<NewRequest>) -> Result<Response, Problem> {
    let question = wanted.question()?;
    match asking.ask(&question).await.map_err(|error| denied(None, error))? {
        Asked::Person(opened) => Ok(view(StatusCode::CREATED, &opened.gate)),
        Asked::Allowed => Ok(body::nothing()),
        Asked::Denied { mode } => Err(Problem::new(
            Code::Forbidden,
            format!(
                "the session's mode is {}, which denies this call; nobody was asked",
                mode_word(mode)
            ),
        )
        .hint("do not do it; an operator changes the mode with dormouse session set SESSION mode=ask")),
    }
}

/// Waits for the answer to what is sent again, for as long as it takes: it is an answer to this and to nothing else.
async fn answer(
    State(asking): State<Asking>,
    Named(id): Named,
    Json(wanted): Json<NewRequest>,
) -> Result<Response, Problem> {
    let id: GateId = id
        .parse()
        .map_err(|_| Problem::new(Code::BadRequest, "the id of a gate is gat_ and 32 digits"))?;
    let answered = asking.answer(id, &wanted.question()?).await;
    let gate = answered.map_err(|error| denied(Some(id), error))?;
    Ok(view(StatusCode::OK, &gate))
}

/// Gives a task away: words, no command line.
async fn give(State(asking): State<Asking>, Json(gift): Json<NewGift>) -> Result<Response, Problem> {
    if gift.after.len() > DEPENDENCIES_MAX {
        let detail = format!("after: at most {DEPENDENCIES_MAX} tasks are taken");
        return Err(Problem::new(Code::Invalid, detail));
    }
    let mut after = Vec::with_capacity(gift.after.len());
    for given in &gift.after {
        after.push(asking.resolve_task(given).await?);
    }
    let new = NewTask {
        body: gift.body,
        priority: gift.priority,
        after,
        on_failed: gift.on_failed,
        ..NewTask::new(gift.agent, gift.title)
    };
    let given = asking.give(new).await?;
    let view = GiftView {
        id: given.task.id,
        number: given.task.number,
        state: given.task.state.word().to_owned(),
        is_paused: given.receiver == Receiver::Paused,
    };
    Ok(body::json(StatusCode::CREATED, &view))
}

/// Waits for what became of it, for as long as it takes, and takes it.
async fn result(
    State(asking): State<Asking>,
    Named(id): Named,
    Json(Nothing {}): Json<Nothing>,
) -> Result<Response, Problem> {
    let given = asking.result(asking.resolve_task(&id).await?).await?;
    let outcome = match given.task.as_ref().map(|task| &task.state) {
        Some(TaskState::Done { outcome } | TaskState::Failed { outcome }) => Some(*outcome),
        _ => None,
    };
    let view = ResultView {
        id: given.child,
        end: given.end,
        outcome,
        text: given.text.map(Scrubbed::into_string),
    };
    Ok(body::json(StatusCode::OK, &view))
}

/// The body of a request that says nothing more.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// The worker decides nothing, so its view needs no version.
fn view(status: StatusCode, gate: &Gate) -> Response {
    body::json(status, &GateView::of(gate, Version::new(0)))
}

pub(super) fn denied(gate: Option<GateId>, error: AskError) -> Problem {
    match (error, gate) {
        (AskError::Gate(error), Some(gate)) => refused(gate, error),
        (AskError::Gate(error), None) => unopened(error),
        (error @ AskError::WithinStep, _) => {
            Problem::new(Code::State, error.to_string()).hint("ask before the step begins, or behind its end")
        }
        (AskError::Capability(CapabilityError::Command(error)), _) => error.into(),
        (AskError::Capability(error), _) => {
            Problem::new(Code::State, format!("{error}, so the call is denied"))
                .hint("ask again: an approval is for one use")
        }
    }
}

/// A gate that was not opened has no id.
fn unopened(error: dormouse_engine::gate::GateError) -> Problem {
    use dormouse_engine::gate::GateError as E;
    match error {
        E::Command(error) => error.into(),
        error @ E::Full { .. } => {
            Problem::new(Code::Limit, error.to_string()).hint("wait until some are decided")
        }
        error @ E::Invalid { .. } => Problem::new(Code::Invalid, error.to_string()),
        error => Problem::new(Code::State, error.to_string()),
    }
}

/// Serves until it is dropped, and with it every connection.
pub(super) async fn serve(listener: UnixListener, router: Router, asking: Asking) {
    let mut connections = JoinSet::new();
    // Runs as long as the run has a worker.
    loop {
        let has_room = connections.len() < CONNECTIONS_MAX;
        tokio::select! {
            accepted = listener.accept(), if has_room => match accepted {
                Ok((stream, _)) => drop(connections.spawn(converse(stream, router.clone(), asking.clone()))),
                // Out of descriptors: those in use come back when their connections end.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse(stream: UnixStream, router: Router, asking: Asking) {
    let is_ours = stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == rustix::process::geteuid().as_raw());
    if !is_ours {
        return;
    }
    let carried = Carried::default();
    let carries = carried.clone();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(carries.clone());
        router.clone().oneshot(request)
    });
    // A client that hangs up takes its wait with it. One that does a step is silent meanwhile, for as long as that takes.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    carried.abandon(&asking);
}
