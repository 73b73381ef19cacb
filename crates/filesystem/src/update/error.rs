//! Why an update has no answer of its own.

use crate::{CommitError, ReadError, RecordError};

/// An update that did not come to an end. Nothing was done, unless it says `Indeterminate`.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError<E> {
    /// Not done: the caller's own refusal.
    #[error("the update was refused by what it computes")]
    Apply(#[source] E),
    /// Not done: what is stored is not such a record, or is of a newer build; it is untouched. An operator decides.
    #[error(transparent)]
    Decode(Box<RecordError>),
    /// Not done: what the update computed makes no such record.
    #[error(transparent)]
    Encode(Box<RecordError>),
    /// Not done: others were first, each time. Try later; if this is usual, the record is too hot.
    #[error("the record was changed by others {attempts} times in a row; nothing was written")]
    Contended {
        /// How many commits were refused.
        attempts: u32,
    },
    /// Not done: too many updates of this key, or of all keys, are waiting. Retry with jitter.
    #[error("too many updates of this record are waiting; nothing was written")]
    QueueFull,
    /// Not done: [`DEADLINE`](crate::update::DEADLINE) passed with no commit in flight. Retry with jitter.
    #[error("the update's time ran out before it was sent; nothing was written")]
    Deadline,
    /// Not done: this store cannot. Use another backend.
    #[error("this store does not support {capability}")]
    Unsupported {
        /// What it lacks.
        capability: &'static str,
    },
    /// Not done: as of any read.
    #[error(transparent)]
    Read(ReadError),
    /// As of any commit. `Indeterminate` is unknown, also when the time ran out with a commit in flight.
    #[error(transparent)]
    Write(CommitError),
}

impl<E> From<ReadError> for UpdateError<E> {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unsupported { capability } => Self::Unsupported { capability },
            other => Self::Read(other),
        }
    }
}

impl<E> From<CommitError> for UpdateError<E> {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Unsupported { capability } => Self::Unsupported { capability },
            other => Self::Write(other),
        }
    }
}
