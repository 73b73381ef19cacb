//! The index: sled's trees from keys to places in the log, with what they do not have yet in memory ahead of them. It can
//! be rebuilt, so nothing depends on it but speed.
//!
//! Only the committer changes it, after the flush.

use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::drain::Leaving;
use super::flushing::{Flush, Flushing};
use super::gaps::Gaps;
use super::known::Known;
use super::layer::{Ahead, Entries, Heads, PARTS, Part, Records};
use super::merged;
use super::trees::{Place, Trees, Value, guarded, sync_files};
use crate::commit_log::Reader;
use crate::embedded::fetch::LogFetch;
use crate::embedded::index::{self, AtOnce, Before, IndexError, Patience, Settled, Spotted, Walk};
use crate::embedded::shared::Shared;
use crate::embedded::spot::{Head, Spot};
use crate::{Batch, CommitError, Entry, Key, Order, Page, Stream};

/// How many changes are worth opening the trees again at the end: reading them once more takes about as long.
const NOTED_CHANGES_MIN: u64 = 200_000;
/// Between a stream and a position: below every byte of a stream's name.
const ENTRY_SEPARATOR: u8 = 0;

/// The index of a store.
#[derive(Debug)]
pub(super) struct Index {
    place: Place,
    /// None only where opening them again failed.
    trees: Option<Trees>,
    pub(super) ahead: Ahead,
    /// The highest key there ever was in each tree or ahead of it: what is behind it is nowhere.
    ends: [Option<Box<[u8]>>; PARTS],
    /// Where records lie, of those asked for or written of late.
    pub(super) known: Known,
    /// Where no records are, as far as that was seen of late.
    pub(super) gaps: Gaps,
    /// How many changes since the trees were opened.
    changes: u64,
}

impl Index {
    /// Opens or makes the trees of a store.
    pub(super) fn open(path: &Path, store: [u8; 16], cache_bytes: u64) -> Result<Self, IndexError> {
        let place = Place {
            path: path.to_owned(),
            store,
            cache_bytes: cache_bytes / 2,
        };
        place.prepare()?;
        let trees = Trees::open(&place)?;
        Ok(Self {
            ends: guarded(|| ends_of(&trees))?,
            trees: Some(trees),
            place,
            ahead: Ahead::default(),
            known: Known::of(cache_bytes / 2),
            gaps: Gaps::default(),
            changes: 0,
        })
    }

