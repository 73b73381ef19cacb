//! What commands do to accounts and holds: said in their drafts, done by the ledger in their commits.

use super::{AccountPath, Amounts, BudgetAsk, Chain, Metered, Period, Warning};
use crate::{AgentName, GateId, HoldId, Incarnation};

/// One thing a command does to accounts.
#[derive(Debug, Clone)]
pub(crate) enum Move {
    /// Reserves in a chain, where it limits anything.
    Reserve(Reservation),
    /// Reserves more under a hold.
    Grow(HoldId, Amounts),
    /// So much is used by now.
    Meter(HoldId, Amounts),
    /// So much was used in all.
    Reconcile(HoldId, Amounts),
    /// Nothing was used.
    Release(HoldId),
    /// Its run is over, or nobody closed it for long. What is known to be used by then is said with it.
    Sweep(HoldId, Amounts),
    /// Its run is over, and others of it are closed first: it is looked at next.
    Hasten(HoldId),
    /// A run of an agent begins.
    TakeSlot {
        agent: AgentName,
        incarnation: Incarnation,
        /// With so many at once it may not; none is counted only.
        free_below: Option<u64>,
    },
    /// A run of an agent holds nothing any more.
    FreeSlot {
        agent: AgentName,
        incarnation: Incarnation,
    },
    /// An account that nothing is charged to any more goes.
    Forget(AccountPath),
    /// An account is set.
    Set(AccountPath, Option<Incarnation>, Setting),
    /// A person raised a limit.
    Raise(BudgetAsk, u64, GateId),
    /// A person said no, or nobody said anything in time.
    Deny(BudgetAsk, GateId),
}

/// What is to be reserved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reservation {
    pub(crate) id: HoldId,
    /// Whether the id was made for it, so that there can be none.
    pub(crate) is_new: bool,
    pub(crate) chain: Chain,
    pub(crate) estimate: Amounts,
    pub(crate) is_in_flight: bool,
}

/// What is set of an account; what is not said stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Setting {
    /// Limits, by dimension; none takes one away.
    pub limits: Vec<(super::Dimension, Option<u64>)>,
    /// From which share of a limit on it is said; `Some(None)` leaves it to the setting.
    pub warn: Option<Option<u8>>,
    /// From which share on a person is asked; `Some(None)` leaves it to the setting.
    pub pause: Option<Option<u8>>,
    /// How long what is used counts.
    pub period: Option<Period>,
}

/// What a move answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Moved {
    /// It was reserved; without a hold nothing is limited.
    Reserved {
        hold: Option<HoldId>,
        warnings: Vec<Warning>,
    },
    /// What the accounts say by now.
    Metered(Metered),
    /// Whether anything changed by it.
    Done(bool),
}
