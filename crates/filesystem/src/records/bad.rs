//! Rows that cannot be believed: found, moved aside or copied, and never lost.
//!
//! A row of class [`Advisory`](super::Class::Advisory) is moved: its absence authorises nothing. Any other stays where
//! it is, so that each use of it is refused, and is copied once for each time it was written.

use std::fmt;

use bytes::Bytes;
use jiff::Timestamp;

use super::bad_row::{Copied, Kept, KeptRow, Moved};
use super::bad_rows::bytes_key;
use super::find::{issue_of, tail_of};
use super::{
    BadRow, BadRowId, INDEX_KIND, IndexScope, Indexes, Issue, Query, Record, RecordError, RecordId, Records,
    index, stored,
};
use crate::namespace::{ScopedBatch, fixed};
use crate::{Entry, Expected, Item, Key, PAGE_MAX, Page, Prefix, ReadError, RecordKind, Version, Want};

/// The kind of the bytes that bad rows had.
const BYTES_KIND: RecordKind = RecordKind::of("bad_bytes");

/// A row that cannot be believed, as it was read. A row that a newer build wrote is none, nor is one whose bytes the
/// backend itself cannot read: nobody has these.
#[derive(Clone, PartialEq, Eq)]
pub struct Bad {
    entry: Entry,
    id: BadRowId,
    issue: Issue,
}

impl fmt::Debug for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bad({} at {})", self.issue, self.entry.version)
    }
}

impl Bad {
    /// What is wrong with it.
    #[must_use]
    pub fn issue(&self) -> &Issue {
        &self.issue
    }

    /// What it is called among bad rows.
    #[must_use]
    pub fn id(&self) -> &BadRowId {
        &self.id
    }

    /// The commit that wrote it.
    #[must_use]
    pub fn version(&self) -> Version {
        self.entry.version
    }

    /// Where it is.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.entry.key
    }

    fn row(&self, at: Timestamp) -> BadRow {
        BadRow {
            id: self.id.clone(),
            of: self.issue.id.clone(),
            field: self.issue.field.clone(),
            cause: self.issue.cause.clone(),
            bytes: self.entry.value.len() as u64,
            at,
        }
    }
}

/// One page of the bad rows of a kind.
#[derive(Debug)]
pub struct BadPage {
    /// In the order of their keys.
    pub rows: Vec<Bad>,
    /// Keys of rows that the backend cannot read.
    pub unread: Vec<Key>,
    /// How many rows were looked at.
    pub seen: usize,
    /// What to give as `after` for the next page; none only at the end.
    pub next: Option<Key>,
}

impl<R: Record> Records<R> {
    /// The row of this id, where it cannot be believed.
    ///
    /// # Errors
    /// As [`get`](Self::get), where it is not known.
    pub async fn bad(&self, id: &R::Id) -> Result<Option<Bad>, RecordError> {
        self.bad_at(&self.row(id)?).await
    }

    /// The row at this key, where it cannot be believed; none for a key that is no row's of this kind.
    ///
    /// # Errors
    /// As [`bad`](Self::bad).
    pub async fn bad_at(&self, key: &Key) -> Result<Option<Bad>, RecordError> {
        if !self.rows.holds(key) {
            return Ok(None);
        }
        let entry = self.namespace.backend().get(key).await?;
        Ok(entry.and_then(|entry| self.judged(entry)))
    }

    /// One page of the rows of this kind that cannot be believed. Every row is read.
    ///
    /// # Errors
    /// As any list.
    pub async fn bad_page(&self, after: Option<Key>) -> Result<BadPage, RecordError> {
        let page = Page {
            after,
            limit: PAGE_MAX,
            ..Page::of(self.rows.clone())
        };
        let listed = self.namespace.backend().list(&page).await?;
        let mut found = BadPage {
            rows: Vec::new(),
            unread: Vec::new(),
            seen: listed.items.len(),
            next: listed.next,
        };
        for item in listed.items {
            match item {
                Item::Entry(entry) => found.rows.extend(self.judged(entry)),
                Item::Key { key, .. } | Item::Corrupt { key } => found.unread.push(key),
            }
        }
        Ok(found)
    }

