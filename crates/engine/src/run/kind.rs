//! The variant of an outcome without what it carries: what tasks remember and indexes hold.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;

/// Which outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// Done.
    Success,
    /// Ended by itself, with something to show.
    Partial,
    /// An outside defence stopped it.
    Blocked,
    /// It failed.
    Failed,
    /// A clock ran out.
    Timeout,
    /// Somebody stopped it.
    Cancelled,
    /// Its holder vanished.
    Lost,
}

impl OutcomeKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Success,
        Self::Partial,
        Self::Blocked,
        Self::Failed,
        Self::Timeout,
        Self::Cancelled,
        Self::Lost,
    ];

    /// The kind of an outcome.
    #[must_use]
    pub fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Success { .. } => Self::Success,
            Outcome::Partial { .. } => Self::Partial,
            Outcome::Blocked { .. } => Self::Blocked,
            Outcome::Failed { .. } => Self::Failed,
            Outcome::Timeout { .. } => Self::Timeout,
            Outcome::Cancelled { .. } => Self::Cancelled,
            Outcome::Lost { .. } => Self::Lost,
        }
    }

    /// The kind's word, as printed and indexed.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Partial => "partial",
            Self::Blocked => "blocked",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
        }
    }
}

impl fmt::Display for OutcomeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
