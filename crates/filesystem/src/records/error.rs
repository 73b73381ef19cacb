//! Errors of typed records.

use crate::{CommitError, Key, ReadError, RecordKind};

use super::{IndexScope, Record};

/// One row that cannot be believed, and why. Its bytes are never part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {id}: {field}: {cause}")]
pub struct Issue {
    /// The kind asked for.
    pub kind: RecordKind,
    /// The id, as the key has it.
    pub id: String,
    /// The field, or `record`.
    pub field: String,
    /// What is wrong with it.
    pub cause: String,
    /// Where it is stored; none of what was only to be stored. It is no part of the text.
    pub key: Option<Key>,
}

/// A call on typed records that gave no record. Reads and refusals changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// What is stored, or was to be stored, is not such a record; it is untouched. An operator decides.
    #[error(transparent)]
    Invalid(Issue),
    /// A newer build wrote it; it is untouched. Upgrade.
    #[error("{kind} {id} has schema {found}, this build knows up to {known}; upgrade dormouse")]
    TooNew {
        /// The kind.
        kind: RecordKind,
        /// The id.
        id: String,
        /// The schema found.
        found: u32,
        /// The newest known.
        known: u32,
    },
    /// It is stored as a kind that this build does not know in that place; it is untouched. Upgrade.
    #[error("{kind} {id} is stored as {found}, which this build does not know there; upgrade dormouse")]
    UnknownKind {
        /// The kind asked for.
        kind: RecordKind,
        /// The id.
        id: String,
        /// The kind found.
        found: RecordKind,
    },
    /// Id or scope inside differ from the key; it is untouched. An operator decides.
    #[error("{kind} {id} holds the record of another place")]
    Misplaced {
        /// The kind.
        kind: RecordKind,
        /// The id, as the key has it.
        id: String,
        /// Where it is stored.
        key: Key,
    },
    /// Not done: there is one of this id.
    #[error("{kind} {id} exists")]
    Exists {
        /// The kind.
        kind: RecordKind,
        /// The id.
        id: String,
    },
    /// The index is declared, but its entries are elsewhere: nothing is ever scanned silently.
    #[error("{kind} has no index {index} in {scope} scope")]
    NoIndex {
        /// The kind.
        kind: RecordKind,
        /// The index asked for.
        index: &'static str,
        /// Where it was asked for.
        scope: IndexScope,
    },
    /// Not every row has its entry yet: nothing partial is told. Ask again when it is built.
    #[error("index {index} of {kind} is being built")]
    IndexBuilding {
        /// The kind.
        kind: RecordKind,
        /// The index asked for.
        index: &'static str,
    },
    /// The cursor is of another query.
    #[error("the cursor belongs to another query")]
    CursorScope,
    /// As of any read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// As of any commit.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl RecordError {
    pub(crate) fn invalid<R: Record>(id: &str, field: &str, cause: &str) -> Self {
        Self::Invalid(Issue {
            kind: R::KIND,
            id: id.to_owned(),
            field: field.to_owned(),
            cause: cause.to_owned(),
            key: None,
        })
    }

    /// Where the row is that cannot be believed; none of any other error.
    #[must_use]
    pub fn bad_key(&self) -> Option<&Key> {
        match self {
            Self::Invalid(issue) => issue.key.as_ref(),
            Self::Misplaced { key, .. } => Some(key),
            Self::TooNew { .. }
            | Self::UnknownKind { .. }
            | Self::Exists { .. }
            | Self::NoIndex { .. }
            | Self::IndexBuilding { .. }
            | Self::CursorScope
            | Self::Read(_)
            | Self::Commit(_) => None,
        }
    }
}
