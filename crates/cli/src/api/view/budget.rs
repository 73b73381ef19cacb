//! An account, and what it used on a day.

use dormouse_engine::GateId;
use dormouse_engine::budget::{Account, AccountPath, Amounts, Dimension, Period, Usage};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An account, as the API answers it: as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BudgetView {
    /// Whose: `tenant`, `agent.NAME`, `session.ses_…`, `task.tsk_…`, `run.run_…`.
    pub account: AccountPath,
    /// What it may use; what is not named is not limited.
    pub limits: Amounts,
    /// From which share of a limit on it is said, in percent; as the settings say where none.
    pub warn: Option<u8>,
    /// From which share on a person is asked, in percent; as the settings say where none.
    pub pause: Option<u8>,
    /// How long what is used counts.
    pub period: Period,
    /// When this period began.
    pub period_started_at: Timestamp,
    /// When it ends; none where it never does.
    pub period_ends_at: Option<Timestamp>,
    /// What was used in it.
    pub used: Amounts,
    /// What is held at the moment.
    pub reserved: Amounts,
    /// The limits that a person raised, until the period ends.
    #[serde(default, skip_serializing_if = "Amounts::is_empty")]
    pub raised: Amounts,
    /// Where a person said no, until the period ends, by which gate.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub denied: BTreeMap<Dimension, GateId>,
}

impl BudgetView {
    /// The view of an account as it is at a time.
    #[must_use]
    pub fn of(account: &Account) -> Self {
        Self {
            account: account.path.clone(),
            limits: account.limits.clone(),
            warn: account.warn,
            pause: account.pause,
            period: account.period.clone(),
            period_started_at: account.period_started_at,
            period_ends_at: account.period_ends_at(),
            used: account.used.clone(),
            reserved: account.reserved.clone(),
            raised: account.raised.clone(),
            denied: account.denied.clone(),
        }
    }
}

/// What an account used on a day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsageView {
    /// The day, in UTC.
    pub day: jiff::civil::Date,
    /// What was used.
    pub used: Amounts,
    /// What of it is not known, and taken for what was expected.
    #[serde(default, skip_serializing_if = "Amounts::is_empty")]
    pub estimated: Amounts,
    /// Holds that were closed.
    pub closed: u64,
}

impl UsageView {
    /// The view of a row.
    #[must_use]
    pub fn of(usage: &Usage) -> Self {
        Self {
            day: usage.day,
            used: usage.used.clone(),
            estimated: usage.estimated.clone(),
            closed: usage.closed,
        }
    }
}
