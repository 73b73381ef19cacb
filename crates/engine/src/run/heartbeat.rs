//! The heartbeat: writes its own row and nothing else, and brings back whether the run is to stop.

use std::convert::Infallible;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep, sleep_until};

use super::stop::in_time;
use super::{Claimed, Run, Runs, StopReason};
use crate::CommandError;
use crate::clock::until;
use crate::core::Core;
use crate::lease::{Heartbeat, Held, LeaseEvent, check_token};
use crate::limits::HEARTBEAT_RETRY;

use super::beats::Beat;

/// What a heartbeat brings back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulse {
    /// Until when the lease lives now.
    pub expires_at: Timestamp,
    /// Why the run is to stop, if it is.
    pub stop: Option<StopReason>,
}

/// A heartbeat that is durable.
#[derive(Debug)]
pub(super) struct Beaten {
    pub(super) pulse: Pulse,
    /// How long the lease lived when it was sent.
    pub(super) left: Duration,
    /// When that was, or before.
    pub(super) sent: Instant,
}

impl Beaten {
    /// Tells the holder.
    pub(super) fn reach(self, core: &Core, claimed: &Claimed) -> Pulse {
        claimed.guard.renewed(self.pulse.expires_at, self.left, self.sent);
        if let Some(reason) = &self.pulse.stop {
            core.live.tell(claimed.run.id, reason.clone());
        }
        self.pulse
    }
}

/// A heartbeat as it is to be written, with the rows it was decided by.
pub(super) struct Renewal {
    pub(super) held: Held,
    pub(super) beat: Heartbeat,
    pub(super) stop: Option<StopReason>,
}

impl Renewal {
    /// Decides one on the rows that were read.
    pub(super) fn decide(
        core: &Core,
        beat: &Beat,
        held: Option<Held>,
        run: Option<&Run>,
        now: Timestamp,
    ) -> Result<Self, CommandError> {
        let renew = LeaseEvent::Renew {
            is_exclusive: core.is_exclusive,
        };
        let held = check_token(&beat.subject, beat.token, held, renew, now)?;
        let run = run.ok_or_else(|| CommandError::not_found("run", &beat.run))?;
        let expires_at = capped(core, run, now)?;
        let progress = beat.progress.clone();
        let beat = Heartbeat {
            beat_at: now,
            expires_at,
            progress: progress.or_else(|| held.heartbeat.progress.clone()),
            ..Heartbeat::clone(&held.heartbeat)
        };
        let stop = run.stop_reason.clone();
        Ok(Self { held, beat, stop })
    }

    /// What it brings back once it is durable.
    pub(super) fn beaten(&self, sent: Instant) -> Beaten {
        Beaten {
            pulse: Pulse {
                expires_at: self.beat.expires_at,
                stop: self.stop.clone(),
            },
            left: until(self.beat.expires_at, self.beat.beat_at),
            sent,
        }
    }
}

/// A run that is being stopped is renewed to its deadline at most, so that a holder which ignores the stop lapses.
fn capped(core: &Core, run: &Run, now: Timestamp) -> Result<Timestamp, CommandError> {
    in_time(run, now)?;
    let expires_at = core.lease.expiry(now);
    Ok(run
        .stop_deadline
        .map_or(expires_at, |deadline| deadline.min(expires_at)))
}

impl Runs {
    /// Renews the lease of a run until it cannot be, together with all others of this process that are due then. Ends with
    /// the work it is raced against; or with the reason, when the lease is another's or its time is up.
    pub(crate) async fn beat(&self, claimed: &Claimed) -> CommandError {
        match self.renew_always(claimed).await {
            Err(error) => error,
            Ok(never) => match never {},
        }
    }

    async fn renew_always(&self, claimed: &Claimed) -> Result<Infallible, CommandError> {
        let retry = HEARTBEAT_RETRY.min(self.core.lease.heartbeat / 4);
        // Ends fenced.
        loop {
            sleep_until(self.core.beats.next_after(Instant::now())).await;
            // Ends when one is durable.
            while let Err(error) = self.heartbeat(claimed, None).await {
                if let CommandError::Fenced { .. } | CommandError::LeaseExpired { .. } = error {
                    return Err(error);
                }
                tracing::warn!(run = %claimed.run.id, %error, "a heartbeat was not written");
                sleep(retry).await;
            }
        }
    }
}
