//! Who may speak to the API, decided before any handler: first the peer, then the token, then whether we are leaving.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::watch;

use crate::owner::peer::Verdict;
use crate::owner::phase::{Answer, Event, Phase};
use crate::owner::token::ControlToken;
use crate::problem::{Code, Problem};

/// Where a request comes from. Set by us on the request, never by what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// This process.
    Owner,
    /// The control socket.
    Peer(Verdict),
}

/// What the gate compares with.
#[derive(Debug, Clone)]
pub struct Guard {
    /// The control token.
    pub token: ControlToken,
    /// What the owner is at the moment.
    pub phase: watch::Receiver<Phase>,
}

/// Lets a request through, or answers it.
pub(super) async fn admit(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let caller = request.extensions().get::<Caller>().copied();
    match judge(&guard, caller, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn judge(guard: &Guard, caller: Option<Caller>, headers: &HeaderMap) -> Result<(), Problem> {
    match caller {
        Some(Caller::Owner) => return Ok(()),
        Some(Caller::Peer(verdict)) => judge_peer(verdict)?,
        None => {
            return Err(Problem::new(
                Code::Forbidden,
                "nobody knows where the request comes from",
            ));
        }
    }
    judge_token(&guard.token, headers)?;
    match guard.phase.borrow().on(Event::Connect) {
        Answer::Apply | Answer::Become(_) => Ok(()),
        Answer::Ignore(why) | Answer::Reject(why) => Err(Problem::new(
            Code::Unavailable,
            format!("the owner of the store does not take requests: {why}"),
        )
        .hint("try again: the next command becomes the owner")
        .retry_after_ms(100)),
    }
}

fn judge_peer(verdict: Verdict) -> Result<(), Problem> {
    let why = match verdict {
        Verdict::Admitted => return Ok(()),
        Verdict::OtherUser => "the control socket serves its own user only",
        Verdict::Descendant => "a worker may not use the control socket, whatever token it presents",
        Verdict::Untraceable => {
            "the process that connected has gone, so nobody can say whether it is a worker"
        }
    };
    let hint = "inside a run use the tools of the run: its folder is in DORMOUSE_RUN_DIR";
    Err(Problem::new(Code::Forbidden, why).hint(hint))
}

fn judge_token(token: &ControlToken, headers: &HeaderMap) -> Result<(), Problem> {
    let presented = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    match presented {
        Some(presented) if token.is(presented) => Ok(()),
        Some(_) => Err(Problem::new(
            Code::Unauthorized,
            "the token is not the control token of this store",
        )),
        None => Err(Problem::new(
            Code::Unauthorized,
            "no token was sent: authorization: Bearer … is needed",
        )),
    }
    .map_err(|problem| problem.hint("the control token is in the state folder; see dormouse config path"))
}
