//! Exporting: pages of the index as it was at one commit point, while the committer goes on changing it.
//!
//! While an export is under way the committer notes what it changes, once, as it was before: where replaced and
//! removed records and entries lay, and the heads of logs. A page is what the index has now, with what was noted laid
//! over it. Only what is not yet exported is noted, and it is forgotten once it is, so memory is bounded by what is
//! written meanwhile.
//!
//! What was noted is still read from where it lay. So while [`Shared::exports`] is not 0 no segment goes, and in a
//! store of files settling waits ([`Index::REPLACES_FILES`]).

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Semaphore;

use super::committer::SHUT_DOWN;
use super::fetch::{Fetch, Unfetched};
use super::index::{Index, IndexError, Spotted, Walk};
use super::shared::Shared;
use super::spot::Head;
use super::store::blocking;
use crate::commit_log::frame::{Frame, Operation};
use crate::export::{Pages, RecordsPage};
use crate::filling::Filling;
use crate::{
    Entry, ExportPoint, Key, LogHead, Logged, Order, PAGE_MAX, Position, Prefix, ReadError, Stream, Version,
};

/// What was noted for the export under way, if there is one.
#[derive(Debug)]
pub(crate) struct Noted<S> {
    /// The highest version that readers can see something of. Changed with the index.
    visible: AtomicU64,
    undo: Mutex<Option<Undo<S>>>,
}

impl<S> Default for Noted<S> {
    fn default() -> Self {
        Self {
            visible: AtomicU64::new(0),
            undo: Mutex::new(None),
        }
    }
}

/// The index as it was at a point, where it has changed since and is not yet exported.
#[derive(Debug)]
struct Undo<S> {
    point: u64,
    /// What is exported: names from the one to before the other.
    start: String,
    end: Option<String>,
    /// Records up to this name are exported.
    records_done: Done,
    heads_done: Done,
    /// Entries before this one are exported.
    entries_from: (String, u64),
    /// Where each lay; none where there was none.
    records: BTreeMap<String, Option<S>>,
    heads: BTreeMap<String, Option<Head>>,
    /// Where removed ones lay.
    entries: BTreeMap<(String, u64), S>,
}

/// Where records lay, and the last name looked at; none at the end.
type Spots<S> = (Vec<(Key, S)>, Option<String>);

/// How far a kind of thing is exported.
#[derive(Debug)]
enum Done {
    /// Up to this name.
    To(Option<String>),
    All,
}

impl Done {
    fn has(&self, name: &str) -> bool {
        match self {
            Self::To(last) => last.as_deref().is_some_and(|last| name <= last),
            Self::All => true,
        }
    }
}

impl<S: Spotted> Noted<S> {
    /// Held while the index is, by who looks or changes; taken behind it.
    fn undo(&self) -> MutexGuard<'_, Option<Undo<S>>> {
        self.undo.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Commits up to this version can be seen from now on.
    pub(crate) fn show(&self, version: u64) {
        self.visible.store(version, Ordering::Release);
    }

    /// Notes what a frame is about to change.
    pub(crate) fn note<I: Index<Spot = S>>(&self, index: &I, frame: &Frame<'_>) -> Result<(), IndexError> {
        let mut undo = self.undo();
        let Some(undo) = &mut *undo else {
            return Ok(());
        };
        for (_, operation) in frame.operations() {
            match operation {
                Operation::Put { key, .. } | Operation::Delete { key, .. } => undo.record(index, key)?,
                Operation::Append { log, .. } | Operation::Begin { log, .. } => undo.head(index, log)?,
                Operation::Truncate {
                    log, first, before, ..
                } => {
                    undo.head(index, log)?;
                    undo.entries(index, log, first, before)?;
                }
                // Written again as it is, and where it lay it still can be read.
                Operation::Moved { .. }
                | Operation::MovedEntry { .. }
                | Operation::Head { .. }
                | Operation::Cleaned { .. }
                | Operation::Lost { .. } => {}
            }
        }
        Ok(())
    }

    /// Ends the export under way: what it stands on goes.
    pub(crate) fn abort(&self) {
        *self.undo() = None;
    }
}

impl<S: Spotted> Undo<S> {
    fn of(prefix: &Prefix, point: u64) -> Self {
        let (start, end) = prefix.range();
        Self {
            point,
            start,
            end,
            records_done: Done::To(None),
            heads_done: Done::To(None),
            entries_from: (String::new(), 0),
            records: BTreeMap::new(),
            heads: BTreeMap::new(),
            entries: BTreeMap::new(),
        }
    }

    fn holds(&self, name: &str) -> bool {
        name >= self.start.as_str() && self.end.as_deref().is_none_or(|end| name < end)
    }

    fn record<I: Index<Spot = S>>(&mut self, index: &I, key: &str) -> Result<(), IndexError> {
        if self.holds(key) && !self.records_done.has(key) && !self.records.contains_key(key) {
            self.records.insert(key.to_owned(), index.record(key)?);
        }
        Ok(())
    }

    fn head<I: Index<Spot = S>>(&mut self, index: &I, log: &str) -> Result<(), IndexError> {
        if self.holds(log) && !self.heads_done.has(log) && !self.heads.contains_key(log) {
            self.heads.insert(log.to_owned(), index.head(log)?);
        }
        Ok(())
    }

