//! What an update does to its record, and the commit that follows from it. Pure.

use bytes::Bytes;

use crate::{Batch, Committed, Entry, Expected, Key, Lane, RecordKind, Version};

/// What an update does to its record, with more writes beside it if it has any.
///
/// What changes nothing writes nothing: [`keep`](Change::keep), a [`put`](Change::put) of what is there, a
/// [`delete`](Change::delete) of nothing.
#[derive(Debug, Clone)]
pub struct Change {
    own: Own,
    is_rewrite: bool,
    more: Batch,
    gone: Vec<Key>,
}

#[derive(Debug, Clone)]
enum Own {
    Keep,
    Put(RecordKind, Bytes),
    Delete,
}

impl Change {
    /// Leaves the record as it is.
    #[must_use]
    pub fn keep() -> Self {
        Self::of(Own::Keep)
    }

    /// Writes these bytes, whether or not there was a record.
    #[must_use]
    pub fn put(kind: RecordKind, value: impl Into<Bytes>) -> Self {
        Self::of(Own::Put(kind, value.into()))
    }

    /// Removes the record.
    #[must_use]
    pub fn delete() -> Self {
        Self::of(Own::Delete)
    }

    fn of(own: Own) -> Self {
        Self {
            own,
            is_rewrite: false,
            more: Batch::default(),
            gone: Vec::new(),
        }
    }

    /// Commits these in the same batch: further checks, writes, log entries. Its lane is not used.
    ///
    /// With more, a change that leaves the record as it is guards it: the batch checks that it still is so.
    #[must_use]
    pub fn with(mut self, more: Batch) -> Self {
        self.more.extend(more);
        self
    }

    /// Removes these in the same batch, at the versions they have when the batch is made; those that are gone already
    /// are as good. For keys that nothing writes but batches of this record.
    pub(crate) fn removing(mut self, keys: Vec<Key>) -> Self {
        self.gone = keys;
        self
    }

    /// Writes even what is there already, to repair what it is stored as.
    #[must_use]
    pub fn rewrite(mut self) -> Self {
        self.is_rewrite = true;
        self
    }

    /// What is left to do when this is there.
    pub(crate) fn against(self, current: Option<&Entry>) -> Step {
        let own = match (self.own, current) {
            (Own::Keep, Some(entry)) if self.is_rewrite => {
                OwnStep::Put(entry.kind.clone(), entry.value.clone())
            }
            (Own::Keep, _) | (Own::Delete, None) => OwnStep::Unchanged,
            (Own::Delete, Some(_)) => OwnStep::Delete,
            (Own::Put(kind, value), Some(entry))
                if !self.is_rewrite && entry.kind == kind && entry.value == value =>
            {
                OwnStep::Unchanged
            }
            (Own::Put(kind, value), _) => OwnStep::Put(kind, value),
        };
        Step {
            own,
            more: self.more,
            gone: self.gone,
        }
    }
}

/// What has to be committed for a change; perhaps nothing.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) own: OwnStep,
    pub(crate) more: Batch,
    /// To be removed at versions that are yet to be read.
    pub(crate) gone: Vec<Key>,
}

#[derive(Debug, Clone)]
pub(crate) enum OwnStep {
    Unchanged,
    Put(RecordKind, Bytes),
    Delete,
}

impl Step {
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self.own, OwnStep::Unchanged) && self.more.operations() == 0 && self.gone.is_empty()
    }

    /// The one batch of this step over the entry that was read.
    pub(crate) fn batch(&self, key: &Key, read: Option<&Entry>, lane: &Lane) -> Batch {
        let mut batch = Batch {
            lane: lane.clone(),
            ..self.more.clone()
        };
        let expected = read.map_or(Expected::Absent, |entry| Expected::At(entry.version));
        match (&self.own, read) {
            (OwnStep::Put(kind, value), _) => {
                batch.put(key.clone(), expected, kind.clone(), value.clone());
            }
            (OwnStep::Delete, Some(entry)) => {
                batch.delete(key.clone(), entry.version);
            }
            (OwnStep::Unchanged, _) | (OwnStep::Delete, None) => {
                batch.check(key.clone(), expected);
            }
        }
        batch
    }

    /// What the record is after this step, at this version.
    pub(crate) fn stored(&self, key: &Key, read: Option<&Entry>, version: Option<Version>) -> Option<Entry> {
        match (&self.own, version) {
            (OwnStep::Put(kind, value), Some(version)) => Some(Entry {
                key: key.clone(),
                value: value.clone(),
                version,
                kind: kind.clone(),
            }),
            (OwnStep::Delete, _) => None,
            (OwnStep::Unchanged | OwnStep::Put(..), _) => read.cloned(),
        }
    }
}

/// What an update came to: the outcome of the run that won, and exactly what is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Updated<T> {
    /// What the caller computed beside the change.
    pub outcome: T,
    /// The record, as it is stored at its version; none when there is none.
    ///
    /// Where several updates were committed as one, all of them get what is stored after the last.
    pub entry: Option<Entry>,
    /// What this update committed; none when there was nothing to write.
    pub committed: Option<Committed>,
}
