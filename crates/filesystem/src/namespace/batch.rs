//! A batch of one namespace.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;

use super::{Log, Scope};
use crate::batch::{BATCH_BYTES_MAX, BATCH_OPERATIONS_MAX};
use crate::{Batch, CommitError, Expected, Key, Lane, Prefix, Version};

/// What one commit does to one namespace. Records add to it through [`Records`](crate::Records).
pub struct ScopedBatch<S: Scope> {
    batch: Batch,
    root: Prefix,
    is_foreign: bool,
    /// What is expected of the catalogue's rows, each once.
    guards: Vec<(Key, Version)>,
    scope: PhantomData<fn() -> S>,
}

impl<S: Scope> Clone for ScopedBatch<S> {
    fn clone(&self) -> Self {
        Self {
            batch: self.batch.clone(),
            root: self.root.clone(),
            is_foreign: self.is_foreign,
            guards: self.guards.clone(),
            scope: PhantomData,
        }
    }
}

impl<S: Scope> fmt::Debug for ScopedBatch<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ScopedBatch<{}>({}, {} operations)",
            S::NAME,
            self.root,
            self.operations()
        )
    }
}

impl<S: Scope> ScopedBatch<S> {
    pub(super) fn new(lane: Lane, root: Prefix) -> Self {
        Self {
            batch: Batch::new(lane),
            root,
            is_foreign: false,
            guards: Vec::new(),
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
        let Self {
            mut batch, guards, ..
        } = self;
        // What writes the catalogue itself expects something of it anyway.
        let guards: Vec<_> = guards
            .into_iter()
            .filter(|(key, _)| batch.keys().all(|(named, _)| named != key))
            .collect();
        for (key, version) in guards {
            batch.check(key, Expected::At(version));
        }
        Ok(batch)
    }

    /// Expects that the catalogue's row of what is written is the one that this build knows.
    pub(crate) fn guard(&mut self, guard: Option<(Key, Version)>) -> &mut Self {
        if let Some((key, version)) = guard {
            match self.guards.iter_mut().find(|(known, _)| *known == key) {
                Some((_, at)) => *at = version,
                None => self.guards.push((key, version)),
            }
        }
        self
    }

    /// Adds an entry to a log of this namespace. A foreign log makes the whole batch `Invalid`.
    pub fn append(&mut self, log: &Log, entry: impl Into<Bytes>) -> &mut Self {
        self.is_foreign |= !self.root.holds(log.stream().key());
        self.batch.append(log.stream().clone(), entry);
        self
    }

    /// Adds all that another batch of this namespace does, behind what this one does. What both only expect alike is
    /// expected once. Nothing is added where both name a key otherwise, or it would not fit any more: then it is for
    /// another commit.
    #[must_use]
    pub fn join(&mut self, other: &Self) -> bool {
        let operations = self.operations() + other.operations();
        if operations > BATCH_OPERATIONS_MAX || self.batch.bytes() + other.batch.bytes() > BATCH_BYTES_MAX {
            return false;
        }
        let named: HashMap<&Key, Expected> = self.batch.keys().collect();
        let checked: HashSet<&Key> = self.batch.checks.iter().map(|check| &check.key).collect();
        let is_same = |key: &Key, expected| checked.contains(key) && named.get(key) == Some(&expected);
        let clashes = |key: &Key| named.contains_key(key);
        let writes = other.batch.puts.iter().map(|put| &put.key);
        let mut writes = writes.chain(other.batch.deletes.iter().map(|delete| &delete.key));
        if writes.any(clashes) || !other.batch.begins.is_empty() {
            return false;
        }
        let mut fresh = Vec::with_capacity(other.batch.checks.len());
        for check in &other.batch.checks {
            if !clashes(&check.key) {
                fresh.push(check.clone());
            } else if !is_same(&check.key, check.expected) {
                return false;
            }
        }
        for guard in &other.guards {
            self.guard(Some(guard.clone()));
        }
        self.is_foreign |= other.is_foreign || self.root != other.root;
        self.batch.extend(Batch {
            checks: fresh,
            ..other.batch.clone()
        });
        true
    }

    /// Whether it names this key: as a check, a write or a removal.
    #[must_use]
    pub fn names(&self, key: &Key) -> bool {
        self.batch.keys().any(|(named, _)| named == key)
    }

    /// How many operations it has so far.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.batch.operations() + self.guards.len()
    }

    /// Whether it would change anything.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.batch.writes()
    }

    pub(super) fn raw(&self) -> &Batch {
        &self.batch
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