    /// Removes the trees, for building them anew.
    pub(super) fn remove(path: &Path) -> io::Result<()> {
        match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn trees(&self) -> Result<&Trees, IndexError> {
        self.trees.as_ref().ok_or(IndexError::Other)
    }

    /// What a key has.
    fn find<P: Part<Value: Value>>(&self, key: &[u8]) -> Result<Option<P::Value>, IndexError> {
        match self.ahead.get::<P>(key) {
            Some(known) => Ok(known),
            None => self.find_behind::<P>(key),
        }
    }

    /// What a key has in the trees.
    fn find_behind<P: Part<Value: Value>>(&self, key: &[u8]) -> Result<Option<P::Value>, IndexError> {
        if self.is_behind_all::<P>(key) {
            return Ok(None);
        }
        guarded(|| P::tree(self.trees()?).get(key))
    }

    /// What a key has, unless it is known that it has nothing.
    fn find_unless<P: Part<Value: Value>>(
        &self,
        key: &[u8],
        before: Before,
    ) -> Result<Option<P::Value>, IndexError> {
        match before {
            Before::Nothing => Ok(None),
            Before::Unknown => self.find::<P>(key),
        }
    }

    fn is_behind_all<P: Part>(&self, key: &[u8]) -> bool {
        self.ends[P::NUMBER].as_deref().is_none_or(|end| key > end)
    }

    fn set<P: Part>(&mut self, key: &[u8], value: Option<P::Value>) -> Result<(), IndexError> {
        self.changes += 1;
        if self.is_behind_all::<P>(key) {
            self.ends[P::NUMBER] = Some(key.into());
        }
        let trees = self.trees.as_ref().ok_or(IndexError::Other)?;
        self.ahead.set::<P>(trees, key.into(), value)
    }

    fn walk<P: Part<Value: Value>>(
        &self,
        walk: Walk<'_>,
        visit: impl FnMut(&[u8], P::Value) -> Result<bool, IndexError>,
    ) -> Result<(), IndexError> {
        guarded(|| merged::walk::<P>(&self.ahead, P::tree(self.trees()?), walk, visit))
    }

    /// Sees from where to where nothing is: what lies below a place where nothing was found, and what above it. Where that is
    /// far behind what was removed, nothing is seen.
    fn see_gap(&self, below: Bound<&[u8]>, above: Bound<&[u8]>) -> Result<(), IndexError> {
        let neighbours = guarded(|| {
            merged::neighbours::<Records>(&self.ahead, Records::tree(self.trees()?), below, above)
        });
        if let Some([below, above]) = neighbours? {
            self.gaps.add(below, above);
        }
        Ok(())
    }

    /// Sends all that is ahead to the trees; what to wait for until they have it.
    pub(super) fn send(&mut self) -> Result<Option<Arc<Leaving>>, IndexError> {
        let trees = self.trees.as_ref().ok_or(IndexError::Other)?;
        self.ahead.send(trees)
    }

    /// As [`send`](Self::send), and waits.
    pub(super) fn drain(&mut self) -> Result<(), IndexError> {
        self.send()?.map_or(Ok(()), |last| last.wait())
    }

    /// Brings all of it to the trees, and opens them again after many changes, which makes sled write down where all of it
    /// is: the next opening need not find out.
    fn note_down(&mut self) -> Result<(), IndexError> {
        if self.changes < NOTED_CHANGES_MIN {
            return self.drain();
        }
        self.drain()?;
        drop(self.trees.take());
        self.trees = Some(Trees::open(&self.place)?);
        self.changes = 0;
        self.sync()
    }

    /// The highest version it may hold something of.
    pub(super) fn version(&self) -> Result<u64, IndexError> {
        let ahead = self.ahead.layers().map(|layer| layer.version).max();
        Ok(self.trees()?.version()?.max(ahead.unwrap_or(0)))
    }

    /// Makes all of it durable: what is ahead, the tree's buffers, then the files beneath it.
    pub(super) fn sync(&mut self) -> Result<(), IndexError> {
        self.drain()?;
        guarded(|| {
            self.trees()?.db.flush()?;
            Ok(())
        })?;
        sync_files(&self.place.path)?;
        Ok(())
    }

    /// Begins to make what it holds now durable.
    fn flush(&mut self) -> Result<Flush, IndexError> {
        let behind = self.send()?;
        Ok(Flush {
            behind,
            db: self.trees()?.db.clone(),
            path: self.place.path.clone(),
        })
    }
}

fn ends_of(trees: &Trees) -> Result<[Option<Box<[u8]>>; PARTS], IndexError> {
    let mut ends = [const { None }; PARTS];
    ends[Records::NUMBER] = trees.records.last::<Spot>()?;
    ends[Heads::NUMBER] = trees.heads.last::<Head>()?;
    ends[Entries::NUMBER] = trees.entries.last::<Spot>()?;
    Ok(ends)
}

impl Spotted for Spot {
    fn version(&self) -> u64 {
        self.version
    }

    fn weight(&self) -> usize {
        self.weight as usize
    }

    fn in_log(&self) -> Option<Spot> {
        Some(*self)
    }
}

impl index::Index for Index {
    type Spot = Spot;
    type Beside = Flushing;
    type Fetch<'a> = LogFetch<'a>;
    type Changing<'a> = ();
    const BACKEND: &'static str = "sled";
    /// It goes on beside: this is how late its end may be seen.
    const BETWEEN_STEPS: Duration = Duration::from_millis(5);
    const REPLACES_FILES: bool = false;

