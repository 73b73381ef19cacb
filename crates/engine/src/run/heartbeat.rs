//! The heartbeat: writes its own row and nothing else, and brings back whether the run is to stop.

use std::time::Duration;

use dormouse_filesystem::Records;
use jiff::Timestamp;
use tokio::time::Instant;

use super::service::get;
use super::{Claimed, Run, StopReason};
use crate::clock::until;
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::lease::{Heartbeat, LeaseEvent, Progress, check, expiry};
use crate::{CommandError, Principal};

/// What a heartbeat brings back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulse {
    /// Until when the lease lives now.
    pub expires_at: Timestamp,
    /// Why the run is to stop, if it is.
    pub stop: Option<StopReason>,
}

pub(super) async fn heartbeat(
    core: &Core,
    claimed: &Claimed,
    progress: Option<&Progress>,
) -> Result<Pulse, CommandError> {
    let sent = Instant::now();
    let by = Principal::engine();
    let done = core
        .command(&by, |draft| staged(core, draft, claimed, progress))
        .await?;
    let (pulse, left) = done.answer;
    claimed.guard.renewed(pulse.expires_at, left, sent);
    if let Some(reason) = &pulse.stop {
        core.live.tell(claimed.run.id, reason.clone());
    }
    Ok(pulse)
}

async fn staged(
    core: &Core,
    mut draft: Draft,
    claimed: &Claimed,
    progress: Option<&Progress>,
) -> Result<Verdict<(Pulse, Duration)>, CommandError> {
    let now = draft.now();
    let renew = LeaseEvent::Renew {
        is_exclusive: core.is_exclusive,
    };
    let held = check(core, &claimed.guard, renew, now).await?;
    let run = get(core, claimed.run.id).await?;
    let expires_at = capped(&run, now)?;
    let beat = Heartbeat {
        beat_at: now,
        expires_at,
        progress: progress.cloned().or_else(|| held.heartbeat.progress.clone()),
        ..Heartbeat::clone(&held.heartbeat)
    };
    held.stage_check(core, &mut draft);
    let rows = Records::<Heartbeat>::new(&core.space);
    rows.stage_replace(draft.batch(), &held.heartbeat, &beat).await?;
    let left = until(expires_at, now);
    let stop = run.stop_reason.clone();
    Ok(Verdict::Commit(draft, (Pulse { expires_at, stop }, left)))
}

/// A run that is being stopped is renewed to its deadline at most, so that a holder which ignores the stop lapses.
fn capped(run: &Run, now: Timestamp) -> Result<Timestamp, CommandError> {
    match run.stop_deadline {
        Some(deadline) if deadline <= now => Err(CommandError::LeaseExpired {
            subject: run.subject(),
            at: deadline,
        }),
        Some(deadline) => Ok(deadline.min(expiry(now))),
        None => Ok(expiry(now)),
    }
}
