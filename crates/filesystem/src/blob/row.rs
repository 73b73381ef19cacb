//! The row of a blob: one kind for each of its three states, so that each is found without looking at the others.

use std::fmt;
use std::marker::PhantomData;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::BlobId;
use crate::namespace::Scope;
use crate::{Class, Digest, IndexEntry, IndexValue, Indexes, NoIndexes, Record, RecordKind, indexes};

indexes! {
    /// By what a sweep finds rows.
    pub(super) enum SweepIndex {
        /// By when they are due.
        Until = own "until",
    }
}

/// Where a blob is in its life.
pub(super) trait Phase: fmt::Debug + Send + Sync + 'static {
    type Index: Indexes;
    const KIND: RecordKind;
}

/// Written or being written, and nobody's.
#[derive(Debug)]
pub(super) enum Staged {}

/// Its owner's.
#[derive(Debug)]
pub(super) enum Attached {}

/// Nobody's again: its chunks go.
#[derive(Debug)]
pub(super) enum Removed {}

impl Phase for Staged {
    type Index = SweepIndex;
    const KIND: RecordKind = RecordKind::of("blob_staged");
}

impl Phase for Attached {
    type Index = NoIndexes;
    const KIND: RecordKind = RecordKind::of("blob");
}

impl Phase for Removed {
    type Index = SweepIndex;
    const KIND: RecordKind = RecordKind::of("blob_removed");
}

#[derive(Serialize, Deserialize)]
#[serde(bound = "", deny_unknown_fields)]
pub(super) struct Row<S, P> {
    pub(super) id: BlobId,
    pub(super) size: u64,
    pub(super) sha256: Digest,
    /// Of a staged one: when it is swept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) staged_until: Option<Timestamp>,
    #[serde(skip)]
    is: PhantomData<fn() -> (S, P)>,
}

impl<S, P> Row<S, P> {
    pub(super) fn new(id: BlobId, size: u64, sha256: Digest, staged_until: Option<Timestamp>) -> Self {
        Self {
            id,
            size,
            sha256,
            staged_until,
            is: PhantomData,
        }
    }

    /// The same blob in another phase.
    pub(super) fn in_phase<Q>(&self) -> Row<S, Q> {
        Row::new(self.id, self.size, self.sha256, None)
    }
}

impl<S, P> Clone for Row<S, P> {
    fn clone(&self) -> Self {
        Self::new(self.id, self.size, self.sha256, self.staged_until)
    }
}

impl<S, P> PartialEq for Row<S, P> {
    fn eq(&self, other: &Self) -> bool {
        (self.id, self.size, self.sha256, self.staged_until)
            == (other.id, other.size, other.sha256, other.staged_until)
    }
}

impl<S, P> fmt::Debug for Row<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Row({}, {} bytes)", self.id, self.size)
    }
}

impl<S: Scope, P: Phase> Record for Row<S, P> {
    type Scope = S;
    type Id = BlobId;
    type Index = P::Index;
    const KIND: RecordKind = P::KIND;
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> BlobId {
        self.id
    }

    /// What is removed has no time to wait for: it is found as of the beginning.
    fn index_entries(&self) -> Vec<IndexEntry<P::Index>> {
        let until = IndexValue::instant(self.staged_until.unwrap_or(Timestamp::UNIX_EPOCH));
        let entry = |index: &P::Index| IndexEntry::new(*index, [until.clone()]);
        P::Index::ALL.iter().map(entry).collect()
    }
}
