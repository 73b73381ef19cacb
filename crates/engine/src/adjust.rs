//! What may be set otherwise while an engine is open: read where it is used, each time.

use std::sync::{PoisonError, RwLock};

use crate::agent::Intensity;
use crate::command::ClockSettings;

/// What may be set otherwise while an engine is open. What is at work keeps what it began with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adjustable {
    /// How many bad ends pause an agent; none is never.
    pub agent_intensity: Option<Intensity>,
    /// The clocks of runs, where neither their task nor their agent sets them: of claims from now on.
    pub clocks: ClockSettings,
    /// `wakes.timed_max`: most timed wakes of an agent that wait.
    pub wakes_timed_max: usize,
}

/// The present ones, which all tenants of an engine share.
#[derive(Debug)]
pub(crate) struct Adjusted(RwLock<Adjustable>);

impl Adjusted {
    pub(crate) fn new(first: Adjustable) -> Self {
        Self(RwLock::new(first))
    }

    /// As they are now.
    pub(crate) fn now(&self) -> Adjustable {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, to: Adjustable) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = to;
    }
}
