//! The states of a gate (sessions-and-gates.md, section 7): a pure table.

use dormouse_state::GateKind;

use super::GateStatus;

/// Where a gate is: what is asked while it is pending, how it ended after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateState {
    /// Nobody has decided yet.
    Pending(GateKind),
    /// It left pending.
    Ended(GateStatus),
}

impl GateState {
    /// Every state, in the order of the table.
    pub const ALL: [Self; 9] = [
        Self::Pending(GateKind::Approval),
        Self::Pending(GateKind::Question),
        Self::Pending(GateKind::Notification),
        Self::Ended(GateStatus::Approved),
        Self::Ended(GateStatus::Rejected),
        Self::Ended(GateStatus::Answered),
        Self::Ended(GateStatus::Expired),
        Self::Ended(GateStatus::Invalidated),
        Self::Ended(GateStatus::Discarded),
    ];
}

/// What can happen to a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateEvent {
    /// A person lets the call be made.
    Approve {
        /// Whether the same person decided the same before.
        is_replay: bool,
    },
    /// A person does not.
    Reject {
        /// Whether the same person decided the same before.
        is_replay: bool,
    },
    /// A person answers, or has seen it.
    Answer {
        /// Whether the same person decided the same before.
        is_replay: bool,
    },
    /// Its time may be up.
    Expire {
        /// Whether it is.
        is_due: bool,
    },
    /// It lost its meaning.
    Invalidate,
    /// It is withdrawn as if it had never been.
    Discard,
    /// It is opened again with the same key.
    OpenAgain {
        /// Whether its capability was closed without being known to have done anything: never used, or unknown.
        is_spent: bool,
    },
}

impl GateEvent {
    /// Every event, in the order of the table.
    pub const ALL: [Self; 12] = [
        Self::Approve { is_replay: false },
        Self::Approve { is_replay: true },
        Self::Reject { is_replay: false },
        Self::Reject { is_replay: true },
        Self::Answer { is_replay: false },
        Self::Answer { is_replay: true },
        Self::Expire { is_due: true },
        Self::Expire { is_due: false },
        Self::Invalidate,
        Self::Discard,
        Self::OpenAgain { is_spent: false },
        Self::OpenAgain { is_spent: true },
    ];

    /// The event's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Approve { is_replay: false } => "approve",
            Self::Approve { is_replay: true } => "approve again",
            Self::Reject { is_replay: false } => "reject",
            Self::Reject { is_replay: true } => "reject again",
            Self::Answer { is_replay: false } => "answer",
            Self::Answer { is_replay: true } => "answer again",
            Self::Expire { is_due: true } => "expire",
            Self::Expire { is_due: false } => "expire early",
            Self::Invalidate => "invalidate",
            Self::Discard => "discard",
            Self::OpenAgain { is_spent: false } => "open again",
            Self::OpenAgain { is_spent: true } => "open again, spent",
        }
    }
}

/// A cell of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateCell {
    /// It leaves pending.
    End(GateStatus),
    /// A new gate is opened, which names this one.
    OpenNew,
    /// Nothing changes, and that is right.
    Ignore(GateIgnored),
    /// Nothing changes, and the asker is told so.
    Refuse(GateRefused),
}

/// Why nothing changes, rightly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateIgnored {
    /// The pending gate is the one that was to be opened.
    SameGate,
    /// Its decision is the answer.
    SameDecision,
    /// Its answer is no.
    SameNo,
    /// The same was said before.
    Replay,
    /// It came after its time.
    Late,
    /// Its time is not up.
    NotDue,
    /// It is so already.
    Same,
}

/// Why something is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateRefused {
    /// No such decision on such a gate.
    Type,
    /// It expired before.
    TooLate,
    /// It was decided, or lost its meaning.
    NotPending,
}

impl GateCell {
    /// The cell as the table prints it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::End(status) => status.word(),
            Self::OpenNew => "new, previous",
            Self::Ignore(GateIgnored::SameGate) => "i:same gate",
            Self::Ignore(GateIgnored::SameDecision) => "i:same decision",
            Self::Ignore(GateIgnored::SameNo) => "i:same decision: no",
            Self::Ignore(GateIgnored::Replay) => "i:replay",
            Self::Ignore(GateIgnored::Late) => "i:late",
            Self::Ignore(GateIgnored::NotDue) => "i:not_due",
            Self::Ignore(GateIgnored::Same) => "i:same",
            Self::Refuse(GateRefused::Type) => "x:type",
            Self::Refuse(GateRefused::TooLate) => "x:too_late",
            Self::Refuse(GateRefused::NotPending) => "x:not_pending",
        }
    }
}

/// What becomes of a gate in this state.
#[must_use]
pub fn decide(state: GateState, event: GateEvent) -> GateCell {
    match state {
        GateState::Pending(kind) => pending(kind, event),
        GateState::Ended(status) => ended(status, event),
    }
}

fn pending(kind: GateKind, event: GateEvent) -> GateCell {
    use GateCell::{End, Ignore, Refuse};
    use GateEvent as E;
    use GateKind as K;
    use GateStatus as S;
    match (kind, event) {
        (K::Approval, E::Approve { .. }) => End(S::Approved),
        (K::Question | K::Notification, E::Approve { .. }) => Refuse(GateRefused::Type),
        (K::Approval | K::Question, E::Reject { .. }) => End(S::Rejected),
        (K::Notification, E::Reject { .. }) => Refuse(GateRefused::Type),
        (K::Approval, E::Answer { .. }) => Refuse(GateRefused::Type),
        (K::Question | K::Notification, E::Answer { .. }) => End(S::Answered),
        (_, E::Expire { is_due: true }) => End(S::Expired),
        (_, E::Expire { is_due: false }) => Ignore(GateIgnored::NotDue),
        (_, E::Invalidate) => End(S::Invalidated),
        (_, E::Discard) => End(S::Discarded),
        (_, E::OpenAgain { .. }) => Ignore(GateIgnored::SameGate),
    }
}

fn ended(status: GateStatus, event: GateEvent) -> GateCell {
    use GateCell::{Ignore, OpenNew, Refuse};
    use GateEvent as E;
    use GateStatus as S;
    match (status, event) {
        (
            S::Approved | S::Rejected | S::Answered,
            E::Approve { is_replay: true } | E::Reject { is_replay: true } | E::Answer { is_replay: true },
        ) => Ignore(GateIgnored::Replay),
        (
            S::Approved | S::Rejected | S::Answered | S::Invalidated | S::Discarded,
            E::Approve { .. } | E::Reject { .. } | E::Answer { .. },
        ) => Refuse(GateRefused::NotPending),
        (S::Expired, E::Approve { .. } | E::Reject { .. } | E::Answer { .. }) => Refuse(GateRefused::TooLate),
        (_, E::Expire { .. } | E::Invalidate) => Ignore(GateIgnored::Late),
        (S::Discarded, E::Discard) => Ignore(GateIgnored::Same),
        (S::Approved | S::Rejected | S::Answered | S::Expired | S::Invalidated, E::Discard) => {
            Refuse(GateRefused::NotPending)
        }
        (S::Approved, E::OpenAgain { is_spent: true }) | (S::Invalidated, E::OpenAgain { .. }) => OpenNew,
        (S::Approved | S::Rejected | S::Answered | S::Expired, E::OpenAgain { .. }) => {
            Ignore(GateIgnored::SameDecision)
        }
        (S::Discarded, E::OpenAgain { .. }) => Ignore(GateIgnored::SameNo),
    }
}
