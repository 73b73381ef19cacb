//! The heart of a run: its lease lives as long as its holder does.

use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use super::attempt::Parts;
use crate::CommandError;

/// The delay before what was not written is tried again.
const INSIST_EVERY: Duration = Duration::from_secs(1);

/// Why a heart no longer beats.
pub(super) enum Pulseless {
    /// The lease is another's, or its time is up: stop at once, write nothing.
    Fenced,
}

/// Renews the lease until it cannot be. Rings `self_stop` when no heartbeat was durable for too long: the work stops
/// before anybody can take it over, however long the store keeps an answer back.
pub(super) async fn beat(parts: &Parts, self_stop: &Notify) -> Pulseless {
    let claimed = &parts.claimed;
    tokio::select! {
        error = parts.tenant.runs.beat(claimed) => {
            tracing::warn!(run = %claimed.run.id, %error, "the run is no longer held; its worker is killed");
            Pulseless::Fenced
        }
        never = watch(parts, self_stop) => match never {},
    }
}

/// Ends with the heart it is raced against.
async fn watch(parts: &Parts, self_stop: &Notify) -> Infallible {
    loop {
        let left = parts.claimed.guard.stop_in();
        if left.is_zero() {
            self_stop.notify_one();
            return std::future::pending().await;
        }
        sleep(left).await;
    }
}

/// Whether a lease whose time is up could be renewed after all: in a store that nobody else can write, a machine that
/// was asleep ends no run.
pub(super) async fn is_renewed(parts: &Parts) -> bool {
    parts.tenant.runs.heartbeat(&parts.claimed, None).await.is_ok()
}

/// Writes for a run until it is done, refused, or the lease's time is up: a store that is slow is waited for. A machine that
/// was asleep for longer than the lease lives renews it first, where nobody else could take it meanwhile.
pub(super) async fn insist<T, F>(
    parts: &Parts,
    what: &'static str,
    write: impl Fn() -> F,
) -> Result<T, CommandError>
where
    F: Future<Output = Result<T, CommandError>>,
{
    loop {
        match write().await {
            Err(CommandError::LeaseExpired { .. }) if is_renewed(parts).await => {}
            Err(error) if may_pass(&error) && !parts.claimed.guard.left().is_zero() => {
                tracing::warn!(run = %parts.claimed.run.id, what, %error, "it was not written; it is tried again");
                sleep(INSIST_EVERY).await;
            }
            answered => return answered,
        }
    }
}

fn may_pass(error: &CommandError) -> bool {
    error.is_congestion() || matches!(error, CommandError::Indeterminate { .. })
}
