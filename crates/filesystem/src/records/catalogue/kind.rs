//! A kind without its type: what a catalogue has to know of it.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::super::{Indexes, Record, RecordError, RecordId, index, stored};
use super::row::{Declared, ListedScope};
use crate::namespace::Scope;
use crate::{Entry, Key, Prefix, RecordKind, Segment};

/// A kind of records, to be enlisted in the catalogue of a store. Cloning is cheap.
#[derive(Clone)]
pub struct Kind(Arc<dyn Typed>);

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kind({})", self.0.kind())
    }
}

impl Kind {
    /// The kind of this type.
    #[must_use]
    pub fn of<R: Record>() -> Self {
        Self(Arc::new(Of::<R>(PhantomData)))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> RecordKind {
        self.0.kind()
    }

    pub(super) fn generation(&self) -> u32 {
        self.0.generation()
    }

    pub(super) fn declared(&self) -> Vec<Declared> {
        self.0.declared()
    }

    /// How many names say whose a row is.
    pub(super) fn owner_segments(&self) -> usize {
        self.0.owner_segments()
    }

    /// The keys under which one index finds a row that is stored.
    pub(super) fn entries(
        &self,
        row: &Entry,
        root: &Prefix,
        name: &str,
        scope: ListedScope,
    ) -> Result<Vec<Key>, RecordError> {
        self.0.entries(row, root, name, scope)
    }
}

trait Typed: Send + Sync {
    fn kind(&self) -> RecordKind;
    fn generation(&self) -> u32;
    fn declared(&self) -> Vec<Declared>;
    fn owner_segments(&self) -> usize;
    fn entries(
        &self,
        row: &Entry,
        root: &Prefix,
        name: &str,
        scope: ListedScope,
    ) -> Result<Vec<Key>, RecordError>;
}

struct Of<R>(PhantomData<fn() -> R>);

impl<R: Record> Typed for Of<R> {
    fn kind(&self) -> RecordKind {
        R::KIND
    }

    fn generation(&self) -> u32 {
        R::INDEX_GENERATION
    }

    fn declared(&self) -> Vec<Declared> {
        let declared = |index: &R::Index| Declared::new(&R::KIND, index.name(), index.scope());
        R::Index::ALL.iter().map(declared).collect()
    }

    fn owner_segments(&self) -> usize {
        R::Scope::OWNER_SEGMENTS
    }

    fn entries(
        &self,
        row: &Entry,
        root: &Prefix,
        name: &str,
        scope: ListedScope,
    ) -> Result<Vec<Key>, RecordError> {
        // Behind the root come `r` and the kind.
        let tail: Vec<&str> = row.key.segments().skip(root.segments().count() + 2).collect();
        let id = R::Id::from_segments(&tail)
            .ok_or_else(|| RecordError::invalid::<R>(&tail.join("/"), "id", "the key names no id"))?;
        let owner = owner_of(root);
        let names: Vec<&str> = owner.iter().map(Segment::as_str).collect();
        let owner_name = (!names.is_empty()).then(|| names.join("/"));
        let read = stored::decode::<R>(row, &id, owner_name.as_deref())?;
        read.index_entries()
            .iter()
            .filter(|entry| entry.index.name() == name && ListedScope::from(entry.index.scope()) == scope)
            .map(|entry| index::key_in::<R>(root, &owner, entry, &id))
            .collect()
    }
}

/// The names in a root: `s`, `t/<tenant>` or `t/<tenant>/a/<agent>`.
fn owner_of(root: &Prefix) -> Vec<Segment> {
    let names = root.segments().skip(1).step_by(2);
    names
        .map(|name| Segment::parse(name).expect("a root is made of segments"))
        .collect()
}
