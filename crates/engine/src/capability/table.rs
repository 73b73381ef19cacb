//! The states of a capability (sessions-and-gates.md, section 9): a pure table.

/// Where a capability is, without by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CapabilityPhase {
    /// It can be used.
    Active,
    /// A run is about to.
    Claimed,
    /// Its effect may be happening.
    Dispatching,
    /// Used.
    Consumed,
    /// Taken back.
    Revoked,
    /// Its time was up.
    Expired,
}

impl CapabilityPhase {
    /// Every phase, in the order of the table.
    pub const ALL: [Self; 6] = [
        Self::Active,
        Self::Claimed,
        Self::Dispatching,
        Self::Consumed,
        Self::Revoked,
        Self::Expired,
    ];

    /// The phase's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Claimed => "claimed",
            Self::Dispatching => "dispatching",
            Self::Consumed => "consumed",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }
}

/// What can happen to a capability. `is_holder` says whether the asker holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CapabilityEvent {
    /// A run wants to use it for a call.
    Claim {
        /// Whether it is for this call.
        fits: bool,
        /// Whether the run holds it already.
        is_holder: bool,
    },
    /// The effect is about to begin.
    BeginDispatch {
        /// Whether the run holds it.
        is_holder: bool,
    },
    /// It is not used after all.
    Abort {
        /// Whether the run holds it.
        is_holder: bool,
        /// Whether it is certain that nothing was done.
        is_undone: bool,
    },
    /// The effect ended.
    Finish {
        /// Whether the run holds it, or did when it said the same before.
        is_holder: bool,
    },
    /// It is taken back.
    Revoke,
    /// Its time may be up.
    Expire {
        /// Whether it is.
        is_due: bool,
    },
    /// Its holder vanished.
    HolderGone,
}

impl CapabilityEvent {
    /// Every event, in the order of the table.
    pub const ALL: [Self; 15] = [
        Self::Claim {
            fits: true,
            is_holder: false,
        },
        Self::Claim {
            fits: true,
            is_holder: true,
        },
        Self::Claim {
            fits: false,
            is_holder: false,
        },
        Self::BeginDispatch { is_holder: true },
        Self::BeginDispatch { is_holder: false },
        Self::Abort {
            is_holder: true,
            is_undone: true,
        },
        Self::Abort {
            is_holder: true,
            is_undone: false,
        },
        Self::Abort {
            is_holder: false,
            is_undone: true,
        },
        Self::Finish { is_holder: true },
        Self::Finish { is_holder: false },
        Self::Revoke,
        Self::Expire { is_due: true },
        Self::Expire { is_due: false },
        Self::HolderGone,
        Self::Claim {
            fits: false,
            is_holder: true,
        },
    ];

    /// The event's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Claim {
                fits: true,
                is_holder: false,
            } => "claim",
            Self::Claim {
                fits: true,
                is_holder: true,
            } => "claim again",
            Self::Claim {
                fits: false,
                is_holder: false,
            } => "claim, other call",
            Self::Claim {
                fits: false,
                is_holder: true,
            } => "claim again, other call",
            Self::BeginDispatch { is_holder: true } => "begin_dispatch",
            Self::BeginDispatch { is_holder: false } => "begin_dispatch, other",
            Self::Abort {
                is_holder: true,
                is_undone: true,
            } => "abort",
            Self::Abort {
                is_holder: true,
                is_undone: false,
            } => "abort, maybe done",
            Self::Abort { is_holder: false, .. } => "abort, other",
            Self::Finish { is_holder: true } => "finish",
            Self::Finish { is_holder: false } => "finish, other",
            Self::Revoke => "revoke",
            Self::Expire { is_due: true } => "expire",
            Self::Expire { is_due: false } => "expire early",
            Self::HolderGone => "holder gone",
        }
    }
}

/// A cell of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CapabilityCell {
    /// It can be used again.
    Active,
    /// The asker holds it.
    Claimed,
    /// Its effect may begin.
    Dispatching,
    /// It is used, with this result.
    Consumed,
    /// It is used, and with what result is not known.
    ConsumedUnknown,
    /// It is taken back.
    Revoked,
    /// Its time is up.
    Expired,
    /// Nothing changes, and that is right.
    Ignore(CapabilityIgnored),
    /// Nothing changes, and the asker is told so.
    Refuse(CapabilityRefused),
}

/// Why nothing changes, rightly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CapabilityIgnored {
    /// The same was said before.
    Replay,
    /// It came after the end.
    Late,
    /// Its time is not up.
    NotDue,
    /// Nobody holds it.
    NoHolder,
    /// Its effect may be happening.
    UnderWay,
}

