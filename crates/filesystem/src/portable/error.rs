//! What can be wrong with a file, and with writing and reading one.

use std::io;

use jiff::Timestamp;

use crate::{CommitError, Key, LogError, ReadError, Version};

/// A file that is not a whole export.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It does not begin as an export does. Name another file.
    #[error("the file is no export of a store")]
    Foreign,
    /// A newer build wrote it. Upgrade.
    #[error("the file has format {found}, this build knows up to {known}; upgrade dormouse")]
    TooNew {
        /// Its format.
        found: u32,
        /// The newest known.
        known: u32,
    },
    /// It ends before its end. Take a whole copy.
    #[error("the file is cut off at byte {at}, before its end")]
    Cut {
        /// Its length.
        at: u64,
    },
    /// It is not as it was written. Take another copy.
    #[error("the file was changed, at or behind byte {at}: {what}")]
    Changed {
        /// Where the frame begins that is wrong.
        at: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// It could not be read.
    #[error("the file could not be read")]
    Io(#[from] io::Error),
}

/// An export that was not written whole. What was written has no trailer, and is refused as cut.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store did not yield all of it; `Corrupt` names the first that is damaged.
    #[error("the store was not exported")]
    Store(#[from] ReadError),
    /// An import into the store was not ended: import the same file again first.
    #[error("an import into the store was not ended")]
    Unfinished,
    /// The file could not be written.
    #[error("the file could not be written")]
    Io(#[from] io::Error),
}

/// An import that was not done. Until it is, the store is not usable if anything was written.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Refused before anything was written: the file is not whole.
    #[error(transparent)]
    File(#[from] FileError),
    /// Refused before anything was written: there are records or logs. Name an empty store.
    #[error("the store is not empty")]
    NotEmpty,
    /// Refused: the import of another file was begun. End that one, or remove the store.
    #[error("the import of another file (sha256 {begun}) into the store was not ended")]
    Another {
        /// The digest of that file.
        begun: String,
    },
    /// Nothing was written: the store gives out versions that are not above the file's. Remove it, and make it anew at
    /// a later time ([`needed_now`](super::needed_now)).
    #[error(
        "the store's versions are not above {highest}, the file's highest; make it anew at {needed} or later"
    )]
    VersionsBehind {
        /// The file's highest.
        highest: Version,
        /// The earliest time that does.
        needed: Timestamp,
    },
    /// Something is there that is not what the file has: somebody else wrote. Remove the store.
    #[error("{key} in the store is not what the file has")]
    Diverged {
        /// The record or log.
        key: Key,
    },
    /// The store did not answer a read. Import the same file again.
    #[error("the store could not be read")]
    Read(#[from] ReadError),
    /// The store did not take a commit. Import the same file again, or, too large for this backend, into another.
    #[error("the store did not take a part of the file")]
    Commit(#[from] CommitError),
}

impl From<LogError> for ImportError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Read(error) => Self::Read(error),
            LogError::Commit(error) => Self::Commit(error),
            // Neither comes of reading a head.
            LogError::ReplayGap { .. } | LogError::Incarnation { .. } => Self::Read(ReadError::Unavailable {
                reason: "a log",
                source: Some(Box::new(error)),
            }),
        }
    }
}