    /// The bad rows that one page of a query names, with the index entry that named each.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub async fn bad_of(&self, query: &Query<R::Index>) -> Result<Vec<(Bad, Key)>, RecordError> {
        let prefix = index::prefix_in::<R>(query.index, IndexScope::Own, self.namespace.root())?;
        let (keys, _) = query.keys(self.namespace.backend(), &prefix).await?;
        let mut found = Vec::new();
        for key in keys {
            let tail = tail_of(&key, &prefix);
            let Some(id) = super::find::id_of::<R>(&tail) else {
                continue;
            };
            match self.bad(&id).await {
                Ok(Some(bad)) => found.push((bad, key)),
                Ok(None) | Err(RecordError::Read(ReadError::Corrupt { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// What is wrong with an entry; none where it is believed, or of a newer build.
    fn judged(&self, entry: Entry) -> Option<Bad> {
        let tail: Vec<&str> = tail_of(&entry.key, &self.rows);
        let id = BadRowId::of(&R::KIND, &tail, entry.version);
        let error = match R::Id::from_segments(&tail) {
            Some(id) => stored::decode::<R>(&entry, &id, self.owner.as_deref()).err()?,
            None => RecordError::invalid::<R>(&tail.join("/"), "id", "the key names no id"),
        };
        if matches!(
            error,
            RecordError::TooNew { .. } | RecordError::UnknownKind { .. }
        ) {
            return None;
        }
        let issue = issue_of::<R>(error).ok()?;
        Some(Bad { entry, id, issue })
    }

    /// Adds a copy of a bad row to a batch, which expects the row to be as it was read.
    ///
    /// # Errors
    /// `Invalid` when its name makes no key.
    pub fn stage_copy(
        &self,
        batch: &mut ScopedBatch<R::Scope>,
        bad: &Bad,
        at: Timestamp,
    ) -> Result<(), RecordError> {
        self.stage_kept::<Copied>(batch, bad, at)?;
        self.stage_unchanged(batch, bad);
        Ok(())
    }

    /// Adds the expectation that a bad row is as it was read.
    pub fn stage_unchanged(&self, batch: &mut ScopedBatch<R::Scope>, bad: &Bad) {
        let raw = batch.of_read(self.namespace.root(), &bad.entry.key);
        raw.check(bad.entry.key.clone(), Expected::At(bad.entry.version));
    }

    /// Adds to a batch that a bad row is moved aside. Index entries that named it stay: they find nothing, until
    /// [`stage_entries_gone`](Self::stage_entries_gone).
    ///
    /// # Errors
    /// `Invalid` when its name makes no key.
    pub fn stage_move(
        &self,
        batch: &mut ScopedBatch<R::Scope>,
        bad: &Bad,
        at: Timestamp,
    ) -> Result<(), RecordError> {
        self.stage_kept::<Moved>(batch, bad, at)?;
        let raw = batch.of_read(self.namespace.root(), &bad.entry.key);
        raw.delete(bad.entry.key.clone(), bad.entry.version);
        Ok(())
    }

    /// Adds to a batch that a bad row is moved aside, and this record is written in its place.
    ///
    /// # Errors
    /// `Invalid` when the record has another id; as any read, for the index entries that are there.
    pub async fn stage_anew(
        &self,
        batch: &mut ScopedBatch<R::Scope>,
        bad: &Bad,
        record: &R,
        at: Timestamp,
    ) -> Result<(), RecordError> {
        let key = self.row(&record.id())?;
        if key != bad.entry.key {
            return Err(RecordError::invalid::<R>(
                &bad.issue.id,
                "id",
                "a replacement keeps its id",
            ));
        }
        self.stage_kept::<Moved>(batch, bad, at)?;
        let entries: Vec<Key> = self.index_keys(record)?.into_iter().collect();
        let there = self.versions_of(&entries).await?;
        let value = stored::encode(record, self.owner.as_deref())?;
        let raw = batch.guard(self.guard()).of_read(self.namespace.root(), &key);
        raw.put(key, Expected::At(bad.entry.version), R::KIND, value);
        for entry in entries {
            if !there.iter().any(|(key, at)| *key == entry && at.is_some()) {
                raw.put(entry, Expected::Absent, INDEX_KIND, Bytes::new());
            }
        }
        Ok(())
    }

    /// Adds to a batch that this index entry of a bad row goes; nothing where it is gone.
    ///
    /// # Errors
    /// As any read.
    pub async fn stage_entry_gone(
        &self,
        batch: &mut ScopedBatch<R::Scope>,
        entry: &Key,
    ) -> Result<bool, RecordError> {
        let there = self.versions_of(std::slice::from_ref(entry)).await?;
        let raw = batch.of(self.namespace.root());
        let mut is_gone = false;
        for (key, version) in there {
            if let Some(version) = version {
                raw.delete(key, version);
                is_gone = true;
            }
        }
        Ok(is_gone)
    }

    /// Adds to a batch that every index entry that names a bad row goes: all entries of the kind are looked through.
    ///
    /// # Errors
    /// As any list.
    pub async fn stage_entries_gone(
        &self,
        batch: &mut ScopedBatch<R::Scope>,
        bad: &Bad,
    ) -> Result<(), RecordError> {
        let own = tail_of(&bad.entry.key, &self.rows);
        for index in R::Index::ALL {
            let (root, owner) = match index.scope() {
                IndexScope::Own => (self.namespace.root().clone(), Vec::new()),
                IndexScope::System => (fixed(&["s"]), self.namespace.owner()),
            };
            let prefix = index::prefix_in::<R>(*index, index.scope(), &root)?;
            let ending: Vec<&str> = owner
                .iter()
                .map(crate::Segment::as_str)
                .chain(own.iter().copied())
                .collect();
            for (key, version) in self.ending(&prefix, &ending).await? {
                batch.of(self.namespace.root()).delete(key, version);
            }
        }
        Ok(())
    }

    /// The keys below a prefix that end so.
    async fn ending(&self, prefix: &Prefix, ending: &[&str]) -> Result<Vec<(Key, Version)>, RecordError> {
        let mut page = Page {
            want: Want::Keys,
            ..Page::of(prefix.clone())
        };
        let mut found = Vec::new();
        // Ends with the last page.
        loop {
            let listed = self.namespace.backend().list(&page).await?;
            let keys = listed.items.iter().map(Item::key);
            let named: Vec<Key> = keys
                .filter(|key| tail_of(key, prefix).ends_with(ending))
                .cloned()
                .collect();
            let there = self.versions_of(&named).await?.into_iter();
            found.extend(there.filter_map(|(key, version)| Some((key, version?))));
            page.after = listed.next;
            if page.after.is_none() {
                return Ok(found);
            }
        }
    }

    fn stage_kept<K: Kept>(
        &self,
        batch: &mut ScopedBatch<R::Scope>,
        bad: &Bad,
        at: Timestamp,
    ) -> Result<(), RecordError> {
        let rows = Records::<KeptRow<R::Scope, K>>::new(&self.namespace);
        rows.stage_create(batch, &KeptRow::new(bad.row(at)))?;
        let key = bytes_key(&self.namespace, K::STORE, &bad.id)?;
        let raw = batch.of(self.namespace.root());
        raw.put(key, Expected::Absent, BYTES_KIND, bad.entry.value.clone());
        Ok(())
    }
}
