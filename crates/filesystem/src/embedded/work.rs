//! What callers ask of the committer, and its answers.

use tokio::sync::oneshot;

use crate::{Batch, CommitError, Committed, LogError, Position, Stream};

/// Something to be written.
#[derive(Debug)]
pub(crate) enum Work {
    /// A batch.
    Commit(Batch, oneshot::Sender<Result<Committed, CommitError>>),
    /// One step of dropping the head of a log.
    Truncate(Truncate, oneshot::Sender<Result<Truncated, LogError>>),
}

/// Which head of which log.
#[derive(Debug)]
pub(crate) struct Truncate {
    pub(crate) log: Stream,
    pub(crate) before: Position,
}

/// How far a truncation has come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Truncated {
    pub(crate) first: Position,
}

impl Work {
    /// Answers something that was not done. The caller may be gone.
    pub(crate) fn refuse(self, error: CommitError) {
        match self {
            Self::Commit(_, answer) => drop(answer.send(Err(error))),
            Self::Truncate(_, answer) => drop(answer.send(Err(error.into()))),
        }
    }

    /// Whether it only gives space back, and so may use the reserve.
    pub(crate) fn is_reclaim(&self) -> bool {
        match self {
            Self::Commit(batch, _) => {
                batch.puts.is_empty() && batch.begins.is_empty() && batch.appends.is_empty()
            }
            Self::Truncate(..) => true,
        }
    }

    /// The most bytes it can take in the log.
    pub(crate) fn encoded_max(&self) -> usize {
        use crate::commit_log::frame::{ALIGNMENT, HEADER_BYTES};
        const OPERATION_BYTES: usize = 32;
        match self {
            Self::Commit(batch, _) if !batch.writes() => 0,
            Self::Commit(batch, _) => {
                HEADER_BYTES + ALIGNMENT + batch.bytes() + OPERATION_BYTES * batch.operations()
            }
            Self::Truncate(truncate, _) => {
                HEADER_BYTES + ALIGNMENT + OPERATION_BYTES + truncate.log.key().stored().len()
            }
        }
    }
}
