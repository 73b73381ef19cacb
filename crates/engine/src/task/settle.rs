//! What a run's end makes of its task (stores.md, tables B and C): pure functions.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::table::{Lapse, TaskFacts};
use super::{TaskState, Wait};
use crate::limits::{BACKOFF_BASE, BACKOFF_MAX, FAILURES_MAX, RECLAIMS_MAX, RETRY_AT_MAX};
use crate::outcome::{CancelledBy, Outcome};
use crate::run::{Checkpoint, OutcomeKind, StopReason};

/// What is counted of a task's ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Failures since it was made or retried by hand; [`FAILURES_MAX`] quarantine it.
    pub failures: u32,
    /// Lapses after which it was made ready again; at most [`RECLAIMS_MAX`].
    pub reclaims: u32,
}

/// A task's state with what was counted on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The state.
    pub state: TaskState,
    /// The counters.
    pub counters: Counters,
}

/// Whether a lapse counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Count {
    Reclaim,
    Nothing,
}

/// Table B: a run ended with this outcome.
#[must_use]
pub fn settle_outcome(outcome: &Outcome, checkpoint: &Checkpoint, facts: &TaskFacts) -> Settled {
    let kind = OutcomeKind::of(outcome);
    let to = |state| Settled {
        state,
        counters: facts.counters,
    };
    match outcome {
        Outcome::Success { .. } | Outcome::Partial { .. } => to(TaskState::Done { outcome: kind }),
        Outcome::Blocked { .. } | Outcome::Timeout { .. } | Outcome::Failed { permanent: true, .. } => {
            to(TaskState::Failed { outcome: kind })
        }
        Outcome::Failed {
            permanent: false,
            retry_at,
            ..
        } => failed_once_more(*retry_at, facts),
        Outcome::Cancelled {
            by: CancelledBy::Principal,
            ..
        } => to(TaskState::Cancelled),
        // The holder itself reports this end, so it does nothing more.
        Outcome::Cancelled {
            by: CancelledBy::Shutdown | CancelledBy::AgentPause,
            ..
        } => by_checkpoint(checkpoint, None, Count::Nothing, facts),
        Outcome::Lost { .. } => by_checkpoint(checkpoint, None, Count::Reclaim, facts),
    }
}

/// Table C: a run's holder vanished.
#[must_use]
pub fn settle_lapse(lapse: Lapse<'_>, facts: &TaskFacts) -> Settled {
    let lives_for = (!lapse.holder_is_dead).then_some(lapse.lease_ttl);
    let by_checkpoint = |count| by_checkpoint(lapse.checkpoint, lives_for, count, facts);
    match lapse.stop {
        Some(stop @ (StopReason::Cancel { .. } | StopReason::Clock { .. })) => {
            settle_outcome(&stop.outcome(), lapse.checkpoint, facts)
        }
        Some(StopReason::Shutdown | StopReason::AgentPause) => by_checkpoint(Count::Nothing),
        None => by_checkpoint(Count::Reclaim),
    }
}

/// `lives_for`: how much longer the holder may be at work; none where it can do nothing more.
fn by_checkpoint(
    checkpoint: &Checkpoint,
    lives_for: Option<Duration>,
    count: Count,
    facts: &TaskFacts,
) -> Settled {
    match (checkpoint, lives_for) {
        (Checkpoint::None, _) | (Checkpoint::Safe { .. }, None) => reclaimed(TaskState::Ready, count, facts),
        (Checkpoint::Safe { .. }, Some(lives_for)) => {
            let until = later(facts.now, lives_for);
            let on = Wait::Until { until };
            reclaimed(TaskState::Waiting { on }, count, facts)
        }
        (Checkpoint::SideEffect { .. }, _) => lost(facts.counters),
    }
}

fn reclaimed(state: TaskState, count: Count, facts: &TaskFacts) -> Settled {
    let mut counters = facts.counters;
    if count == Count::Nothing {
        return Settled { state, counters };
    }
    if counters.reclaims >= RECLAIMS_MAX {
        return lost(counters);
    }
    counters.reclaims += 1;
    Settled { state, counters }
}

fn lost(counters: Counters) -> Settled {
    let outcome = OutcomeKind::Lost;
    Settled {
        state: TaskState::Failed { outcome },
        counters,
    }
}

fn failed_once_more(retry_at: Option<Timestamp>, facts: &TaskFacts) -> Settled {
    let mut counters = facts.counters;
    counters.failures = counters.failures.saturating_add(1);
    if counters.failures >= FAILURES_MAX {
        return Settled {
            state: TaskState::Quarantined,
            counters,
        };
    }
    let backoff = later(facts.now, backoff(facts.counters.failures, facts.roll));
    let asked = retry_at.map(|at| at.min(later(facts.now, RETRY_AT_MAX)));
    let until = asked.map_or(backoff, |at| at.max(backoff));
    Settled {
        state: TaskState::Waiting {
            on: Wait::Until { until },
        },
        counters,
    }
}

/// The delay after a failure that `failures` others preceded: 10 s · 2ⁿ, at most an hour, with full jitter from the roll.
#[must_use]
pub fn backoff(failures: u32, roll: u64) -> Duration {
    let factor = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
    let ceiling = BACKOFF_BASE.saturating_mul(factor).min(BACKOFF_MAX);
    let ceiling_ms = u64::try_from(ceiling.as_millis()).expect("an hour fits");
    Duration::from_millis(roll % (ceiling_ms + 1))
}

fn later(now: Timestamp, delay: Duration) -> Timestamp {
    let delay = SignedDuration::try_from(delay).unwrap_or(SignedDuration::MAX);
    now.checked_add(delay).unwrap_or(Timestamp::MAX)
}
