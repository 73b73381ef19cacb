//! Hints: something under a prefix changed. Get, list and tail are the truth.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

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
    cell: Arc<Cell>,
}

#[derive(Debug)]
struct Cell {
    prefix: Prefix,
    changed: Notify,
    closed: std::sync::atomic::AtomicBool,
}

impl Watch {
    /// Waits for the next hint; none once the store is closed.
    pub async fn next(&mut self) -> Option<Hint> {
        self.cell.changed.notified().await;
        if self.cell.closed.load(std::sync::atomic::Ordering::Acquire) {
            // The permit is put back, so that every later call returns at once too.
            self.cell.changed.notify_one();
            return None;
        }
        Some(Hint::Changed)
    }
}

/// The watches of one store, for its backend to ring after a commit is durable.
#[derive(Debug, Default)]
pub struct Watches {
    cells: Mutex<HashMap<u64, Weak<Cell>>>,
    serial: std::sync::atomic::AtomicU64,
}

impl Watches {
    /// Begins a watch.
    ///
    /// # Errors
    /// `Unavailable` over [`WATCHES_MAX`].
    pub fn watch(&self, prefix: &Prefix) -> Result<Watch, ReadError> {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
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
            closed: std::sync::atomic::AtomicBool::new(false),
        });
        let serial = self.serial.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        cells.insert(serial, Arc::downgrade(&cell));
        Ok(Watch { cell })
    }

    /// Rings every watch that holds one of these keys (of records, or of logs).
    #[expect(clippy::needless_pass_by_value, reason = "an iterator is cloned for each watch, never borrowed")]
    pub fn ring<'a>(&self, keys: impl Iterator<Item = &'a Key> + Clone) {
        let cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        for cell in cells.values().filter_map(Weak::upgrade) {
            if keys.clone().any(|key| cell.prefix.holds(key)) {
                cell.changed.notify_one();
            }
        }
    }

    /// Ends every watch.
    pub fn close(&self) {
        let cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        for cell in cells.values().filter_map(Weak::upgrade) {
            cell.closed.store(true, std::sync::atomic::Ordering::Release);
            cell.changed.notify_one();
        }
    }
}
