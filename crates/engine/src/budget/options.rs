//! How budgets behave.

use std::time::Duration;

use crate::CommandError;
use crate::limits::{
    BUDGET_APPROVAL_TTL, BUDGET_HOLD_AGE_MAX, BUDGET_LEDGER_BATCH, BUDGET_LEDGER_MAILBOX, BUDGET_PAUSE,
    BUDGET_WARN,
};

/// How budgets behave, where an account does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetOptions {
    /// `budget.warn`: from which share of a limit on it is said, in percent.
    pub warn: u8,
    /// `budget.pause`: from which share on a person is asked, in percent; 100 is never.
    pub pause: u8,
    /// `budget.hold_age_max`: what a run that has ended holds still is given back after so long.
    pub hold_age_max: Duration,
    /// `budget.approval_ttl`: for how long a person can say yes.
    pub approval_ttl: Duration,
    /// `budget.ledger_mailbox`: most commands of a tenant that wait for the ledger.
    pub ledger_mailbox: usize,
    /// `budget.ledger_batch`: most of them in one commit.
    pub ledger_batch: usize,
}

impl Default for BudgetOptions {
    fn default() -> Self {
        Self {
            warn: BUDGET_WARN,
            pause: BUDGET_PAUSE,
            hold_age_max: BUDGET_HOLD_AGE_MAX,
            approval_ttl: BUDGET_APPROVAL_TTL,
            ledger_mailbox: BUDGET_LEDGER_MAILBOX,
            ledger_batch: BUDGET_LEDGER_BATCH,
        }
    }
}

/// Refuses lines that are out of order.
pub(crate) fn check_lines(warn: u8, pause: u8) -> Result<(), CommandError> {
    if !(1..=100).contains(&warn) || !(1..=100).contains(&pause) {
        return Err(CommandError::invalid("warn, pause", "are 1% to 100%"));
    }
    if pause < warn {
        return Err(CommandError::invalid(
            "pause",
            format!("{pause}% is below {warn}%, from where it is warned"),
        ));
    }
    Ok(())
}
