//! What was observed of a run, made into exactly one outcome: the first row that applies.
//!
//! Pure: every observation is a value, and what adapters, report channel and futures will observe has its value too.

mod rows;
#[cfg(test)]
mod tests;

use std::time::Duration;

use dormouse_secrets::{Scrubbed, Scrubber};
use jiff::Timestamp;

use super::clocks::Expired;
use super::process::SpawnError;
use crate::outcome::{BlockEvidence, BlockReason, CancelledBy, Exit, FailReason, Outcome, PartialCause};
use crate::run::StopReason;

/// Everything an outcome depends on.
#[derive(Debug)]
pub struct Observed<'a> {
    /// A block was reported.
    pub block: Option<(BlockReason, Option<BlockEvidence>)>,
    /// The first stop that was begun. A fenced run is not classified: it writes nothing.
    pub stop: Option<Stopped>,
    /// How the work ended.
    pub end: End<'a>,
    /// What the worker said.
    pub text: Option<Scrubbed>,
    /// What its exit codes mean.
    pub codes: Codes<'a>,
}

/// Why a stop was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// By somebody.
    By(CancelledBy, Option<Scrubbed>),
    /// By a clock.
    Clock(Expired),
}

impl Stopped {
    /// As it was recorded.
    #[must_use]
    pub fn of(reason: &StopReason) -> Self {
        match reason {
            StopReason::Cancel { reason, .. } => Self::By(CancelledBy::Principal, reason.clone()),
            StopReason::AgentPause => Self::By(CancelledBy::AgentPause, None),
            StopReason::Shutdown => Self::By(CancelledBy::Shutdown, None),
            StopReason::Clock { clock, limit_ms } => Self::Clock(Expired {
                clock: *clock,
                limit: Duration::from_millis(*limit_ms),
            }),
        }
    }
}

/// What exit codes mean, of a worker without adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Codes<'a> {
    /// A part of the work is done.
    pub partial: &'a [i32],
    /// No retry can mend it.
    pub permanent: &'a [i32],
}

/// How the work ended.
#[derive(Debug)]
pub enum End<'a> {
    /// An adapter saw its provider's terminal event, or the worker reported a result, or a future returned.
    Finished(Finish),
    /// An adapter's stream ended without its terminal event.
    StreamEnded,
    /// A process without adapter left, `signalled` by us before it did or not.
    Exited {
        /// How.
        exit: Exit,
        /// Whether it had our signal.
        signalled: bool,
    },
    /// The keeper vanished.
    KeeperLost,
    /// The run's guard was dropped.
    Abandoned,
    /// A future panicked; where it did, scrubbed.
    Panicked(Scrubbed),
    /// It was not started.
    NotStarted(NotStarted<'a>),
}

/// What a terminal event or a reported result says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finish {
    /// The whole.
    Whole,
    /// A part, for this cause.
    Part(PartialCause),
    /// A failure no retry mends: refused, auth, billing, context overflow, bad request, permission denied.
    Refused(FailReason, Scrubbed),
    /// The provider's rate limit.
    RateLimited(Option<Timestamp>, Scrubbed),
    /// The provider is overloaded or had an error.
    Overloaded(Scrubbed),
    /// The worker's own failure.
    Failed {
        /// Whether no retry can mend it.
        permanent: bool,
        /// It is not tried again before this.
        retry_at: Option<Timestamp>,
        /// What it says.
        message: Scrubbed,
    },
}

/// Why it was not started.
#[derive(Debug)]
pub enum NotStarted<'a> {
    /// The process.
    Spawn(&'a SpawnError),
    /// A secret, which is locked and may be unlocked, or not.
    Secret {
        /// Whether it is only locked.
        locked: bool,
        /// Which, scrubbed.
        message: Scrubbed,
    },
    /// There is nothing to say to it; why.
    Wordless(Scrubbed),
    /// It is to be resumable and is not; why.
    Unresumable(Scrubbed),
    /// Its environment was refused.
    Environment(&'a super::environment::EnvError),
}

/// The outcome, and whether the worker finished by itself though a stop had begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What became of the work.
    pub outcome: Outcome,
    /// Finished after the stop, before the kill.
    pub after_stop: bool,
}

/// The outcome of what was observed. The text of errors is scrubbed here.
#[must_use]
pub fn classify(observed: &Observed<'_>, scrubber: &Scrubber) -> Verdict {
    let plain = |outcome| Verdict {
        outcome,
        after_stop: false,
    };
    if let Some(blocked) = rows::blocked(observed) {
        return plain(blocked);
    }
    let finished = rows::finished(observed);
    match (&observed.stop, finished) {
        (Some(_), Some(outcome)) => Verdict {
            outcome,
            after_stop: true,
        },
        (Some(stop), None) => plain(rows::stopped(stop)),
        (None, Some(outcome)) => plain(outcome),
        (None, None) => plain(rows::failed(observed, scrubber)),
    }
}
