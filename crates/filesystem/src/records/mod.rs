//! Typed records: a kind, a schema, an id and a scope fixed by the type, with index keys in the same batch.

mod bad;
mod bad_row;
mod bad_rows;
mod catalogue;
mod coalesced;
mod collection;
mod error;
mod find;
#[cfg(feature = "contract")]
pub(crate) mod fuzz;
mod index;
mod range;
mod record;
mod stored;
mod system_index;
mod update;
mod write_once;

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use bytes::Bytes;

pub use bad::{Bad, BadPage};
pub use bad_row::{BadRow, BadRowId, BadRowIndex, BadStore, InvalidBadRowId};
pub use bad_rows::{BadRows, KeptPage};
pub use catalogue::{BACKFILL_OPEN_ROWS, BACKFILL_ROWS, Catalogue, IndexState, Kind, Unready};
pub(crate) use catalogue::{Guarded, Known};
pub use coalesced::{Coalesced, Unflushed};
pub(crate) use collection::Turns;
pub use collection::{Collected, Replaced};
pub use error::{Issue, RecordError};
pub use find::{Cursor, Found, Query};
pub use index::{IndexEntry, IndexScope, IndexValue, Indexes, NoIndexes};
pub use range::Ranged;
pub use record::{Class, Record, RecordId};
pub use system_index::{FoundSystem, Owned, SystemIndex};
pub use update::Changed;
pub use write_once::WriteOnce;

use crate::namespace::{Namespace, ScopedBatch};
use crate::{Batch, CommitError, Entry, Expected, GET_MANY_MAX, Key, Prefix, RecordKind, Version};

/// The kind under which index entries are stored: keys alone, no value.
pub(crate) const INDEX_KIND: RecordKind = RecordKind::of("index");

/// A record as it was read: the proof of having read it, which a replacement or removal asks for.
#[derive(Clone, PartialEq, Eq)]
pub struct Versioned<R> {
    record: R,
    version: Version,
    key: Key,
}

impl<R> Versioned<R> {
    /// The commit that wrote it.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The record, without the proof.
    #[must_use]
    pub fn into_inner(self) -> R {
        self.record
    }
}

impl<R> Deref for Versioned<R> {
    type Target = R;
    fn deref(&self) -> &R {
        &self.record
    }
}

impl<R: fmt::Debug> fmt::Debug for Versioned<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}", self.record, self.version)
    }
}

/// The records of one kind in one namespace. Cloning is cheap.
pub struct Records<R: Record> {
    namespace: Namespace<R::Scope>,
    /// Whose they are, as each row says too.
    owner: Option<String>,
    rows: Prefix,
    record: PhantomData<fn() -> R>,
}

impl<R: Record> Clone for Records<R> {
    fn clone(&self) -> Self {
        Self {
            namespace: self.namespace.clone(),
            owner: self.owner.clone(),
            rows: self.rows.clone(),
            record: PhantomData,
        }
    }
}

impl<R: Record> fmt::Debug for Records<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Records<{}>({})", R::KIND, self.namespace.root())
    }
}

impl<R: Record> Records<R> {
    /// The records of this kind in a namespace of the scope they live in; another scope does not compile.
    #[must_use]
    pub fn new(namespace: &Namespace<R::Scope>) -> Self {
        let rows = namespace.at(&["r", R::KIND.as_str()]);
        Self {
            namespace: namespace.clone(),
            owner: namespace.owner_name(),
            rows,
            record: PhantomData,
        }
    }

    /// The namespace they are in.
    #[must_use]
    pub fn namespace(&self) -> &Namespace<R::Scope> {
        &self.namespace
    }

    /// The record of this id, if there is one. Reads never create.
    ///
    /// # Errors
    /// `Invalid`, `Misplaced` or `TooNew` when what is stored is not to be believed; it stays untouched.
    pub async fn get(&self, id: &R::Id) -> Result<Option<Versioned<R>>, RecordError> {
        let entry = self.namespace.backend().get(&self.row(id)?).await?;
        entry
            .map(|entry| stored::decode(&entry, id, self.owner.as_deref()))
            .transpose()
    }