    fn entries<I: Index<Spot = S>>(
        &mut self,
        index: &I,
        log: &str,
        first: u64,
        before: u64,
    ) -> Result<(), IndexError> {
        if !self.holds(log) {
            return Ok(());
        }
        let Self {
            point,
            entries_from,
            entries,
            ..
        } = self;
        index.walk_entries(log, first, before, |position, spot| {
            let name = (log.to_owned(), position);
            if spot.version() <= *point && name >= *entries_from {
                entries.insert(name, spot);
            }
            true
        })
    }

    /// What is walked over next, behind a name.
    fn walk<'a>(&'a self, after: Option<&'a str>) -> Walk<'a> {
        Walk {
            low: after.map_or(Bound::Included(self.start.as_bytes()), |after| {
                Bound::Excluded(after.as_bytes())
            }),
            high: self
                .end
                .as_deref()
                .map_or(Bound::Unbounded, |end| Bound::Excluded(end.as_bytes())),
            order: Order::Up,
        }
    }

    /// Where the next records lay, and the last name looked at; none at the end.
    fn next_records<I: Index<Spot = S>>(
        &mut self,
        index: &I,
        after: Option<&str>,
    ) -> Result<Spots<S>, IndexError> {
        let mut found: BTreeMap<String, S> = BTreeMap::new();
        let mut last = None;
        index.walk_records(self.walk(after), |name, spot| {
            found.insert(name.to_owned(), spot);
            if found.len() == PAGE_MAX {
                last = Some(name.to_owned());
            }
            last.is_none()
        })?;
        let low = after.map_or(Bound::Unbounded, Bound::Excluded);
        let high = last.as_deref().map_or(Bound::Unbounded, Bound::Included);
        for (name, old) in self.records.range::<str, _>((low, high)) {
            match old {
                Some(old) => drop(found.insert(name.clone(), *old)),
                None => drop(found.remove(name)),
            }
        }
        let mut filling = Filling::of(PAGE_MAX).expect("a page's most is allowed");
        let (mut page, mut before) = (Vec::new(), None);
        for (name, spot) in found {
            if !filling.takes(name.len() + spot.weight()) {
                last = before;
                break;
            }
            // A key that is none was never written; the digest of the index finds it.
            if let Ok(key) = Key::from_stored(&name) {
                page.push((key, spot));
            }
            before = Some(name);
        }
        match &last {
            Some(last) => {
                self.records = self.records.split_off(last);
                self.records.remove(last);
                self.records_done = Done::To(Some(last.clone()));
            }
            None => {
                self.records.clear();
                self.records_done = Done::All;
            }
        }
        Ok((page, last))
    }

    /// Heads of the next logs as they were.
    fn next_heads<I: Index<Spot = S>>(
        &mut self,
        index: &I,
        after: Option<&str>,
    ) -> Result<Vec<(Stream, LogHead)>, IndexError> {
        let mut found: Vec<(Stream, LogHead)> = Vec::new();
        // Behind the last one are only logs that came since.
        if matches!(self.heads_done, Done::All) {
            return Ok(found);
        }
        let mut last = None;
        index.walk_heads(self.walk(after), |name, head| {
            let head = self.heads.get(name).copied().unwrap_or(Some(head));
            if let (Some(head), Ok(key)) = (head, Key::from_stored(name)) {
                found.push((Stream::new(key), head.into()));
            }
            // Logs that came since are passed over, however many.
            if found.len() == PAGE_MAX {
                last = Some(name.to_owned());
            }
            last.is_none()
        })?;
        match &last {
            Some(last) => {
                self.heads = self.heads.split_off(last);
                self.heads.remove(last);
                self.heads_done = Done::To(Some(last.clone()));
            }
            None => {
                self.heads.clear();
                self.heads_done = Done::All;
            }
        }
        Ok(found)
    }

    /// Where the next entries of a log lay: removed ones first, since what is removed is the log's beginning.
    fn next_entries<I: Index<Spot = S>>(
        &mut self,
        index: &I,
        log: &str,
        (from, to): (u64, u64),
    ) -> Result<Vec<(u64, S)>, IndexError> {
        let first = (log.to_owned(), from);
        self.entries = self.entries.split_off(&first);
        let mut filling = Filling::of(PAGE_MAX).expect("a page's most is allowed");
        let mut found: Vec<(u64, S)> = Vec::new();
        let mut take = |position: u64, spot: S| {
            let takes = filling.takes(spot.weight());
            if takes {
                found.push((position, spot));
            }
            takes
        };
        let behind = (log.to_owned(), to);
        let mut removed = self.entries.range(first.clone()..behind);
        let has_room = removed.all(|((_, position), spot)| take(*position, *spot));
        if has_room {
            index.walk_entries(log, from, to, take)?;
        }
        self.entries_from = first;
        Ok(found)
    }
}

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
        let active = Arc::new(Active(shared));
        let store = open.store();
        let held = Arc::clone(&active);
        let taken = move |shared: &Shared<I>| {
            // To the end of this.
            let _held = held;
            shared.with_index(|_| {
                let point = shared.noted.visible.load(Ordering::Acquire);
                *shared.noted.undo() = Some(Undo::of(&prefix, point));
                Ok(point)
            })
        };
        let version = Version::new(blocking(&readers, open, taken).await?);
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
        let shared = self.active.0.upgrade().ok_or_else(closed)?;
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
        blocking(&self.readers, shared, read).await
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
