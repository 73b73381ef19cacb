//! What a process that serves wakes knows of a lane.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::TaskId;
use crate::budget::AccountPath;

/// How soon after a refusal a lane asks again at the earliest: each metered call gives something back.
pub(super) const REFUSED_AGAIN: Duration = Duration::from_millis(100);

/// What a lane does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its row or its tasks are being read, or its row written.
    Busy,
    /// It takes turns.
    Turning,
    /// All that may run at once does, its claims are under way, or it failed; looked at again at this time, or when a
    /// place is free.
    Waiting(Instant),
    /// An account that it may share with others had no more for it; looked at again as one that waits, and besides when
    /// an account has more and it is its turn of those whom the same one refused.
    Refused {
        /// When it was.
        since: Instant,
        /// When it asks again at the latest.
        until: Instant,
    },
}

impl Phase {
    /// When a lane that waits is looked at again, whatever happens.
    pub(super) fn until(self) -> Option<Instant> {
        match self {
            Self::Waiting(until) | Self::Refused { until, .. } => Some(until),
            Self::Busy | Self::Turning => None,
        }
    }

    /// Refused now, and looked at again at this time.
    pub(super) fn refused(until: Instant) -> Self {
        let since = Instant::now();
        Self::Refused { since, until }
    }

    /// An account has more: a lane that was refused need not wait as long.
    pub(super) fn ask_soon(&mut self) {
        if let Self::Refused { since, until } = self {
            *until = (*until).min(*since + REFUSED_AGAIN);
        }
    }

    /// Since when it is refused.
    pub(super) fn refused_since(self) -> Option<Instant> {
        match self {
            Self::Refused { since, .. } => Some(since),
            Self::Waiting(_) | Self::Busy | Self::Turning => None,
        }
    }

    /// Those that were refused first come first, and before those that only were full: what is given back is not always
    /// for whoever gave it.
    pub(super) fn rank(self) -> (bool, Option<Instant>) {
        match self {
            Self::Refused { since, .. } => (false, Some(since)),
            Self::Waiting(_) | Self::Busy | Self::Turning => (true, None),
        }
    }
}

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) phase: Phase,
    pub(super) candidates: VecDeque<TaskId>,
    pub(super) claiming: HashSet<TaskId>,
    /// Ready, and refused for a reason of their own: they are for the next time.
    pub(super) passed_over: HashSet<TaskId>,
    /// How many more may run.
    pub(super) places: usize,
    /// A place became free while it was busy.
    pub(super) is_freed: bool,
    /// An account has more than when its tasks were read.
    pub(super) has_more: bool,
    /// The account that refused it last, whose room it tries out for all whom that refused.
    pub(super) tries: Option<AccountPath>,
    /// The account that refused it, while it is.
    pub(super) refused_by: Option<AccountPath>,
    /// Rung since its tasks were read.
    pub(super) is_rung: bool,
    /// Its pick is to be said again from here on, where several share the store.
    pub(super) pick_again: Option<Instant>,
}

impl Lane {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Busy,
            candidates: VecDeque::new(),
            claiming: HashSet::new(),
            passed_over: HashSet::new(),
            places: 0,
            is_freed: false,
            has_more: false,
            tries: None,
            refused_by: None,
            is_rung: false,
            pick_again: None,
        }
    }
}