/// Why something is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CapabilityRefused {
    /// It is for another call.
    Mismatch,
    /// Another run holds it.
    Claimed,
    /// It cannot be used any more.
    Closed,
    /// The asker does not hold it.
    NotClaimed,
    /// Its effect has not begun.
    NotDispatching,
    /// Its effect may be happening.
    UnderWay,
}

impl CapabilityRefused {
    /// The word of the table.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Mismatch => "mismatch",
            Self::Claimed => "claimed",
            Self::Closed => "closed",
            Self::NotClaimed => "not_claimed",
            Self::NotDispatching => "not_dispatching",
            Self::UnderWay => "under_way",
        }
    }
}

impl CapabilityCell {
    /// The cell as the table prints it.
    #[must_use]
    pub fn word(self) -> String {
        let word = match self {
            Self::Active => "active",
            Self::Claimed => "claimed",
            Self::Dispatching => "dispatching",
            Self::Consumed => "consumed",
            Self::ConsumedUnknown => "consumed(unknown)",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Ignore(CapabilityIgnored::Replay) => "i:replay",
            Self::Ignore(CapabilityIgnored::Late) => "i:late",
            Self::Ignore(CapabilityIgnored::NotDue) => "i:not_due",
            Self::Ignore(CapabilityIgnored::NoHolder) => "i:no_holder",
            Self::Ignore(CapabilityIgnored::UnderWay) => "i:under_way",
            Self::Refuse(why) => return format!("x:{}", why.word()),
        };
        word.to_owned()
    }
}

/// What becomes of a capability in this phase.
#[must_use]
pub fn decide(phase: CapabilityPhase, event: CapabilityEvent) -> CapabilityCell {
    use CapabilityCell as C;
    use CapabilityEvent as E;
    use CapabilityIgnored as I;
    use CapabilityPhase as P;
    use CapabilityRefused as X;
    match (phase, event) {
        (
            P::Consumed | P::Revoked | P::Expired,
            E::Claim { .. } | E::BeginDispatch { .. } | E::Abort { .. },
        ) => C::Refuse(X::Closed),
        (P::Consumed, E::Finish { is_holder: true }) => C::Ignore(I::Replay),
        (P::Consumed | P::Revoked | P::Expired, E::Finish { .. }) => C::Refuse(X::Closed),
        (P::Consumed | P::Revoked | P::Expired, E::Revoke | E::Expire { .. } | E::HolderGone) => {
            C::Ignore(I::Late)
        }
        (P::Active | P::Claimed | P::Dispatching, E::Claim { fits: false, .. }) => C::Refuse(X::Mismatch),
        (P::Active, E::Claim { fits: true, .. }) => C::Claimed,
        (P::Claimed | P::Dispatching, E::Claim { is_holder: true, .. }) => C::Ignore(I::Replay),
        (P::Claimed | P::Dispatching, E::Claim { is_holder: false, .. }) => C::Refuse(X::Claimed),
        (P::Active, E::BeginDispatch { .. } | E::Abort { .. } | E::Finish { .. }) => C::Refuse(X::NotClaimed),
        (
            P::Claimed | P::Dispatching,
            E::BeginDispatch { is_holder: false }
            | E::Abort { is_holder: false, .. }
            | E::Finish { is_holder: false },
        ) => C::Refuse(X::NotClaimed),
        (P::Claimed, E::BeginDispatch { is_holder: true }) => C::Dispatching,
        (P::Dispatching, E::BeginDispatch { is_holder: true }) => C::Ignore(I::Replay),
        (P::Claimed, E::Abort { is_holder: true, .. }) => C::Active,
        (
            P::Dispatching,
            E::Abort {
                is_holder: true,
                is_undone: true,
            },
        ) => C::Claimed,
        (
            P::Dispatching,
            E::Abort {
                is_holder: true,
                is_undone: false,
            },
        ) => C::Refuse(X::UnderWay),
        (P::Claimed, E::Finish { is_holder: true }) => C::Refuse(X::NotDispatching),
        (P::Dispatching, E::Finish { is_holder: true }) => C::Consumed,
        (P::Active | P::Claimed, E::Revoke) => C::Revoked,
        (P::Dispatching, E::Revoke) => C::Refuse(X::UnderWay),
        (P::Active | P::Claimed, E::Expire { is_due: true }) => C::Expired,
        (P::Active | P::Claimed, E::Expire { is_due: false }) => C::Ignore(I::NotDue),
        (P::Dispatching, E::Expire { .. }) => C::Ignore(I::UnderWay),
        (P::Active, E::HolderGone) => C::Ignore(I::NoHolder),
        (P::Claimed, E::HolderGone) => C::Active,
        (P::Dispatching, E::HolderGone) => C::ConsumedUnknown,
    }
}
