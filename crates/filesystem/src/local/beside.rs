//! What a local store needs beside its log and index.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Files that stay as they are while somebody reads, and the round of writing behind that is under way.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// Held for reading by who reads, for writing while files are replaced or removed. Taken before the index.
    gate: RwLock<()>,
    round: Mutex<Round>,
}

/// What is left of a round. Only the committer looks at it.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// Whether what has changed was taken for it. An error ends it.
    pub(super) is_begun: bool,
    pub(super) records: Vec<String>,
    pub(super) logs: Vec<String>,
    /// Folders known to be there.
    pub(super) folders: HashSet<String>,
    /// Folders in which names have changed that may not be durable. It outlives an error: until they are synced nothing
    /// written behind the log counts.
    pub(super) unsynced: BTreeSet<String>,
}

impl Round {
    pub(super) fn is_done(&self) -> bool {
        self.records.is_empty() && self.logs.is_empty() && self.unsynced.is_empty()
    }
}

impl Beside {
    /// Keeps every file as it is.
    pub(super) fn keep_files(&self) -> RwLockReadGuard<'_, ()> {
        self.gate.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nobody reads, and lets nobody.
    pub(super) fn change_files(&self) -> RwLockWriteGuard<'_, ()> {
        self.gate.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn round(&self) -> MutexGuard<'_, Round> {
        self.round.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
