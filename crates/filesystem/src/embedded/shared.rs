//! What the handle, its readers and the committer share.

#[cfg(feature = "sled")]
use std::sync::TryLockError;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::folder::Folder;
#[cfg(feature = "sled")]
use super::index::AtOnce;
use super::index::{Index, IndexError};
use super::noted::Noted;
use super::queue::Queue;
use crate::commit_log::checkpoint::Checkpoint;
use crate::commit_log::{FileLayer, Reader};
use crate::{CommitError, ReadError, State, Watches};

/// Why an index that failed closes the store.
pub(crate) const INDEX_FAILED: &str = "its index failed; opening it again rebuilds it";

/// Most notices kept.
#[cfg(feature = "local")]
const NOTICES_MAX: usize = 100;

/// One open store.
#[derive(Debug)]
pub(crate) struct Shared<I: Index> {
    pub(crate) queue: Queue,
    pub(crate) watches: Watches,
    pub(crate) reader: Arc<Reader>,
    pub(crate) files: Arc<dyn FileLayer>,
    pub(crate) beside: I::Beside,
    /// Written by the committer for a whole group at once, so that what a reader sees under it is one read point.
    /// It outlives a close, since reads go on; it is dropped before the folder and its lock.
    index: RwLock<I>,
    folder: Folder,
    state: Mutex<State>,
    notices: Mutex<Vec<String>>,
    /// How many read what was at one commit point: while there is one no segment goes. Whoever removes segments looks
    /// at it behind the change of the index that made them needless.
    pub(crate) exports: AtomicUsize,
    /// What it needs of what has changed since.
    pub(crate) noted: Noted<I::Spot>,
    pub(crate) commits: AtomicU64,
    pub(crate) flushes: AtomicU64,
    /// Reads that were answered without a reader thread.
    pub(crate) reads_at_once: AtomicU64,
}

impl<I: Index> Shared<I> {
    pub(crate) fn new(
        folder: Folder,
        files: Arc<dyn FileLayer>,
        reader: Arc<Reader>,
        index: I,
        notices: Vec<String>,
    ) -> Self {
        Self {
            queue: Queue::default(),
            watches: Watches::default(),
            reader,
            files,
            beside: I::Beside::default(),
            index: RwLock::new(index),
            folder,
            state: Mutex::new(State::Open),
            notices: Mutex::new(notices),
            exports: AtomicUsize::new(0),
            noted: Noted::default(),
            commits: AtomicU64::new(0),
            flushes: AtomicU64::new(0),
            reads_at_once: AtomicU64::new(0),
        }
    }

    /// Reads the index at one point.
    pub(crate) fn with_index<T>(
        &self,
        read: impl FnOnce(&I) -> Result<T, IndexError>,
    ) -> Result<T, ReadError> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        read(&index).map_err(|error| {
            self.index_failed(&error);
            ReadError::Closed { reason: INDEX_FAILED }
        })
    }

    /// Reads the index at one point, unless it is being changed.
    #[cfg(feature = "sled")]
    pub(crate) fn with_index_now<T>(&self, read: impl FnOnce(&I) -> Option<T>) -> AtOnce<T> {
        match self.index.try_read() {
            Ok(index) => read(&index).map_or(AtOnce::Unknown, AtOnce::Known),
            Err(TryLockError::WouldBlock) => AtOnce::Busy,
            Err(TryLockError::Poisoned(_)) => AtOnce::Unknown,
        }
    }

    /// Looks at the index, whatever comes of it.
    #[cfg(feature = "sled")]
    pub(crate) fn look_at_index(&self, look: impl FnOnce(&I)) {
        look(&self.index.read().unwrap_or_else(PoisonError::into_inner));
    }

    /// Changes the index as a whole: no reader sees a part.
    pub(crate) fn change_index(
        &self,
        change: impl FnOnce(&mut I) -> Result<(), IndexError>,
    ) -> Result<(), IndexError> {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut index)
    }

    /// The index cannot be believed any more: the store closes, and the next opening rebuilds it.
    pub(crate) fn index_failed(&self, error: &IndexError) {
        tracing::error!(%error, "the index of the store failed; the store is closed");
        drop(Checkpoint::distrust(&*self.files));
        self.refuse_writes(INDEX_FAILED);
    }

    /// Refuses writes from now on. Reads go on.
    pub(crate) fn refuse_writes(&self, reason: &'static str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if *state == State::Open {
            *state = State::Closed { reason };
        }
        drop(state);
        for waiting in self.queue.refuse(reason) {
            waiting.work.refuse(CommitError::Closed { reason });
        }
    }

    /// The store's own id.
    pub(crate) fn store(&self) -> [u8; 16] {
        self.folder.store
    }

    /// Whether the store's lock is still its own.
    pub(crate) fn holds_lock(&self) -> bool {
        self.folder.holds_lock()
    }

    /// Something an operator should know.
    #[cfg(feature = "local")]
    pub(crate) fn notice(&self, notice: String) {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        if notices.len() < NOTICES_MAX {
            notices.push(notice);
        }
    }

    pub(crate) fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn notices(&self) -> Vec<String> {
        self.notices
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Bytes of the log and of what stands behind it on disk, as far as they can be told.
    pub(crate) fn bytes(&self) -> u64 {
        let segments = self.reader.names().into_iter();
        let log: u64 = segments
            .filter_map(|(number, _)| self.reader.file(number).ok()??.bytes().ok())
            .sum();
        log + self.with_index(I::bytes).unwrap_or(0)
    }

    pub(crate) fn count(&self, counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}
