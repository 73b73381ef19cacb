//! `Idempotency-Key`: what is posted under a key is done once, however often it is sent (program.md, section 7).
//!
//! One layer for every POST. The engine writes the row of the key in the commit of the effect; the answer is put beside
//! it before it is sent, and whoever sends the same again gets the same bytes. An answer that was never kept, since the
//! owner died in between, is made again from the rows that the key names: nobody has seen another.
//!
//! Not under keys are the secrets: no digest of what may be a passphrase is stored. What is asked of them twice is
//! refused, or does no harm. A reload of the settings writes nothing under its key: asked again, it finds done what it did.
//! Nor is what is said to a worker: it is nowhere but in its ear, so no row could say that it was.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use dormouse_engine::Subject;
use dormouse_engine::idempotency::{ClientKey, IdempotencyId, Once};
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tower::ServiceExt;

use super::body::BODY_BYTES_MAX;
use super::house::{Asker, House};
use crate::problem::{Code, Problem};

/// The header with the key.
pub const KEY: &str = "idempotency-key";
/// The header of an answer that was given before.
const REPLAYED: &str = "idempotency-replayed";

/// Routes whose handlers may be asked again: what they have done they find done.
const ASKED_AGAIN: &[&str] = &[
    "/v1/runs",
    "/v1/agents/{name}/wake",
    "/v1/gates/decisions",
    "/v1/gates/{id}/shown",
    "/v1/sinks/{name}/pause",
    "/v1/sinks/{name}/resume",
];

/// Whether a POST to this path is done under a key.
#[must_use]
pub fn takes_key(path: &str) -> bool {
    let is_said = path.starts_with("/v1/runs/") && path.ends_with("/send");
    !path.starts_with("/v1/secrets") && !is_said
}

/// What the layer works with: the house, and the routes behind it.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    house: House,
    routes: Router,
    at_work: Arc<Mutex<HashMap<IdempotencyId, Weak<Semaphore>>>>,
}

impl Keys {
    pub(super) fn new(house: House, routes: Router) -> Self {
        Self {
            house,
            routes,
            at_work: Arc::default(),
        }
    }

    /// The turn of those that ask under one key: one at a time, so that who asks the same meanwhile gets its answer.
    fn turn(&self, key: IdempotencyId) -> Arc<Semaphore> {
        let mut at_work = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = at_work.get(&key).and_then(Weak::upgrade) {
            return turn;
        }
        at_work.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::new(Semaphore::new(1));
        at_work.insert(key, Arc::downgrade(&turn));
        turn
    }
}

/// What came of a request that is asked again: its handler goes on from there.
#[derive(Debug, Clone)]
pub(super) struct DoneSoFar(pub(super) Vec<Subject>);

/// An answer, as it is kept.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    status: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    body: String,
}

