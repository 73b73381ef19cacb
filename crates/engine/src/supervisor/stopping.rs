//! The ways in which a worker is made to leave, and why.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::attempt::Parts;
use super::finish::Cause;
use super::heart::is_renewed;
use super::talking::Talking;
use super::work::{END_MARGIN, Hand, LEAVE_MAX, Signals};
use crate::adapter::Provider;
use crate::outcome::CancelledBy;
use crate::pause::pause_until;
use crate::run::StopReason;
use crate::worker::classify::Stopped;
use crate::worker::clocks::Clocks;
use crate::worker::{FirstSignal, Live, Stop};
use crate::{CommandError, GateId};

/// How long the record of a stop is waited for: twice as long as a command tries.
const RECORD_MAX: Duration = Duration::from_secs(30);

impl Hand<'_> {
    pub(super) fn kill(&mut self, live: &Live) {
        live.kill();
        self.end_by = Some(Instant::now() + END_MARGIN);
    }

    /// All is said, and its provider stays: it is asked to leave. What its stream said stands.
    pub(super) fn leave(&mut self, live: &Live) {
        self.leave_by = None;
        if live.exit().is_none() {
            // To call a turn off took its part of the grace.
            let spent = match self.stop {
                Some(_) => self.calling_off(),
                None => Duration::ZERO,
            };
            self.ask_to_leave(live, self.command.grace().saturating_sub(spent));
        }
    }

    /// A provider that was told all has some time to leave by itself.
    pub(super) fn leave_soon(&mut self) {
        let is_told_all = self.talking.as_ref().is_some_and(Talking::is_over);
        if is_told_all && self.leave_by.is_none() && !self.is_asked_to_leave {
            self.leave_by = Some(Instant::now() + LEAVE_MAX);
        }
    }

    /// How long a provider has to call its turn off.
    fn calling_off(&self) -> Duration {
        self.command.grace().min(LEAVE_MAX)
    }

    fn ask_to_leave(&mut self, live: &Live, grace: Duration) {
        let first = match &self.adapted {
            Some(adapted) if adapted.provider == Provider::Codex => FirstSignal::Interrupt,
            Some(_) | None => FirstSignal::Terminate,
        };
        live.stop(Stop { first, grace });
        self.is_asked_to_leave = true;
        self.end_by.get_or_insert(Instant::now() + grace + END_MARGIN);
    }

    /// A stop that comes first stands. At a deadline the exit is looked at first: a worker that left in time is not stopped.
    pub(super) async fn begin_stop(&mut self, live: &Live, cause: Cause) {
        if live.exit().is_some() {
            self.has_left = true;
            return;
        }
        match &mut self.talking {
            // It has time to call its turn off, and leaves when that is told.
            Some(talking) if !talking.is_over() => {
                talking.interrupt();
                self.leave_by = Some(Instant::now() + self.calling_off());
            }
            Some(_) | None => self.ask_to_leave(live, self.command.grace()),
        }
        // The signal goes first, so that a slow store delays no stop. Whoever stopped it by a command has recorded
        // it already; then this writes nothing.
        let reason = cause.reason();
        self.stop = Some(cause);
        if let Some(reason) = reason {
            // Nor does it delay what follows the calling off.
            let by = self.leave_by.unwrap_or_else(|| Instant::now() + RECORD_MAX);
            if timeout_at(by, self.record(&reason)).await.is_err() {
                tracing::warn!(run = %self.parts.claimed.run.id, "the stop was not recorded in time");
            }
        }
    }

    /// The worker is asked to leave, since nobody holds a parked run. One that has left by itself is not parked.
    pub(super) fn park(&mut self, live: &Live, gate: GateId) {
        if live.exit().is_some() {
            self.has_left = true;
            return;
        }
        self.parks = Some(gate);
        self.ask_to_leave(live, self.command.grace());
    }

    async fn record(&self, reason: &StopReason) {
        let (runs, claimed) = (&self.parts.tenant.runs, &self.parts.claimed);
        let recorded = match runs.stopping(claimed, reason).await {
            Err(CommandError::LeaseExpired { .. }) if is_renewed(self.parts).await => {
                runs.stopping(claimed, reason).await
            }
            recorded => recorded,
        };
        if let Err(error) = recorded {
            tracing::warn!(run = %claimed.run.id, %error, "the stop was not recorded");
        }
    }
}

/// Waits for the first reason to stop: a command, a clock, or a heart that cannot beat.
pub(super) async fn cause(parts: &Parts, clocks: &Clocks, signals: &Signals) -> Cause {
    let clock = async {
        // Ends when a clock has run out: progress moves the deadline.
        loop {
            if let Some(expired) = clocks.expired(Instant::now()) {
                return expired;
            }
            pause_until(clocks.next_deadline()).await;
        }
    };
    tokio::select! {
        reason = parts.claimed.stop.stopped() => Cause::Told(reason),
        expired = clock => Cause::Clock(expired),
        () = signals.self_stop.notified() => Cause::SelfStop,
        () = parts.unwritten.notified() => Cause::SelfStop,
        () = parts.over_budget.notified() => Cause::OverBudget,
    }
}

impl Cause {
    /// What is recorded of it; a holder that cannot reach the store records nothing.
    fn reason(&self) -> Option<StopReason> {
        match self {
            Self::Told(reason) => Some(reason.clone()),
            Self::Clock(expired) => Some(StopReason::clock(expired.clock, expired.limit)),
            Self::SelfStop | Self::Blocked | Self::OverBudget => None,
        }
    }

    /// As the outcome is decided by it; a block decides by itself, and so does a part that was paid for.
    pub(super) fn stopped(&self) -> Option<Stopped> {
        Some(match self {
            Self::Blocked | Self::OverBudget => return None,
            Self::Told(reason) => Stopped::of(reason),
            Self::SelfStop => Stopped::By(CancelledBy::Shutdown, None),
            Self::Clock(expired) => Stopped::Clock(*expired),
        })
    }
}