    fn begin(&mut self, version: u64) -> Result<(), IndexError> {
        self.ahead.begin(version)
    }

    fn record(&self, key: &str) -> Result<Option<Spot>, IndexError> {
        let key = key.as_bytes();
        // Most that are asked for are there, and what was written of late is ahead.
        let found = match self.ahead.get::<Records>(key) {
            Some(found) => found,
            None if self.gaps.holds(key) => None,
            None => self.find_behind::<Records>(key)?,
        };
        if let Some(spot) = &found {
            self.known.put(key, spot);
        }
        Ok(found)
    }

    fn saw_nothing_of(&self, key: &str) -> Result<(), IndexError> {
        let key = key.as_bytes();
        match self.gaps.holds(key) {
            true => Ok(()),
            false => self.see_gap(Bound::Excluded(key), Bound::Excluded(key)),
        }
    }

    fn put_record(&mut self, key: &str, at: &Spot, before: Before) -> Result<Option<Spot>, IndexError> {
        let old = self.find_unless::<Records>(key.as_bytes(), before)?;
        // One that was there before is in no gap.
        if old.is_none() {
            self.gaps.fill(key.as_bytes());
        }
        self.set::<Records>(key.as_bytes(), Some(*at))?;
        self.known.put(key.as_bytes(), at);
        Ok(old)
    }

    fn remove_record(&mut self, key: &str) -> Result<Option<Spot>, IndexError> {
        let old = self.record(key)?;
        self.set::<Records>(key.as_bytes(), None)?;
        self.known.remove(key.as_bytes());
        self.gaps.join(key.as_bytes());
        Ok(old)
    }

    fn head(&self, log: &str) -> Result<Option<Head>, IndexError> {
        self.find::<Heads>(log.as_bytes())
    }

    fn put_head(&mut self, log: &str, head: &Head) -> Result<bool, IndexError> {
        let is_new = self.head(log)?.is_none();
        self.set::<Heads>(log.as_bytes(), Some(*head))?;
        Ok(is_new)
    }

    fn put_entry(
        &mut self,
        log: &str,
        position: u64,
        at: &Spot,
        before: Before,
    ) -> Result<Option<Spot>, IndexError> {
        let key = entry_key(log, position);
        let old = self.find_unless::<Entries>(&key, before)?;
        self.set::<Entries>(&key, Some(*at))?;
        Ok(old)
    }

    fn entry(&self, log: &str, position: u64) -> Result<Option<Spot>, IndexError> {
        self.find::<Entries>(&entry_key(log, position))
    }

    fn remove_entry(&mut self, log: &str, position: u64) -> Result<(), IndexError> {
        self.set::<Entries>(&entry_key(log, position), None)
    }

    fn walk_records(
        &self,
        walk: Walk<'_>,
        mut visit: impl FnMut(&str, Spot) -> bool,
    ) -> Result<(), IndexError> {
        self.walk::<Records>(walk, |key, spot| Ok(visit(text(key)?, spot)))
    }

    fn saw_none(&self, walk: Walk<'_>) -> Result<(), IndexError> {
        match walk.low {
            Bound::Included(low) => self.see_gap(Bound::Excluded(low), Bound::Included(low)),
            Bound::Excluded(low) => self.see_gap(Bound::Included(low), Bound::Excluded(low)),
            Bound::Unbounded => Ok(()),
        }
    }

    fn walk_heads(
        &self,
        walk: Walk<'_>,
        mut visit: impl FnMut(&str, Head) -> bool,
    ) -> Result<(), IndexError> {
        self.walk::<Heads>(walk, |key, head| Ok(visit(text(key)?, head)))
    }

