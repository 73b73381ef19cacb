//! Exporting: all that is below a prefix, at one commit point, while writers go on.

mod ahead;
mod held;
#[cfg(any(feature = "sled", feature = "local", feature = "postgres"))]
mod paging;
#[cfg(all(test, any(feature = "sled", feature = "local", feature = "postgres")))]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{StreamExt, stream};

pub(crate) use self::ahead::{PageRead, PageSource, read_ahead};
#[cfg(any(feature = "sled", feature = "local", feature = "postgres"))]
pub(crate) use self::paging::{Pages, RecordsPage, paged};
use crate::{Entry, LogHead, Logged, ReadError, Stream, Version};

/// How long an export is held of which nobody takes an item, unless its store says otherwise. 60 s.
///
/// Behind it what the export holds is let go, and its next item is
/// [`ExportIdle`](crate::ReadError::ExportIdle). Time in which the store reads does not count.
pub const EXPORT_IDLE: Duration = Duration::from_secs(60);

/// What [`RecordStore::export`](crate::RecordStore::export) yields: the point, the records in key order, the logs in
/// their order, each followed by its entries, the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exported {
    /// First: where all that follows was read.
    Point(ExportPoint),
    /// A record.
    Record(Entry),
    /// A log. Its entries follow, from `first` to before `next`.
    Log {
        /// The log.
        log: Stream,
        /// Where it begins and ends.
        head: LogHead,
    },
    /// The next entry of the last log.
    Logged(Logged),
    /// Last, and only where nothing was damaged: an export without its end is not whole.
    End(ExportCounts),
}

/// One point in the history of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportPoint {
    /// The store's own id; zeros of a store that has none.
    pub store: [u8; 16],
    /// The highest version of any commit, of the whole store, that is before the point.
    pub version: Version,
}

/// How many items an export had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExportCounts {
    /// Records.
    pub records: u64,
    /// Logs, those without entries too.
    pub logs: u64,
    /// Entries of all logs.
    pub entries: u64,
}

impl ExportCounts {
    /// Counts an item.
    pub fn count(&mut self, item: &Exported) {
        match item {
            Exported::Record(_) => self.records += 1,
            Exported::Log { .. } => self.logs += 1,
            Exported::Logged(_) => self.entries += 1,
            Exported::Point(_) | Exported::End(_) => {}
        }
    }
}

/// The one place for an export that a store has.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExportSlot(Arc<AtomicBool>);

/// The place, taken. Free again when dropped.
#[derive(Debug)]
pub(crate) struct ExportTaken(Arc<AtomicBool>);

impl ExportSlot {
    /// Takes the place.
    ///
    /// # Errors
    /// `Unavailable` while another export has it.
    pub(crate) fn take(&self) -> Result<ExportTaken, ReadError> {
        if self.0.swap(true, Ordering::AcqRel) {
            return Err(ReadError::Unavailable {
                reason: "another export to end (one at a time)",
                source: None,
            });
        }
        Ok(ExportTaken(Arc::clone(&self.0)))
    }
}

impl Drop for ExportTaken {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// An export that is one error.
pub(crate) fn refused(error: ReadError) -> BoxStream<'static, Result<Exported, ReadError>> {
    stream::once(async { Err(error) }).boxed()
}
