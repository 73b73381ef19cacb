//! Records of which only the last value matters: changed in memory, written when they are flushed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::timeout_at;

use super::{Record, RecordError, Records};
use crate::{CommitError, Deadline};

/// Records that are changed often, and written by [`flush`](Self::flush) alone. What was not flushed is lost with the
/// process: this is for values that may be.
///
/// A value is *dirty* from its change until a durable write that held that very change: each change has a number, and
/// a write clears only the number that it took with it. So a change during a write stays dirty, and a write that failed
/// clears nothing.
#[derive(Debug)]
pub struct Coalesced<R: Record> {
    records: Records<R>,
    dirty: Mutex<BTreeMap<R::Id, Dirty<R>>>,
    /// The number of the last change, over all records: none is ever given twice.
    changes: AtomicU64,
}

#[derive(Debug)]
struct Dirty<R> {
    value: R,
    /// The number of its last change.
    generation: u64,
}

/// What a flush did not write. All else is durable.
#[derive(Debug, thiserror::Error)]
#[error("{} records are not written, first {}", ids.len(), ids.first().map_or_else(String::new, ToString::to_string))]
pub struct Unflushed<R: Record> {
    /// The records that are still dirty; another flush tries them again.
    pub ids: Vec<R::Id>,
    /// Why; none when the deadline passed, or a change came meanwhile.
    #[source]
    pub error: Option<RecordError>,
}

impl<R: Record> Coalesced<R> {
    /// Nothing is dirty.
    #[must_use]
    pub fn new(records: Records<R>) -> Self {
        Self {
            records,
            dirty: Mutex::new(BTreeMap::new()),
            changes: AtomicU64::new(0),
        }
    }

    /// Changes a record in memory; it is written by the next flush.
    pub fn set(&self, value: R) {
        let mut dirty = self.lock();
        let generation = self.changes.fetch_add(1, Ordering::Relaxed) + 1;
        dirty.insert(value.id(), Dirty { value, generation });
    }

    /// The record as it was last set here, if that is not written yet; else as it is stored.
    ///
    /// # Errors
    /// As [`Records::get`].
    pub async fn get(&self, id: &R::Id) -> Result<Option<R>, RecordError> {
        let unwritten = self.lock().get(id).map(|dirty| dirty.value.clone());
        match unwritten {
            Some(value) => Ok(Some(value)),
            None => Ok(self.records.get(id).await?.map(super::Versioned::into_inner)),
        }
    }

    /// The records that are not written.
    #[must_use]
    pub fn dirty(&self) -> Vec<R::Id> {
        self.lock().keys().cloned().collect()
    }

    /// Writes what is dirty, and what becomes so meanwhile, until nothing is or the deadline has passed. To be called at
    /// shutdown too. One that cannot be written keeps no other from it. May be dropped at any moment.
    ///
    /// # Errors
    /// [`Unflushed`] names what is still dirty, and the first error.
    pub async fn flush(&self, deadline: Deadline) -> Result<(), Unflushed<R>> {
        let mut first = None;
        // Ends when nothing is dirty, something could not be written, or the deadline has passed.
        while first.is_none() && !deadline.has_passed() {
            let ids = self.dirty();
            if ids.is_empty() {
                return Ok(());
            }
            for id in ids {
                match timeout_at(deadline.instant(), self.write(&id, deadline)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        first.get_or_insert(error);
                    }
                    Err(_) => break,
                }
            }
        }
        let ids = self.dirty();
        if ids.is_empty() {
            return Ok(());
        }
        Err(Unflushed { ids, error: first })
    }

    /// One durable write, which clears what it held.
    async fn write(&self, id: &R::Id, deadline: Deadline) -> Result<(), RecordError> {
        let taken = self
            .lock()
            .get(id)
            .map(|dirty| (dirty.value.clone(), dirty.generation));
        let Some((value, generation)) = taken else {
            return Ok(());
        };
        let read = self.records.get(id).await?;
        let mut batch = self.records.namespace().batch();
        match &read {
            Some(read) => self.records.stage_replace(&mut batch, read, &value).await?,
            None => self.records.stage_create(&mut batch, &value)?,
        }
        match self.records.namespace().commit_by(batch, deadline).await {
            Ok(_) => self.clear(id, generation),
            // Somebody else wrote it: it is still dirty, and the next round writes the last value over theirs.
            Err(CommitError::Conflict { .. }) => tokio::task::yield_now().await,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn clear(&self, id: &R::Id, generation: u64) {
        let mut dirty = self.lock();
        if dirty.get(id).is_some_and(|dirty| dirty.generation == generation) {
            dirty.remove(id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<R::Id, Dirty<R>>> {
        self.dirty.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
