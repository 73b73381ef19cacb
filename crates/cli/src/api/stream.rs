//! Bodies of JSON lines that go on until somebody leaves.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::owner::phase::{Phase, is_draining};
use crate::problem::Problem;

/// An empty line so often, so that a reader knows we are still there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A line.
pub(super) fn line(value: &impl Serialize) -> Bytes {
    let mut bytes = serde_json::to_vec(value).expect("views have text keys only");
    bytes.push(b'\n');
    bytes.into()
}

/// A body of these lines, until they end or the owner leaves.
///
/// Its reader tells three ends apart: the lines ended (the body is whole), the owner leaves (`{"bye":…}` and then the body is cut),
/// something went wrong (`{"problem":…}`, then the body is cut).
pub(super) fn until_draining(
    lines: impl Stream<Item = Result<Bytes, Problem>> + Send + 'static,
    phase: watch::Receiver<Phase>,
) -> Body {
    let state = Some((Box::pin(lines), phase));
    let body = futures::stream::unfold(state, async |state| {
        let (mut lines, mut phase) = state?;
        let alive = Instant::now() + KEEP_ALIVE;
        tokio::select! {
            next = lines.next() => match next? {
                Ok(line) => Some((line, Some((lines, phase)))),
                Err(problem) => Some((line(&serde_json::json!({ "problem": problem })), None)),
            },
            () = is_draining(&mut phase) => Some((line(&serde_json::json!({ "bye": "the owner of the store leaves" })), None)),
            () = sleep_until(alive) => Some((Bytes::from_static(b"\n"), Some((lines, phase)))),
        }
    });
    Body::from_stream(body.map(Ok::<_, std::convert::Infallible>))
}
