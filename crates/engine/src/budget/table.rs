//! The states of a hold (stores.md, section 8): a pure table.

use serde::{Deserialize, Serialize};

use crate::{Decision, Reason};

/// Where a hold is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldState {
    /// It stands.
    Open,
    /// It was closed with what was used.
    Reconciled,
    /// It was given back: nothing was used.
    Released,
}

impl HoldState {
    /// Every state, in the order of the table; none is no hold.
    pub const ALL: [Option<Self>; 4] = [
        None,
        Some(Self::Open),
        Some(Self::Reconciled),
        Some(Self::Released),
    ];

    /// The state's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Reconciled => "reconciled",
            Self::Released => "released",
        }
    }
}

/// What can happen to a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HoldEvent {
    /// So much is reserved under its id.
    Reserve {
        /// Whether the same was, before.
        is_replay: bool,
    },
    /// It is to be larger.
    Grow,
    /// So much was used by now.
    Meter,
    /// So much was used in all.
    Reconcile,
    /// Nothing was used.
    Release {
        /// Whether something is known to have been.
        has_spent: bool,
    },
    /// Its run ended, or nobody closed it for long.
    Sweep {
        /// Whether something was used, or may have been.
        has_spent: bool,
    },
}

impl HoldEvent {
    /// Every event, in the order of the table.
    pub const ALL: [Self; 9] = [
        Self::Reserve { is_replay: true },
        Self::Reserve { is_replay: false },
        Self::Grow,
        Self::Meter,
        Self::Reconcile,
        Self::Release { has_spent: false },
        Self::Release { has_spent: true },
        Self::Sweep { has_spent: false },
        Self::Sweep { has_spent: true },
    ];

    /// The event's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Reserve { .. } => "reserve",
            Self::Grow => "grow",
            Self::Meter => "meter",
            Self::Reconcile => "reconcile",
            Self::Release { .. } => "release",
            Self::Sweep { .. } => "sweep",
        }
    }
}

/// What becomes of a hold. Known spend is never given back.
#[must_use]
pub fn decide(state: Option<HoldState>, event: HoldEvent) -> Decision<HoldState> {
    use Decision::{Apply, Ignore, Reject, Same};
    use HoldEvent as E;
    use HoldState as S;
    match (state, event) {
        (None, E::Reserve { .. }) => Apply(S::Open),
        (None, E::Grow | E::Meter | E::Reconcile | E::Release { .. }) => Reject(Reason::Unknown),
        (None, E::Sweep { .. }) => Ignore(Reason::Late),

        (Some(S::Open), E::Reserve { is_replay: true }) => Ignore(Reason::Replay),
        (Some(S::Open), E::Reserve { is_replay: false }) => Reject(Reason::Exists),
        (Some(S::Open), E::Grow | E::Meter) => Same,
        (Some(S::Open), E::Reconcile) => Apply(S::Reconciled),
        (Some(S::Open), E::Release { has_spent } | E::Sweep { has_spent }) => {
            Apply(if has_spent { S::Reconciled } else { S::Released })
        }

        (
            Some(S::Reconciled | S::Released),
            E::Reserve { .. } | E::Grow | E::Meter | E::Reconcile | E::Release { .. },
        ) => Reject(Reason::Closed),
        (Some(S::Reconciled | S::Released), E::Sweep { .. }) => Ignore(Reason::Late),
    }
}
