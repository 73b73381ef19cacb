//! The heartbeat of a run: its lease lives as long as its holder does.

use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use super::attempt::Parts;
use crate::CommandError;
use crate::limits::LEASE_HEARTBEAT;

/// How long after a heartbeat that was not written the next one is tried.
const RETRY: Duration = Duration::from_secs(2);

/// Why a heart no longer beats.
pub(super) enum Pulseless {
    /// The lease is another's, or its time is up: stop at once, write nothing.
    Fenced,
}

/// Renews the lease until it cannot be. Rings `self_stop` when no heartbeat was durable for too long: the work stops
/// before anybody can take it over.
pub(super) async fn beat(parts: &Parts, self_stop: &Notify) -> Pulseless {
    let claimed = &parts.claimed;
    let mut delay = LEASE_HEARTBEAT;
    // Ends with the work it is raced against, or fenced.
    loop {
        sleep(delay).await;
        delay = match parts.tenant.runs.heartbeat(claimed, None).await {
            Ok(_) => LEASE_HEARTBEAT,
            Err(error @ (CommandError::Fenced { .. } | CommandError::LeaseExpired { .. })) => {
                tracing::warn!(run = %claimed.run.id, %error, "the run is no longer held; its worker is killed");
                return Pulseless::Fenced;
            }
            Err(error) => {
                tracing::warn!(run = %claimed.run.id, %error, "a heartbeat was not written");
                RETRY
            }
        };
        if claimed.guard.must_stop() {
            self_stop.notify_one();
        }
    }
}
