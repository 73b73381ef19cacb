//! Hints: something under a prefix changed. Get, list and tail are the truth.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;

use crate::{Key, Prefix, ReadError};

/// Most watches of one store.
pub const WATCHES_MAX: usize = 4096;

/// What a watch yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// Something changed since the last hint; coalesced, at most one is pending.
    Changed,
    /// Changes may have gone unseen: rescan.
    Missed,
}

/// A stream of hints. Dropping it ends it.
#[derive(Debug)]
pub struct Watch {
    /// One, or those of the stores that a router asks.
    cells: Vec<Arc<Cell>>,
}

#[derive(Debug)]
struct Cell {
    prefix: Prefix,
    changed: Notify,
    missed: std::sync::atomic::AtomicBool,
    closed: std::sync::atomic::AtomicBool,
}

impl Watch {
    /// Waits for the next hint; none once the store is closed.
    pub async fn next(&mut self) -> Option<Hint> {
        // Ends with a hint, or with the last store that was not closed.
        loop {
            let rung = self.cells.iter().map(|cell| Box::pin(cell.changed.notified()));
            let ((), at, _) = futures::future::select_all(rung).await;
            let cell = &self.cells[at];
            if !cell.closed.load(std::sync::atomic::Ordering::Acquire) {
                let is_missed = cell.missed.swap(false, std::sync::atomic::Ordering::AcqRel);
                return Some(if is_missed { Hint::Missed } else { Hint::Changed });
            }
            if self.cells.len() == 1 {
                // The permit is put back, so that every later call returns at once too.
                cell.changed.notify_one();
                return None;
            }
            self.cells.swap_remove(at);
        }
    }

    /// One watch of what several see. It ends when all of them have.
    ///
    /// # Panics
    /// When there is none to merge.
    #[must_use]
    pub fn merged(watches: impl IntoIterator<Item = Self>) -> Self {
        let cells: Vec<_> = watches.into_iter().flat_map(|watch| watch.cells).collect();
        assert!(!cells.is_empty(), "a watch is of one store at least");
        Self { cells }
    }
}

/// The watches of one store, for its backend to ring after a commit is durable.
#[derive(Debug, Default)]
pub struct Watches {
    inner: Mutex<Inner>,
    serial: std::sync::atomic::AtomicU64,
}

#[derive(Debug, Default)]
struct Inner {
    cells: HashMap<u64, Weak<Cell>>,
    is_closed: bool,
}

impl Watches {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a watch. One begun after the close ends at once.
    ///
    /// # Errors
    /// `Unavailable` over [`WATCHES_MAX`].
    pub fn watch(&self, prefix: &Prefix) -> Result<Watch, ReadError> {
        let mut inner = self.inner();
        let is_closed = inner.is_closed;
        let cells = &mut inner.cells;
        cells.retain(|_, cell| cell.strong_count() > 0);
        if cells.len() >= WATCHES_MAX {
            return Err(ReadError::Unavailable {
                reason: "a watch (WATCHES_MAX reached)",
                source: None,
            });
        }
        let cell = Arc::new(Cell {
            prefix: prefix.clone(),
            changed: Notify::new(),
            missed: std::sync::atomic::AtomicBool::new(false),
            closed: std::sync::atomic::AtomicBool::new(is_closed),
        });
        if is_closed {
            // Nobody will ring it any more: it ends at once.
            cell.changed.notify_one();
        }
        let serial = self.serial.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        cells.insert(serial, Arc::downgrade(&cell));
        Ok(Watch { cells: vec![cell] })
    }

    /// Rings every watch that holds one of these keys (of records, or of logs).
    #[expect(
        clippy::needless_pass_by_value,
        reason = "an iterator is cloned for each watch, never borrowed"
    )]
    pub fn ring<'a>(&self, keys: impl Iterator<Item = &'a Key> + Clone) {
        let inner = self.inner();
        for cell in inner.cells.values().filter_map(Weak::upgrade) {
            if keys.clone().any(|key| cell.prefix.holds(key)) {
                cell.changed.notify_one();
            }
        }
    }

    /// Tells every watch that changes may have gone unseen: its holders rescan.
    pub fn miss(&self) {
        let inner = self.inner();
        for cell in inner.cells.values().filter_map(Weak::upgrade) {
            cell.missed.store(true, std::sync::atomic::Ordering::Release);
            cell.changed.notify_one();
        }
    }

    /// Ends every watch, and every later one.
    pub fn close(&self) {
        let mut inner = self.inner();
        inner.is_closed = true;
        for cell in inner.cells.values().filter_map(Weak::upgrade) {
            cell.closed.store(true, std::sync::atomic::Ordering::Release);
            cell.changed.notify_one();
        }
    }
}
