//! What gates answer when they do not do what was asked (sessions-and-gates.md, section 12).

use dormouse_filesystem::Version;
use dormouse_state::GateKind;
use jiff::Timestamp;

use super::Author;
use super::call::kind_word;
use crate::{CommandError, GateId, SessionId};

/// Nothing was done, unless a variant says so. Each says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// There is none, or none to be seen. Correct the id.
    #[error("there is no gate {gate}")]
    UnknownGate {
        /// The id.
        gate: GateId,
    },
    /// There is no such session, or none to be seen. Correct the id.
    #[error("there is no session {session}")]
    UnknownSession {
        /// The id.
        session: SessionId,
    },
    /// The session began another life. Open a new context.
    #[error("session {session} is in its life {current}")]
    StaleIncarnation {
        /// Which session.
        session: SessionId,
        /// Its life now.
        current: u32,
    },
    /// The session's state does not take the question. Look at the session.
    #[error("session {session} takes no question: {reason}")]
    Rejected {
        /// Which session.
        session: SessionId,
        /// The word of the table.
        reason: &'static str,
    },
    /// A field is not valid. Correct it.
    #[error("{field}: {reason}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Such a gate takes no such decision. Decide otherwise.
    #[error("{gate} is of type {}, which takes no {decision}", kind_word(*.kind))]
    WrongType {
        /// Which gate.
        gate: GateId,
        /// What it asks.
        kind: GateKind,
        /// The word of the decision.
        decision: &'static str,
    },
    /// It left pending before. Look at its decision.
    #[error("it is {status} by {by} since {at}")]
    NotPending {
        /// How it left pending.
        status: &'static str,
        /// By whom.
        by: Box<Author>,
        /// When.
        at: Timestamp,
    },
    /// It came after its time. The decision was recorded as too late, and not applied.
    #[error("it expired at {expired_at}; the decision was not applied")]
    TooLate {
        /// When its time was up.
        expired_at: Timestamp,
    },
    /// What was shown is not what is there. Look again.
    #[error("it is not what was shown; it is at version {current} now")]
    Changed {
        /// Its version.
        current: Version,
    },
    /// Somebody in this process waits for it already, and goes on to.
    #[error("{gate} is awaited already")]
    AlreadyAwaited {
        /// Which gate.
        gate: GateId,
    },
    /// The asker may not decide for this agent. Another person has to.
    #[error("{principal} may not decide it")]
    Forbidden {
        /// Who asked.
        principal: String,
    },
    /// It cannot be decided here. Answer where it is asked.
    #[error("it can only be answered {place}")]
    NotDecidable {
        /// Where.
        place: String,
    },
    /// As many as allowed are pending; the call is denied. Decide some first.
    #[error("the limit {limit} is reached; the call is denied")]
    Full {
        /// The limit's name.
        limit: &'static str,
    },
    /// As any command.
    #[error(transparent)]
    Command(#[from] CommandError),
}

impl GateError {
    /// The stable code, as programs see it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownGate { .. } => "unknown_gate",
            Self::UnknownSession { .. } => "unknown_session",
            Self::StaleIncarnation { .. } => "stale_incarnation",
            Self::Rejected { .. } => "rejected",
            Self::Invalid { .. } => "invalid",
            Self::WrongType { .. } => "wrong_type",
            Self::NotPending { .. } => "not_pending",
            Self::TooLate { .. } => "too_late",
            Self::Changed { .. } => "changed",
            Self::AlreadyAwaited { .. } => "already_awaited",
            Self::Forbidden { .. } => "forbidden",
            Self::NotDecidable { .. } => "not_decidable",
            Self::Full { .. } => "full",
            Self::Command(error) => error.code(),
        }
    }

    pub(crate) fn invalid(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid {
            field,
            reason: reason.into(),
        }
    }
}
