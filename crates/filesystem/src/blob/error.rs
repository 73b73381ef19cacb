//! What a blob refuses, and why.

use super::BlobId;
use crate::{CommitError, ReadError, RecordError};

/// A call on blobs that was not done.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// Refused before anything was written. Make it smaller.
    #[error("the blob is over {limit}")]
    TooLarge {
        /// The name of the limit.
        limit: &'static str,
    },
    /// Not done: there is, or was, one of this id. Take another.
    #[error("{id} exists")]
    Exists {
        /// The id.
        id: BlobId,
    },
    /// It has fewer bytes. Correct the range.
    #[error("the range is not within the blob's {size} bytes")]
    Range {
        /// How many it has.
        size: u64,
    },
    /// What is stored is not what was staged: cut, changed, of another. It is untouched. An operator decides.
    #[error("{id} is damaged; its bytes are kept")]
    Corrupt {
        /// The id.
        id: BlobId,
    },
    /// It was removed since it was looked up.
    #[error("{id} was removed")]
    Removed {
        /// The id.
        id: BlobId,
    },
    /// As of records.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// As of any read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// As of any commit. Of a blob being staged a part may be there, which is swept.
    #[error(transparent)]
    Commit(#[from] CommitError),
}
