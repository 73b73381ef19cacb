//! The states of a lease (stores.md, section 6): a pure table.

use crate::{Decision, Reason};

/// Where a lease is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeaseState {
    /// Nobody holds it: there is no row.
    Free,
    /// Held, and its heartbeat is young enough.
    Held,
    /// Its row stands, and its time is up.
    Expired,
}

impl LeaseState {
    /// Every state, in the order of the table.
    pub const ALL: [Self; 3] = [Self::Free, Self::Held, Self::Expired];

    /// The state's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Held => "held",
            Self::Expired => "expired",
        }
    }
}

/// What is asked of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeaseEvent {
    /// Somebody wants it.
    Take,
    /// Its holder renews it.
    Renew {
        /// Whether it is a live guard of this epoch in a store nobody else can write.
        is_exclusive: bool,
    },
    /// Its holder writes under it.
    Write,
    /// A former holder renews or writes.
    Former,
    /// Its holder gives it back.
    Release,
    /// Recovery takes it from whoever held it.
    TakeOver {
        /// Whether it is a run's: those are lapsed, not handed on.
        is_run: bool,
    },
}

impl LeaseEvent {
    /// Every event, in the order of the table.
    pub const ALL: [Self; 8] = [
        Self::Take,
        Self::Renew { is_exclusive: false },
        Self::Renew { is_exclusive: true },
        Self::Write,
        Self::Former,
        Self::Release,
        Self::TakeOver { is_run: true },
        Self::TakeOver { is_run: false },
    ];

    /// The event's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Take => "take",
            Self::Renew { is_exclusive: false } => "renew",
            Self::Renew { is_exclusive: true } => "renew_exclusive",
            Self::Write => "write",
            Self::Former => "former",
            Self::Release => "release",
            Self::TakeOver { is_run: true } => "take_over_run",
            Self::TakeOver { is_run: false } => "take_over",
        }
    }
}

/// What becomes of a lease.
#[must_use]
pub fn decide(state: LeaseState, event: LeaseEvent) -> Decision<LeaseState> {
    use Decision::{Apply, Ignore, Reject, Same};
    use LeaseEvent as E;
    use LeaseState as S;
    match (state, event) {
        (S::Free, E::Take) => Apply(S::Held),
        (S::Free, E::Release | E::TakeOver { .. }) => Ignore(Reason::Late),
        (S::Held, E::Take | E::TakeOver { .. }) => Reject(Reason::Held),
        (S::Held, E::Renew { .. } | E::Write) => Same,
        (S::Held | S::Expired, E::Release) => Apply(S::Free),
        (S::Expired, E::Renew { is_exclusive: true }) => Apply(S::Held),
        (S::Expired, E::Take | E::Renew { is_exclusive: false } | E::Write) => Reject(Reason::Expired),
        (S::Expired, E::TakeOver { is_run: true }) => Apply(S::Free),
        (S::Expired, E::TakeOver { is_run: false }) => Apply(S::Held),
        (S::Free, E::Renew { .. } | E::Write) | (S::Free | S::Held | S::Expired, E::Former) => {
            Reject(Reason::Fenced)
        }
    }
}
