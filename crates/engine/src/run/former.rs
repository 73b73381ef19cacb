//! What is kept of the former processes of a run that parks.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::adapter::Tokens;

/// What the former processes of a run used, as their provider's streams told it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsedBefore {
    /// In all.
    pub used: Tokens,
    /// What the provider's threads showed in the end, at most 100 of them: their counters go on from there when they are
    /// resumed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counters: BTreeMap<String, Tokens>,
}

/// With what a run parks.
#[derive(Debug, Clone)]
pub(crate) struct Leaving {
    /// What its processes used of the wall clock.
    pub(crate) clock: Duration,
    /// What they used of their provider; none where no stream told it.
    pub(crate) used: Option<UsedBefore>,
    /// How many of its processes the kernel had not let go of.
    pub(crate) alive: u32,
}