    fn walk_entries(
        &self,
        log: &str,
        from: u64,
        to: u64,
        mut visit: impl FnMut(u64, Spot) -> bool,
    ) -> Result<(), IndexError> {
        let (low, high) = (entry_key(log, from), entry_key(log, to));
        let walk = Walk {
            low: Bound::Included(&low),
            high: Bound::Excluded(&high),
            order: Order::Up,
        };
        self.walk::<Entries>(walk, |key, spot| {
            let position = key.last_chunk().ok_or(IndexError::Garbled)?;
            Ok(visit(u64::from_be_bytes(*position), spot))
        })
    }

    fn walk_all_entries(
        &self,
        after: Option<(&str, u64)>,
        mut visit: impl FnMut(&str, u64, Spot) -> bool,
    ) -> Result<(), IndexError> {
        let after = after.map(|(log, position)| entry_key(log, position));
        let walk = Walk {
            low: after.as_deref().map_or(Bound::Unbounded, Bound::Excluded),
            ..Walk::ALL
        };
        self.walk::<Entries>(walk, |key, spot| {
            let (log, position) = key.split_last_chunk().ok_or(IndexError::Garbled)?;
            let log = log.strip_suffix(&[ENTRY_SEPARATOR]).ok_or(IndexError::Garbled)?;
            Ok(visit(text(log)?, u64::from_be_bytes(*position), spot))
        })
    }

    fn bytes(&self) -> Result<u64, IndexError> {
        guarded(|| Ok(self.trees()?.db.size_on_disk()?))
    }

    fn admits(&self, _batch: &Batch, _growth: i64) -> Result<(), CommitError> {
        Ok(())
    }

    fn admits_truncation(&self, _log: &Stream) -> Result<(), CommitError> {
        Ok(())
    }

    fn fetch(shared: &Shared<Self>) -> LogFetch<'_> {
        let reader: &Reader = &shared.reader;
        LogFetch::of(reader)
    }

    fn entry_now(shared: &Shared<Self>, key: &Key) -> AtOnce<Option<Entry>> {
        super::now::entry(shared, key)
    }

    fn entries_now(shared: &Shared<Self>, keys: &[Key]) -> AtOnce<Vec<Option<Entry>>> {
        super::now::entries(shared, keys)
    }

    fn are_empty_now(shared: &Shared<Self>, pages: &[Page]) -> AtOnce<()> {
        super::now::are_empty(shared, pages)
    }

    fn settle(shared: &Shared<Self>, patience: Patience) -> io::Result<Settled> {
        let begin = || {
            let mut flush = None;
            shared
                .change_index(|index| {
                    flush = Some(index.flush()?);
                    Ok(())
                })
                .map_err(io::Error::other)?;
            flush.ok_or_else(|| io::Error::other("nothing to flush"))
        };
        shared.beside.go_on(begin, patience)
    }

    fn keep_up(shared: &Shared<Self>) -> Result<(), IndexError> {
        let mut too_far = Ok(None);
        // Nothing is held while it waits, so readers go on.
        shared.look_at_index(|index| too_far = index.ahead.too_far());
        too_far?.map_or(Ok(()), |(oldest, changes)| oldest.wait_for(changes))
    }

    fn abandon(shared: &Shared<Self>) {
        shared.beside.abandon();
    }

    fn sum(shared: &Shared<Self>) -> io::Result<u64> {
        shared.change_index(Self::note_down).map_err(io::Error::other)?;
        let path = shared.with_index(|index| Ok(index.place.path.clone()));
        super::sum::of(&path.map_err(io::Error::other)?)
    }

    /// Segments that go are kept open for who reads them.
    fn change_files(_flushing: &Flushing) {}
}

fn entry_key(log: &str, position: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(log.len() + 9);
    key.extend_from_slice(log.as_bytes());
    key.push(ENTRY_SEPARATOR);
    key.extend_from_slice(&position.to_be_bytes());
    key
}

fn text(key: &[u8]) -> Result<&str, IndexError> {
    std::str::from_utf8(key).map_err(|_| IndexError::Garbled)
}
