//! What a worker visited, judged: a block is the run's.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use dormouse_engine::detect::Rules;
use dormouse_engine::supervisor::Asking;

use crate::api::body::{self, Json};
use crate::api::detect::{DetectLimits, VISIT_BYTES_MAX, VisitBody, apart};
use crate::problem::Problem;

/// How much of a page is looked at: what the owner's settings say, which a worker cannot read.
pub(super) async fn limits(Extension(rules): Extension<Rules>) -> Response {
    let limits = DetectLimits {
        html_max: rules.html_max,
    };
    body::json(StatusCode::OK, &limits)
}

/// Judges a page. The first that is a block ends the run as blocked, once its call has ended.
pub(super) async fn detect(
    State(asking): State<Asking>,
    Extension(rules): Extension<Rules>,
    Json(visit): Json<VisitBody, VISIT_BYTES_MAX>,
) -> Result<Response, Problem> {
    visit.check()?;
    let detection = apart(move || visit.judged(|visit| asking.detect(visit, &rules))).await;
    Ok(body::json(StatusCode::OK, &detection))
}