    /// The records of these ids, in their order.
    ///
    /// # Errors
    /// As [`get`](Self::get), for the first that is not to be believed.
    pub async fn get_many(&self, ids: &[R::Id]) -> Result<Vec<Option<Versioned<R>>>, RecordError> {
        let mut found = Vec::with_capacity(ids.len());
        for part in ids.chunks(GET_MANY_MAX) {
            for row in self.get_each(part).await? {
                found.push(row?);
            }
        }
        Ok(found)
    }

    /// Up to [`GET_MANY_MAX`] records, each with its own answer.
    async fn get_each(
        &self,
        ids: &[R::Id],
    ) -> Result<Vec<Result<Option<Versioned<R>>, RecordError>>, RecordError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let keys = ids.iter().map(|id| self.row(id)).collect::<Result<Vec<_>, _>>()?;
        let entries = self.namespace.backend().get_many(&keys).await?;
        let decoded = |(entry, id): (Option<Entry>, &R::Id)| {
            entry
                .map(|entry| stored::decode(&entry, id, self.owner.as_deref()))
                .transpose()
        };
        Ok(entries.into_iter().zip(ids).map(decoded).collect())
    }

    /// Creates it in a commit of its own.
    ///
    /// # Errors
    /// `Exists` when there is one of this id; `Commit(Conflict)` when only an index entry stands in the way.
    pub async fn create(&self, record: &R) -> Result<Versioned<R>, RecordError> {
        let mut batch = self.namespace.batch();
        self.stage_create(&mut batch, record)?;
        let row = self.row(&record.id())?;
        match self.namespace.commit(batch).await {
            Ok(committed) => self.written(record, committed.version),
            Err(CommitError::Conflict { failed }) if failed.iter().any(|failed| failed.key == row) => {
                Err(RecordError::Exists {
                    kind: R::KIND,
                    id: record.id().to_string(),
                })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Replaces what was read, in a commit of its own. Equal records write nothing, but are checked.
    ///
    /// # Errors
    /// `Commit(Conflict)` when it was written since.
    pub async fn replace(&self, read: &Versioned<R>, record: &R) -> Result<Versioned<R>, RecordError> {
        let mut batch = self.namespace.batch();
        self.stage_replace(&mut batch, read, record).await?;
        let writes = batch.writes();
        let committed = self.namespace.commit(batch).await?;
        if writes {
            self.written(record, committed.version)
        } else {
            Ok(read.clone())
        }
    }

    /// Removes what was read, in a commit of its own.
    ///
    /// # Errors
    /// `Commit(Conflict)` when it was written or removed since.
    pub async fn remove(&self, read: &Versioned<R>) -> Result<(), RecordError> {
        let mut batch = self.namespace.batch();
        self.stage_remove(&mut batch, read).await?;
        self.namespace.commit(batch).await?;
        Ok(())
    }

    /// Adds its creation to a batch: row and index entries, all expected absent.
    ///
    /// # Errors
    /// `Invalid` when it cannot be encoded or its id makes no key.
    pub fn stage_create(&self, batch: &mut ScopedBatch<R::Scope>, record: &R) -> Result<(), RecordError> {
        let entries = self.index_keys(record)?;
        let value = stored::encode(record, self.owner.as_deref())?;
        let batch = batch.guard(self.guard()).of(self.namespace.root());
        batch.put(self.row(&record.id())?, Expected::Absent, R::KIND, value);
        for key in entries {
            batch.put(key, Expected::Absent, INDEX_KIND, Bytes::new());
        }
        Ok(())
    }

    /// Adds its replacement to a batch. Index entries that stay are not rewritten; an equal record is only checked.
    ///
    /// # Errors
    /// `Invalid` when the id differs from what was read; as any read, for the index entries that go.
    pub async fn stage_replace(
        &self,
        batch: &mut ScopedBatch<R::Scope>,
        read: &Versioned<R>,
        record: &R,
    ) -> Result<(), RecordError> {
        keeps_id::<R>(&read.record, record)?;
        if *record == read.record {
            self.stage_check(batch, read);
            return Ok(());
        }
        let (old, new) = (self.index_keys(&read.record)?, self.index_keys(record)?);
        let gone: Vec<Key> = old.difference(&new).cloned().collect();
        let removed = self.versions_of(&gone).await?;
        let value = stored::encode(record, self.owner.as_deref())?;
        let batch = batch
            .guard(self.guard())
            .of_read(self.namespace.root(), &read.key);
        batch.put(read.key.clone(), Expected::At(read.version), R::KIND, value);
        remove_entries(batch, removed);
        for key in new.difference(&old) {
            batch.put(key.clone(), Expected::Absent, INDEX_KIND, Bytes::new());
        }
        Ok(())
    }

    /// Adds its removal to a batch, index entries included.
    ///
    /// # Errors
    /// As any read, for the index entries that go.
    pub async fn stage_remove(
        &self,
        batch: &mut ScopedBatch<R::Scope>,
        read: &Versioned<R>,
    ) -> Result<(), RecordError> {
        let gone: Vec<Key> = self.index_keys(&read.record)?.into_iter().collect();
        let removed = self.versions_of(&gone).await?;
        let batch = batch
            .guard(self.guard())
            .of_read(self.namespace.root(), &read.key);
        batch.delete(read.key.clone(), read.version);
        remove_entries(batch, removed);
        Ok(())
    }

    /// Adds the expectation that it was not written since.
    pub fn stage_check(&self, batch: &mut ScopedBatch<R::Scope>, read: &Versioned<R>) {
        batch
            .of_read(self.namespace.root(), &read.key)
            .check(read.key.clone(), Expected::At(read.version));
    }

    /// Adds the expectation that there is none of this id.
    ///
    /// # Errors
    /// `Invalid` when the id makes no key.
    pub fn stage_absent(&self, batch: &mut ScopedBatch<R::Scope>, id: &R::Id) -> Result<(), RecordError> {
        let key = self.row(id)?;
        batch.of(self.namespace.root()).check(key, Expected::Absent);
        Ok(())
    }

    /// What the caller holds after the commit in which `record` was staged.
    ///
    /// # Errors
    /// `Invalid` when the id makes no key, which staging had refused.
    pub fn written(&self, record: &R, version: Option<Version>) -> Result<Versioned<R>, RecordError> {
        let version = version.expect("a batch with a put has a version");
        Ok(Versioned {
            record: record.clone(),
            version,
            key: self.row(&record.id())?,
        })
    }

    pub(crate) fn row(&self, id: &R::Id) -> Result<Key, RecordError> {
        let segments = id.segments();
        self.rows
            .key(&segments)
            .map_err(|cause| RecordError::invalid::<R>(&id.to_string(), "id", &cause.to_string()))
    }

    fn index_keys(&self, record: &R) -> Result<BTreeSet<Key>, RecordError> {
        record
            .index_entries()
            .iter()
            .map(|entry| index::key_of::<R>(&self.namespace, entry, &record.id()))
            .collect()
    }

    /// Where the entries of these indexes are that a record has.
    pub(crate) fn keys_of(&self, record: &R, indexes: &[R::Index]) -> Result<Vec<Key>, RecordError> {
        let entries = record.index_entries();
        let of = entries.iter().filter(|entry| indexes.contains(&entry.index));
        of.map(|entry| index::key_of::<R>(&self.namespace, entry, &record.id()))
            .collect()
    }

    /// What a write of this kind expects of the catalogue.
    fn guard(&self) -> Option<(Key, Version)> {
        self.namespace.combiner().known().guard(&R::KIND)
    }

    /// At which versions entries are; none of those that are not there: repair leaves such rows, and a backfill.
    async fn versions_of(&self, keys: &[Key]) -> Result<Vec<(Key, Option<Version>)>, RecordError> {
        let mut found = Vec::with_capacity(keys.len());
        for part in keys.chunks(GET_MANY_MAX) {
            let entries = self.namespace.backend().get_many(part).await?;
            let versions = entries.into_iter().map(|entry| entry.map(|entry| entry.version));
            found.extend(part.iter().cloned().zip(versions));
        }
        Ok(found)
    }
}

/// Removes index entries. One that is not there is expected to stay away: a backfill may be about to write it.
fn remove_entries(batch: &mut Batch, entries: Vec<(Key, Option<Version>)>) {
    for (key, version) in entries {
        match version {
            Some(version) => batch.delete(key, version),
            None => batch.check(key, Expected::Absent),
        };
    }
}

fn keeps_id<R: Record>(read: &R, record: &R) -> Result<(), RecordError> {
    if record.id() == read.id() {
        return Ok(());
    }
    let id = read.id().to_string();
    Err(RecordError::invalid::<R>(&id, "id", "a replacement keeps its id"))
}
