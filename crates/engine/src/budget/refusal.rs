//! Why more was not to be had, with all that stood near its limit.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::decide::Line;
use super::{Account, AccountPath, Dimension};
use crate::GateId;

/// An account that comes near its limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warning {
    /// Which account.
    pub account: AccountPath,
    /// In what.
    pub dimension: Dimension,
    /// What was used in this period.
    pub used: u64,
    /// What is held, with what was asked for.
    pub reserved: u64,
    /// Its limit.
    pub limit: u64,
}

impl Warning {
    pub(super) fn of(account: &AccountPath, line: &Line, estimate: u64) -> Self {
        Self {
            account: account.clone(),
            dimension: line.dimension,
            used: line.used,
            reserved: line.reserved.saturating_add(estimate),
            limit: line.limit,
        }
    }
}

/// What an account answered that did not say yes: the first of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Which account.
    pub account: AccountPath,
    /// In what.
    pub dimension: Dimension,
    /// What was used in this period.
    pub used: u64,
    /// What is held.
    pub reserved: u64,
    /// What was asked for beside that.
    pub estimate: u64,
    /// Its limit.
    pub limit: u64,
    /// When its period began.
    pub period_started_at: Timestamp,
    /// When its period ends, which may be what helps; none where it never does.
    pub period_ends_at: Option<Timestamp>,
    /// The gate by which a person is asked, or said no.
    pub gate: Option<GateId>,
    /// All accounts of the chain that come near their limits.
    pub warnings: Vec<Warning>,
}

impl Refusal {
    /// What this line of an account says to so much more.
    pub(super) fn of(account: &Account, line: &Line, estimate: u64) -> Self {
        Self {
            account: account.path.clone(),
            dimension: line.dimension,
            used: line.used,
            reserved: line.reserved,
            estimate,
            limit: line.limit,
            period_started_at: account.period_started_at,
            period_ends_at: account.period_ends_at(),
            gate: account.denied.get(&line.dimension).copied(),
            warnings: Vec::new(),
        }
    }

    /// That an agent has as many runs as it may.
    pub(super) fn of_slots(account: &Account, taken: u64, limit: u64) -> Self {
        Self {
            account: account.path.clone(),
            dimension: Dimension::Concurrency,
            used: 0,
            reserved: taken,
            estimate: 1,
            limit,
            period_started_at: account.period_started_at,
            period_ends_at: None,
            gate: None,
            warnings: Vec::new(),
        }
    }

    /// Whether an agent has as many runs at once as it may, which is over when one of them ends.
    #[must_use]
    pub fn is_of_slots(&self) -> bool {
        matches!(self.account, AccountPath::Agent(_)) && self.dimension == Dimension::Concurrency
    }

    /// What the limit would have to be.
    #[must_use]
    pub fn needed(&self) -> u64 {
        self.used
            .saturating_add(self.reserved)
            .saturating_add(self.estimate)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |amount| self.dimension.shown(amount);
        write!(
            f,
            "{} has {} of {} used, {} held, and {} more is asked for",
            self.account,
            shown(self.used),
            shown(self.limit),
            shown(self.reserved),
            shown(self.estimate)
        )
    }
}