/// Lets a request through, once.
pub(super) async fn once(State(keys): State<Keys>, request: Request, next: Next) -> Response {
    match answered(&keys, request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn answered(keys: &Keys, request: Request, next: Next) -> Result<Response, Problem> {
    let path = request.extensions().get::<MatchedPath>().cloned();
    let (Some(path), Some(key)) = (path, key_of(&request)?) else {
        return Ok(next.run(request).await);
    };
    let (mut parts, body) = request.into_parts();
    let body = whole(body).await?;
    let asker = Asker::from_request_parts(&mut parts, &keys.house).await?;
    let asked = Asked {
        keys,
        once: once_of(&asker, path.as_str(), &parts, &key, &body),
        asker,
        path,
        parts,
        body,
    };
    let turn = keys.turn(asked.once.id());
    let _turn = turn.acquire().await.expect("it is never closed");
    if asked.is_done().await? {
        return asked.again().await;
    }
    let response = next.run(asked.request(Method::POST, None)).await;
    if asked.once.was_found() {
        // Another who asked the same meanwhile was first.
        return asked.again().await;
    }
    let is_written = asked.once.was_written();
    asked.once.close();
    if is_written {
        return asked.keep(response).await;
    }
    Ok(response)
}

/// The key of a request that is done under one.
fn key_of(request: &Request) -> Result<Option<ClientKey>, Problem> {
    let Some(key) = request.headers().get(KEY) else {
        return Ok(None);
    };
    if request.method() != Method::POST || !takes_key(request.uri().path()) {
        return Ok(None);
    }
    let key = key.to_str().unwrap_or_default().parse();
    key.map(Some)
        .map_err(|error| Problem::new(Code::BadRequest, format!("{KEY}: {error}")))
}

async fn whole(body: Body) -> Result<Bytes, Problem> {
    let limited = http_body_util::Limited::new(body, BODY_BYTES_MAX);
    match limited.collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(Problem::new(
            Code::TooLarge,
            format!("the body has more than {BODY_BYTES_MAX} bytes"),
        )),
        Err(_) => Err(Problem::new(Code::BadRequest, "the body was cut")),
    }
}

fn once_of(asker: &Asker, path: &str, parts: &Parts, key: &ClientKey, body: &[u8]) -> Arc<Once> {
    let operation = format!("POST {path}");
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    let request = [target.as_bytes(), body];
    Arc::new(Once::new(
        asker.tenant.id(),
        &asker.decider,
        &operation,
        key,
        &request,
    ))
}

/// A request under its key.
struct Asked<'k> {
    keys: &'k Keys,
    once: Arc<Once>,
    asker: Asker,
    path: MatchedPath,
    parts: Parts,
    body: Bytes,
}

impl Asked<'_> {
    async fn is_done(&self) -> Result<bool, Problem> {
        Ok(self.asker.tenant.idempotency.stored(&self.once).await?.is_some())
    }

    /// The answer that was given before, or would have been.
    async fn again(self) -> Result<Response, Problem> {
        let stored = self.asker.tenant.idempotency.stored(&self.once).await?;
        let stored = stored.ok_or_else(|| {
            Problem::new(
                Code::Unavailable,
                "what was done under the key was undone meanwhile",
            )
            .retry_after_ms(100)
        })?;
        let mut response = match &stored.answer {
            Some(answer) => decoded(answer)?,
            None => {
                let response = self.made_again(&stored.results).await?;
                if !response.status().is_success() {
                    // It was done, and what it made has changed since: that is no answer to keep.
                    return Ok(response);
                }
                self.keep(response).await?
            }
        };
        let yes = HeaderValue::from_static("true");
        response.headers_mut().insert(REPLAYED, yes);
        Ok(response)
    }

    /// The answer that was not kept, made of what was done.
    async fn made_again(&self, results: &[Subject]) -> Result<Response, Problem> {
        let path = self.path.as_str();
        if ASKED_AGAIN.contains(&path) {
            // What it does from here on is the same request, whose row is there.
            self.once.close();
            let mut request = self.request(Method::POST, None);
            request.extensions_mut().insert(DoneSoFar(results.to_vec()));
            return self.asked(request).await;
        }
        let target = self.parts.uri.path();
        let (item, status) = match (made(path, target, results), target.rsplit_once('/')) {
            (Some(item), _) if path == "/v1/wakes" => (item, StatusCode::ACCEPTED),
            (Some(item), _) => (item, StatusCode::CREATED),
            (None, Some((of, _verb))) if path.contains('{') => (of.to_owned(), StatusCode::OK),
            (None, _) => return Err(unknown(results)),
        };
        // What a message says is in no answer to a POST, and so is kept nowhere beside its row.
        let says_nothing = path.starts_with("/v1/threads").then_some("text=none");
        let item = match says_nothing {
            Some(query) => format!("{item}?{query}"),
            None => item,
        };
        let mut response = self.asked(self.request(Method::GET, Some(&item))).await?;
        if response.status().is_success() {
            *response.status_mut() = status;
        }
        Ok(response)
    }

    async fn asked(&self, request: Request) -> Result<Response, Problem> {
        let answered: Result<Response, std::convert::Infallible> =
            self.keys.routes.clone().oneshot(request).await;
        let Ok(response) = answered;
        Ok(response)
    }

    /// The request, as it came or of another target.
    fn request(&self, method: Method, target: Option<&str>) -> Request {
        let mut request = Request::new(match target {
            None => Body::from(self.body.clone()),
            Some(_) => Body::empty(),
        });
        *request.method_mut() = method;
        *request.uri_mut() = match target {
            None => self.parts.uri.clone(),
            Some(target) => target.parse().expect("a path of parsed ids is a target"),
        };
        *request.headers_mut() = self.parts.headers.clone();
        if target.is_none() {
            *request.extensions_mut() = self.parts.extensions.clone();
            request.extensions_mut().insert(Arc::clone(&self.once));
        }
        request
    }

    /// Keeps an answer before it is given; if another was kept before, that is given. One that may be another next time
    /// is not kept: then it is asked again.
    async fn keep(&self, response: Response) -> Result<Response, Problem> {
        if is_passing(response.status()) {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let bytes = match body.collect().await {
            Ok(whole) => whole.to_bytes(),
            Err(error) => {
                return Err(Problem::new(
                    Code::Internal,
                    format!("an answer was cut: {error}"),
                ));
            }
        };
        let text = |name| Some(parts.headers.get(name)?.to_str().ok()?.to_owned());
        let kept = Kept {
            status: parts.status.as_u16(),
            media: text(header::CONTENT_TYPE),
            etag: text(header::ETAG),
            body: String::from_utf8_lossy(&bytes).into_owned(),
        };
        let kept = serde_json::to_string(&kept).expect("an answer is text");
        match self.asker.tenant.idempotency.keep(&self.once, kept).await {
            Ok(kept) => decoded(&kept),
            Err(error) => {
                // It was done: that it cannot be repeated word by word is no reason to say otherwise.
                tracing::warn!(%error, "an answer was not kept under its key");
                Ok(Response::from_parts(parts, Body::from(bytes)))
            }
        }
    }
}

