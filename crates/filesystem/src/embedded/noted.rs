//! What the committer notes for an export under way: the index as it was at one commit point, where it has changed since.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::index::{Index, IndexError, Spotted, Walk};
use super::spot::Head;
use crate::commit_log::frame::{Frame, Operation};
use crate::filling::Filling;
use crate::{Key, LogHead, Order, PAGE_MAX, Prefix, Stream};

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
pub(super) struct Undo<S> {
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
pub(super) type Spots<S> = (Vec<(Key, S)>, Option<String>);

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
    /// Begins to note for an export of all below a prefix. Returns its point.
    pub(super) fn begin(&self, prefix: &Prefix) -> u64 {
        let point = self.visible.load(Ordering::Acquire);
        *self.undo() = Some(Undo::of(prefix, point));
        point
    }

    /// Held while the index is, by who looks or changes; taken behind it.
    pub(super) fn undo(&self) -> MutexGuard<'_, Option<Undo<S>>> {
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
    pub(super) fn next_records<I: Index<Spot = S>>(
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
    pub(super) fn next_heads<I: Index<Spot = S>>(
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
    pub(super) fn next_entries<I: Index<Spot = S>>(
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
