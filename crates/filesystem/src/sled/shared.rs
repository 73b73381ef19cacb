//! What the handle, its readers and the committer share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::folder::Folder;
use super::index::{Index, IndexError};
use super::queue::Queue;
use crate::commit_log::checkpoint::Checkpoint;
use crate::commit_log::{FileLayer, Reader};
use crate::{CommitError, ReadError, State, Watches};

/// Why an index that failed closes the store.
pub(super) const INDEX_FAILED: &str = "its index failed; opening it again rebuilds it";

/// One open store.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) queue: Queue,
    pub(super) watches: Watches,
    pub(super) reader: Arc<Reader>,
    pub(super) files: Arc<dyn FileLayer>,
    /// Written by the committer for a whole group at once, so that what a reader sees under it is one read point.
    /// It outlives a close, since reads go on; it is dropped before the folder and its lock.
    index: RwLock<Index>,
    folder: Folder,
    state: Mutex<State>,
    notices: Mutex<Vec<String>>,
    pub(super) commits: AtomicU64,
    pub(super) flushes: AtomicU64,
}

impl Shared {
    pub(super) fn new(
        folder: Folder,
        files: Arc<dyn FileLayer>,
        reader: Arc<Reader>,
        index: Index,
        notices: Vec<String>,
    ) -> Self {
        Self {
            queue: Queue::default(),
            watches: Watches::default(),
            reader,
            files,
            index: RwLock::new(index),
            folder,
            state: Mutex::new(State::Open),
            notices: Mutex::new(notices),
            commits: AtomicU64::new(0),
            flushes: AtomicU64::new(0),
        }
    }

    /// Reads the index at one point.
    pub(super) fn with_index<T>(
        &self,
        read: impl FnOnce(&Index) -> Result<T, IndexError>,
    ) -> Result<T, ReadError> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        read(&index).map_err(|error| {
            self.index_failed(&error);
            ReadError::Closed { reason: INDEX_FAILED }
        })
    }

    /// Changes the index as a whole: no reader sees a part.
    pub(super) fn change_index(
        &self,
        change: impl FnOnce(&Index) -> Result<(), IndexError>,
    ) -> Result<(), IndexError> {
        let index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        change(&index)
    }

    /// The index cannot be believed any more: the store closes, and the next opening rebuilds it.
    pub(super) fn index_failed(&self, error: &IndexError) {
        tracing::error!(%error, "the index of the store failed; the store is closed");
        drop(Checkpoint::remove(&*self.files));
        self.refuse_writes(INDEX_FAILED);
    }

    /// Refuses writes from now on. Reads go on.
    pub(super) fn refuse_writes(&self, reason: &'static str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if *state == State::Open {
            *state = State::Closed { reason };
        }
        drop(state);
        for waiting in self.queue.refuse(reason) {
            waiting.work.refuse(CommitError::Closed { reason });
        }
    }

    /// Whether the store's lock is still its own.
    pub(super) fn holds_lock(&self) -> bool {
        self.folder.holds_lock()
    }

    pub(super) fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn notices(&self) -> Vec<String> {
        self.notices
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Bytes of the log and the index on disk, as far as they can be told.
    pub(super) fn bytes(&self) -> u64 {
        let segments = self.reader.names().into_iter();
        let log: u64 = segments
            .filter_map(|(number, _)| self.reader.file(number).ok()??.bytes().ok())
            .sum();
        log + self.with_index(Index::bytes).unwrap_or(0)
    }

    pub(super) fn count(&self, counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}