/// Whether the same may be answered otherwise next time, with nothing done in between.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::LOCKED | StatusCode::TOO_MANY_REQUESTS)
}

/// Where the item is that a POST to a collection made.
fn made(path: &str, target: &str, results: &[Subject]) -> Option<String> {
    let (_, last) = path.rsplit_once('/')?;
    let kind = match last {
        "summarise" => "message",
        "agents" => "agent",
        "tasks" => "task",
        "threads" => "thread",
        "messages" => "message",
        "sessions" => "session",
        "gates" => "gate",
        "wakes" => "wake",
        _ => return None,
    };
    let item = results.iter().find(|result| result.kind() == kind)?;
    let collection = match target.strip_suffix("/summarise") {
        Some(thread) => format!("{thread}/messages"),
        None => target.to_owned(),
    };
    Some(format!("{collection}/{}", item.id()))
}

fn unknown(results: &[Subject]) -> Problem {
    let results: Vec<String> = results.iter().map(ToString::to_string).collect();
    let detail = format!(
        "it was done under this key, and its answer was lost; it concerns {}",
        results.join(", ")
    );
    Problem::new(Code::Unknown, detail).hint("look at these; it is not done again under this key")
}

fn decoded(kept: &str) -> Result<Response, Problem> {
    let kept: Kept = serde_json::from_str(kept)
        .map_err(|error| Problem::new(Code::Corrupt, format!("a kept answer cannot be read: {error}")))?;
    let mut response = Response::new(Body::from(kept.body));
    *response.status_mut() = StatusCode::from_u16(kept.status)
        .map_err(|_| Problem::new(Code::Corrupt, "a kept answer has no status"))?;
    for (name, value) in [(header::CONTENT_TYPE, kept.media), (header::ETAG, kept.etag)] {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}
