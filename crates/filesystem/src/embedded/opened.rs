//! A log and what stands behind it, brought together; or why they were not.

use std::io;

use super::audit::Audit;
use super::index::IndexError;
use super::tally::Tally;
use crate::OpenError;
use crate::commit_log::{FORMAT, Recovered, RecoveryError};

/// Why a store's log and index were not brought together.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<Failure> for OpenError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Recovery(RecoveryError::Damaged { place }) => Self::Damaged { place },
            Failure::Recovery(RecoveryError::TooNew { found }) => Self::TooNew { found, known: FORMAT },
            Failure::Recovery(RecoveryError::Io(error)) | Failure::Io(error) => Self::Unavailable {
                reason: "its files were not read or written".to_owned(),
                source: Some(Box::new(error)),
            },
            Failure::Index(error) => Self::Unavailable {
                reason: "its index was not made".to_owned(),
                source: Some(Box::new(error)),
            },
        }
    }
}

/// A log and its index, equal.
#[derive(Debug)]
pub(crate) struct Opened<I> {
    pub(crate) recovered: Recovered,
    pub(crate) index: I,
    pub(crate) tally: Tally,
    /// Bytes of the operations that are live.
    pub(crate) live: i64,
    /// What is still to be compared, behind the opening.
    pub(crate) audit: Option<Audit>,
    /// The version of the last frame in the log.
    pub(crate) last_version: u64,
    /// Whether the log has what is not yet durable behind it.
    pub(crate) is_behind: bool,
    pub(crate) notices: Vec<String>,
}
