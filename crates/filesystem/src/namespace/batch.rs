//! A batch of one namespace.

use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;

use super::{Log, Scope};
use crate::{Batch, CommitError, Key, Lane, Prefix};

/// What one commit does to one namespace. Records add to it through [`Records`](crate::Records).
pub struct ScopedBatch<S: Scope> {
    batch: Batch,
    root: Prefix,
    is_foreign: bool,
    scope: PhantomData<fn() -> S>,
}

impl<S: Scope> fmt::Debug for ScopedBatch<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ScopedBatch<{}>({}, {} operations)",
            S::NAME,
            self.root,
            self.batch.operations()
        )
    }
}

impl<S: Scope> ScopedBatch<S> {
    pub(super) fn new(lane: Lane, root: Prefix) -> Self {
        Self {
            batch: Batch::new(lane),
            root,
            is_foreign: false,
            scope: PhantomData,
        }
    }

    /// The batch, for the namespace at this root and no other.
    pub(crate) fn into_batch(self, root: &Prefix) -> Result<Batch, CommitError> {
        if self.is_foreign || self.root != *root {
            return Err(CommitError::Invalid {
                reason: "the batch names another namespace",
            });
        }
        Ok(self.batch)
    }

    /// Adds an entry to a log of this namespace. A foreign log makes the whole batch `Invalid`.
    pub fn append(&mut self, log: &Log, entry: impl Into<Bytes>) -> &mut Self {
        self.is_foreign |= !self.root.holds(log.stream().key());
        self.batch.append(log.stream().clone(), entry);
        self
    }

    /// How many operations it has so far.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.batch.operations()
    }

    /// Whether it would change anything.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.batch.writes()
    }

    /// The raw batch, for records of the namespace at this root only.
    pub(crate) fn of(&mut self, root: &Prefix) -> &mut Batch {
        self.is_foreign |= self.root != *root;
        &mut self.batch
    }

    /// As [`of`](Self::of), for a record that was read: one of another namespace makes the whole batch `Invalid`.
    pub(crate) fn of_read(&mut self, root: &Prefix, read: &Key) -> &mut Batch {
        self.is_foreign |= !root.holds(read);
        self.of(root)
    }
}
