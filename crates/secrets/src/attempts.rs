//! Others were first: how often a verb reads again, and what it says when they always were.

use dormouse_filesystem::{CommitError, ReadError, RecordError};

use crate::{KeyError, SecretError};

/// How often a verb reads again after others were first.
pub(crate) const ATTEMPTS: usize = 8;

impl SecretError {
    /// Others were first, each time: nothing was done.
    pub(crate) fn contended() -> Self {
        Self::Key(Box::new(KeyError::Conflict))
    }
}

/// Whether others were first.
pub(crate) fn is_conflict(error: &RecordError) -> bool {
    matches!(
        error,
        RecordError::Commit(CommitError::Conflict { .. }) | RecordError::Exists { .. }
    )
}

/// Whether the store may do it in a moment.
pub(crate) fn is_passing(error: &RecordError) -> bool {
    match error {
        RecordError::Commit(error) => {
            error.is_congestion()
                || matches!(
                    error,
                    CommitError::Closed { .. } | CommitError::Indeterminate { .. }
                )
        }
        RecordError::IndexBuilding { .. } => true,
        RecordError::Read(error) => {
            matches!(error, ReadError::Unavailable { .. } | ReadError::Closed { .. })
        }
        RecordError::Invalid(_)
        | RecordError::Misplaced { .. }
        | RecordError::TooNew { .. }
        | RecordError::UnknownKind { .. }
        | RecordError::Exists { .. }
        | RecordError::NoIndex { .. }
        | RecordError::CursorScope => false,
    }
}
