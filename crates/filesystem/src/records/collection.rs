//! All records of a kind in one namespace as one thing: replaced in one commit, read at one moment.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Semaphore;

use super::{Record, RecordError, Records, Versioned};
use crate::update::ATTEMPTS_MAX;
use crate::{
    BATCH_OPERATIONS_MAX, CommitError, Expected, Key, PAGE_MAX, ReadError, RecordKind, Segment, Version,
};

/// The kind of a collection's own row, which only says that all was replaced.
const COLLECTION_KIND: RecordKind = RecordKind::of("collection");

/// What a replacement of all came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Replaced {
    /// Records that were not there before.
    pub created: usize,
    /// Records that were there and differed.
    pub changed: usize,
    /// Records that were there and are equal.
    pub kept: usize,
    /// Records that are there no more.
    pub removed: usize,
}

/// All records of a kind, as they were at one moment.
#[derive(Debug, Clone)]
pub struct Collected<R> {
    /// In the order of their keys.
    pub rows: Vec<Versioned<R>>,
    /// The commit that last replaced all of them, if one did.
    pub version: Option<Version>,
}

/// Who may replace a collection: one at a time in a process, in the order in which they asked.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<HashMap<Key, Weak<Semaphore>>>);

impl Turns {
    fn of(&self, key: &Key) -> Arc<Semaphore> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(key).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::new(Semaphore::new(1));
        turns.insert(key.clone(), Arc::downgrade(&turn));
        turn
    }
}

impl<R: Record> Records<R> {
    /// Makes the records of this namespace exactly these, in one commit. Equal ones are not rewritten.
    ///
    /// Those that overlap go one after another: inside a process in the order of their calls (of the first polls), and
    /// between processes by the version of the collection's own row. So what is there afterwards is one set
    /// entire, the later. A single write at the same time goes before it or after it.
    ///
    /// # Errors
    /// `Commit(TooLarge)` when what differs does not fit one batch, and `Invalid` for an id that is there twice: nothing
    /// is written. As any read, when a row that is there cannot be believed. `Commit(Conflict)` when others were
    /// first, [`ATTEMPTS_MAX`] times.
    ///
    /// # Panics
    /// Never: the turnstile is not closed.
    pub async fn replace_all(&self, set: &[R]) -> Result<Replaced, RecordError> {
        let key = self.collection();
        let store = self.namespace.combiner();
        let turn = store.turns().of(&key);
        let _turn = turn.acquire().await.expect("it is never closed");
        let mut wanted = BTreeMap::new();
        for record in set {
            if wanted.insert(record.id(), record).is_some() {
                let id = record.id().to_string();
                return Err(RecordError::invalid::<R>(&id, "id", "is in the set twice"));
            }
        }
        let mut attempt = 1;
        // Ends with an answer, or after ATTEMPTS_MAX.
        loop {
            match self.replace_once(&key, &wanted).await {
                Err(RecordError::Commit(CommitError::Conflict { .. })) if attempt < ATTEMPTS_MAX => {
                    tokio::time::sleep(store.delay(attempt)).await;
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    async fn replace_once(&self, key: &Key, wanted: &BTreeMap<R::Id, &R>) -> Result<Replaced, RecordError> {
        let read = self.namespace.backend().get(key).await?;
        // With more than this there are more to remove than fit a batch.
        let rows = self.listed(Some(BATCH_OPERATIONS_MAX + wanted.len())).await?;
        let mut batch = self.namespace.batch();
        let mut replaced = Replaced::default();
        let mut missing = wanted.clone();
        for row in &rows {
            match missing.remove(&row.id()) {
                None => {
                    self.stage_remove(&mut batch, row).await?;
                    replaced.removed += 1;
                }
                Some(record) if *record == row.record => replaced.kept += 1,
                Some(record) => {
                    self.stage_replace(&mut batch, row, record).await?;
                    replaced.changed += 1;
                }
            }
            fits(batch.operations())?;
        }
        for record in missing.into_values() {
            self.stage_create(&mut batch, record)?;
            replaced.created += 1;
        }
        fits(batch.operations())?;
        let expected = read.map_or(Expected::Absent, |entry| Expected::At(entry.version));
        batch
            .of(self.namespace.root())
            .put(key.clone(), expected, COLLECTION_KIND, "{}");
        self.namespace.commit(batch).await?;
        Ok(replaced)
    }

    /// All records of this namespace as they were at one moment, as far as [`replace_all`](Self::replace_all) wrote them:
    /// before a replacement or after it, never a mix.
    ///
    /// # Errors
    /// As any read, for the first that cannot be believed too; `Read(Unavailable)` when all are replaced again and
    /// again.
    pub async fn all(&self) -> Result<Collected<R>, RecordError> {
        let key = self.collection();
        for _ in 0..ATTEMPTS_MAX {
            let before = self.replaced_at(&key).await?;
            let rows = self.listed(None).await?;
            if self.replaced_at(&key).await? == before {
                return Ok(Collected {
                    rows,
                    version: before,
                });
            }
        }
        let reason = "a collection that is replaced again and again";
        Err(ReadError::Unavailable { reason, source: None }.into())
    }

    async fn replaced_at(&self, key: &Key) -> Result<Option<Version>, RecordError> {
        let entry = self.namespace.backend().get(key).await?;
        Ok(entry.map(|entry| entry.version))
    }

    async fn listed(&self, rows_max: Option<usize>) -> Result<Vec<Versioned<R>>, RecordError> {
        let mut rows = Vec::new();
        let mut after: Option<R::Id> = None;
        // Ends with the rows.
        loop {
            let page = self.range(&[], after.as_ref(), PAGE_MAX).await?;
            if let Some(issue) = page.issues.into_iter().next() {
                return Err(RecordError::Invalid(issue));
            }
            rows.extend(page.rows);
            if rows_max.is_some_and(|max| rows.len() > max) {
                return Err(too_large());
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(rows),
            }
        }
    }

    fn collection(&self) -> Key {
        let kind = Segment::parse(R::KIND.as_str()).expect("a kind is a segment");
        let above = self.namespace.at(&["c"]);
        above
            .key(&[kind])
            .expect("a root and two names are never too deep")
    }
}

/// One more is the collection's own row.
fn fits(operations: usize) -> Result<(), RecordError> {
    if operations < BATCH_OPERATIONS_MAX {
        Ok(())
    } else {
        Err(too_large())
    }
}

fn too_large() -> RecordError {
    let limit = "BATCH_OPERATIONS_MAX";
    CommitError::TooLarge { limit }.into()
}
