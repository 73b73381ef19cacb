//! Serving the control socket until the owner leaves.
//!
//! Leaving is done so that no request is lost between two owners: the socket's file goes first, then whoever had
//! connected before is still accepted and answered (503, try again), and only when nobody more comes is the socket closed.

use std::os::unix::net::UnixListener as StdListener;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout_at};
use tower::ServiceExt;

use super::peer;
use super::phase::{Phase, is_draining};
use super::socket::SocketFile;
use crate::api::Caller;
use crate::problem::{Code, Problem};

/// How long a client may take to send its head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one may take that is refused in any case.
const REFUSED_HEAD_TIMEOUT: Duration = Duration::from_millis(250);
/// How long a leaving owner waits for a client that had connected and was not accepted yet.
const BACKLOG_WAIT: Duration = Duration::from_millis(20);
/// How long a leaving owner waits for the first request of a client that has connected.
const FIRST_REQUEST_WAIT: Duration = Duration::from_millis(250);
/// How long a leaving owner waits for requests under way.
const DRAIN_MAX: Duration = Duration::from_secs(20);
/// Connections at once; more wait in the backlog.
const CONNECTIONS_MAX: usize = 4096;

/// Serves until the phase is [`Phase::Draining`], then drains.
///
/// # Errors
/// When the listener cannot be handed to the runtime.
pub(super) fn serve(
    listener: StdListener,
    mut file: SocketFile,
    router: Router,
    mut phase: watch::Receiver<Phase>,
) -> Result<JoinHandle<()>, Problem> {
    let listener = UnixListener::from_std(listener).map_err(|error| {
        Problem::new(
            Code::Internal,
            format!("the control socket cannot be served: {error}"),
        )
    })?;
    Ok(tokio::spawn(async move {
        let mut connections = JoinSet::new();
        let leaving = phase.clone();
        // Ends when the owner drains.
        loop {
            let has_room = connections.len() < CONNECTIONS_MAX;
            tokio::select! {
                () = is_draining(&mut phase) => break,
                accepted = listener.accept(), if has_room => accept(accepted, &router, &leaving, &mut connections).await,
                Some(_) = connections.join_next() => {}
            }
        }
        file.remove();
        while let Ok(accepted) = tokio::time::timeout(BACKLOG_WAIT, listener.accept()).await {
            accept(accepted, &router, &leaving, &mut connections).await;
        }
        drop(listener);
        let deadline = Instant::now() + DRAIN_MAX;
        while let Ok(Some(_)) = timeout_at(deadline, connections.join_next()).await {}
    }))
}

async fn accept(
    accepted: std::io::Result<(UnixStream, tokio::net::unix::SocketAddr)>,
    router: &Router,
    phase: &watch::Receiver<Phase>,
    connections: &mut JoinSet<()>,
) {
    match accepted {
        Ok((stream, _)) => {
            connections.spawn(converse(stream, router.clone(), phase.clone()));
        }
        // Out of descriptors: those in use come back when their connections end.
        Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
    }
}

/// One connection. The peer is judged once: its credentials are those it had when it connected.
async fn converse(stream: UnixStream, router: Router, mut phase: watch::Receiver<Phase>) {
    let verdict = match stream.peer_cred() {
        Ok(credentials) => peer::judge(credentials.uid(), credentials.pid()),
        Err(_) => peer::Verdict::Untraceable,
    };
    let is_admitted = verdict == peer::Verdict::Admitted;
    let (begun, mut has_begun) = watch::channel(false);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        begun.send_replace(true);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Caller::Peer(verdict));
        router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Who is refused anyway gets one answer, and holds no connection.
        .keep_alive(is_admitted)
        .header_read_timeout(if is_admitted {
            HEAD_TIMEOUT
        } else {
            REFUSED_HEAD_TIMEOUT
        })
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = is_draining(&mut phase) => {}
    }
    // Who has connected and not asked yet is heard, and told to try again: closed now, it could not know whether its
    // request was done.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = has_begun.wait_for(|has_begun| *has_begun) => {}
        () = tokio::time::sleep(FIRST_REQUEST_WAIT) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}
