//! Exporting: pages of the index as it was at one commit point, while the committer goes on changing it.
//!
//! While an export is under way the committer notes what it changes, once, as it was before: where replaced and
//! removed records and entries lay, and the heads of logs. A page is what the index has now, with what was noted laid
//! over it. Only what is not yet exported is noted, and it is forgotten once it is, so memory is bounded by what is
//! written meanwhile.
//!
//! An export of which nobody takes an item is let go after a while ([`EXPORT_IDLE`](crate::EXPORT_IDLE)).
//!
//! What was noted is still read from where it lay. So while [`Shared::exports`] is not 0 no segment goes, and in a
//! store of files settling waits ([`Index::REPLACES_FILES`]).

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use tokio::sync::Semaphore;

use super::committer::SHUT_DOWN;
use super::fetch::{Fetch, Unfetched};
use super::index::{Index, IndexError};
use super::noted::{Spots, Undo};
use super::shared::Shared;
use super::store::blocking;
use crate::export::{Pages, RecordsPage};
use crate::{
    Entry, ExportPoint, Key, LogHead, Logged, PAGE_MAX, Position, Prefix, ReadError, Stream, Version,
};

/// An export under way.
pub(super) struct Exporting<I: Index> {
    active: Arc<Active<I>>,
    readers: Arc<Semaphore>,
    point: ExportPoint,
}

/// The place of the one export, given free when dropped. It does not keep the store open.
///
/// Whatever works for the export on another thread has it too: dropped while that runs, the export still has the place,
/// and what the next one notes is never the former's to change.
struct Active<I: Index>(Weak<Shared<I>>);

impl<I: Index> Drop for Active<I> {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.noted.abort();
            shared.exports.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl<I: Index> Exporting<I> {
    /// Takes the place and the point.
    pub(super) async fn begin(
        shared: Weak<Shared<I>>,
        readers: Arc<Semaphore>,
        prefix: Prefix,
    ) -> Result<Self, ReadError> {
        let open = shared.upgrade().ok_or_else(closed)?;
        let taken = open
            .exports
            .compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire);
        if taken.is_err() {
            return Err(ReadError::Unavailable {
                reason: "another export to end (one at a time)",
                source: None,
            });
        }
        let store = open.store();
        drop(open);
        let active = Arc::new(Active(shared.clone()));
        let held = Arc::clone(&active);
        let taken = move |shared: &Shared<I>| {
            // To the end of this.
            let _held = held;
            shared.with_index(|_| Ok(shared.noted.begin(&prefix)))
        };
        let version = Version::new(blocking(&readers, shared, taken).await?);
        Ok(Self {
            active,
            readers,
            point: ExportPoint { store, version },
        })
    }

    /// Runs something over the index and what was noted, then reads by what it found, at one point of the files.
    async fn page<F, T>(
        &self,
        find: impl FnOnce(&mut Undo<I::Spot>, &I) -> Result<F, IndexError> + Send + 'static,
        read: impl FnOnce(&mut I::Fetch<'_>, F) -> T + Send + 'static,
    ) -> Result<T, ReadError>
    where
        T: Send + 'static,
    {
        let held = Arc::clone(&self.active);
        let read = move |shared: &Shared<I>| {
            // To the end of this, behind the index and what was noted.
            let _held = held;
            let mut fetch = I::fetch(shared);
            let found = shared.with_index(|index| match &mut *shared.noted.undo() {
                Some(undo) => find(undo, index).map(Some),
                None => Ok(None),
            })?;
            Ok(read(&mut fetch, found.ok_or_else(closed)?))
        };
        blocking(&self.readers, self.active.0.clone(), read).await
    }
}

fn closed() -> ReadError {
    ReadError::Closed { reason: SHUT_DOWN }
}

impl<I: Index> Pages for Exporting<I> {
    fn point(&self) -> ExportPoint {
        self.point
    }

    async fn records(&mut self, after: Option<Key>) -> Result<RecordsPage, ReadError> {
        let find = move |undo: &mut Undo<I::Spot>, index: &I| {
            undo.next_records(index, after.as_ref().map(Key::stored))
        };
        let read = |fetch: &mut I::Fetch<'_>, (spots, last): Spots<I::Spot>| {
            let entry = |(key, spot): (Key, I::Spot)| -> Result<Entry, ReadError> {
                fetch.entry(&key, &spot).map_err(|why| why.of(&key))
            };
            RecordsPage {
                items: spots.into_iter().map(entry).collect(),
                next: last.and_then(|last| Key::from_stored(&last).ok()),
            }
        };
        self.page(find, read).await
    }

    async fn heads(&mut self, after: Option<Stream>) -> Result<Vec<(Stream, LogHead)>, ReadError> {
        let find = move |undo: &mut Undo<I::Spot>, index: &I| {
            undo.next_heads(index, after.as_ref().map(|log| log.key().stored()))
        };
        self.page(find, |_, heads| heads).await
    }

    async fn entries(
        &mut self,
        log: &Stream,
        head: &LogHead,
        after: Position,
    ) -> Result<Vec<Result<Logged, ReadError>>, ReadError> {
        let (range, name) = ((after.get() + 1, head.next.get()), log.key().stored().to_owned());
        let find = move |undo: &mut Undo<I::Spot>, index: &I| undo.next_entries(index, &name, range);
        let (log, mut expected) = (log.clone(), range.0);
        let read = move |fetch: &mut I::Fetch<'_>, spots: Vec<(u64, I::Spot)>| {
            let mut entries = Vec::with_capacity(spots.len());
            for (position, spot) in spots {
                // One that the head names and the index does not have.
                while expected < position && entries.len() < PAGE_MAX {
                    entries.push(Err(Unfetched::Corrupt.of(log.key())));
                    expected += 1;
                }
                if expected == position {
                    let logged = fetch.logged(&log, position, &spot);
                    entries.push(logged.map_err(|why| why.of(log.key())));
                    expected += 1;
                }
            }
            if entries.is_empty() {
                entries.push(Err(Unfetched::Corrupt.of(log.key())));
            }
            entries
        };
        self.page(find, read).await
    }
}
