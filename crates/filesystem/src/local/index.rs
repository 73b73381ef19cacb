//! The index of a local store: in memory, since a small store has few records. The files are what it is made from.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::ops::Bound;
use std::sync::{Arc, RwLockWriteGuard};
use std::time::Duration;

use super::beside::Beside;
use super::fetch::LocalFetch;
use super::settle;
use super::{LOCAL_RECORDS_MAX, place, record_file};
use crate::commit_log::FileLayer;
use crate::embedded::index::{Before, Index, IndexError, Patience, Settled, Spotted, Walk};
use crate::embedded::shared::Shared;
use crate::embedded::spot::{Head, Spot};
use crate::{Batch, CommitError, Expected, Key, Order, Stream};

/// Where an item lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seat {
    /// In the commit log; not yet behind it.
    Log(Spot),
    /// A record in its file, as its first line says.
    File { version: u64, weight: u32, crc: u32 },
    /// A log's entry in a part that begins at this position.
    Part {
        first: u64,
        version: u64,
        at: u32,
        len: u32,
    },
    /// It is there and cannot be read.
    Damaged,
}

impl Spotted for Seat {
    fn version(&self) -> u64 {
        match self {
            Self::Log(spot) => spot.version,
            Self::File { version, .. } | Self::Part { version, .. } => *version,
            Self::Damaged => 0,
        }
    }

    fn weight(&self) -> usize {
        match self {
            Self::Log(spot) => spot.weight as usize,
            Self::File { weight, .. } => *weight as usize,
            Self::Part { len, .. } => *len as usize,
            Self::Damaged => 0,
        }
    }

    fn in_log(&self) -> Option<Spot> {
        match self {
            Self::Log(spot) => Some(*spot),
            Self::File { .. } | Self::Part { .. } | Self::Damaged => None,
        }
    }
}

/// A log.
#[derive(Debug, Default)]
pub(super) struct LogState {
    pub(super) head: Option<Head>,
    pub(super) entries: BTreeMap<u64, Seat>,
    /// Bytes of the entries.
    bytes: u64,
    /// Its parts behind the commit log: the position behind the last entry, by that of the first.
    pub(super) parts: BTreeMap<u64, PartState>,
}

/// A part of a log behind the commit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PartState {
    pub(super) next: u64,
    /// Bytes of its file.
    pub(super) bytes: u64,
    /// Its bytes are kept as they are.
    pub(super) is_damaged: bool,
}

impl LogState {
    pub(super) fn put(&mut self, position: u64, seat: Seat) -> Option<Seat> {
        let old = self.entries.insert(position, seat);
        self.bytes += seat.weight() as u64;
        self.bytes -= old.map_or(0, |old| old.weight() as u64);
        old
    }
}

/// Which bytes of a record, or their absence, an operator took as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accepted {
    Bytes { crc: u32 },
    Absence,
}

/// All that a local store has.
#[derive(Debug)]
pub(super) struct LocalIndex {
    pub(super) files: Arc<dyn FileLayer>,
    pub(super) records: BTreeMap<String, Seat>,
    pub(super) logs: BTreeMap<String, LogState>,
    /// What is not yet behind the commit log.
    changed_records: BTreeSet<String>,
    changed_logs: BTreeSet<String>,
    /// Folders whose names were changed by a life before this one, which may have ended before it synced them.
    pub(super) unsynced: BTreeSet<String>,
    pub(super) accepted: HashMap<String, Accepted>,
}

impl LocalIndex {
    /// One of a store without anything.
    pub(super) fn new(files: Arc<dyn FileLayer>) -> Self {
        Self {
            files,
            records: BTreeMap::new(),
            logs: BTreeMap::new(),
            changed_records: BTreeSet::new(),
            changed_logs: BTreeSet::new(),
            unsynced: BTreeSet::new(),
            accepted: HashMap::new(),
        }
    }

    /// Takes the names of what is not yet behind the commit log: of records, and of logs.
    pub(super) fn take_changed(&mut self) -> (Vec<String>, Vec<String>) {
        let records = std::mem::take(&mut self.changed_records);
        let logs = std::mem::take(&mut self.changed_logs);
        (records.into_iter().collect(), logs.into_iter().collect())
    }

    /// Takes them back: they are still not behind it.
    pub(super) fn put_back(&mut self, records: Vec<String>, logs: Vec<String>) {
        self.changed_records.extend(records);
        self.changed_logs.extend(logs);
    }

    /// Whether something is to be done until all of it is behind the log.
    pub(super) fn has_changed(&self) -> bool {
        !self.changed_records.is_empty() || !self.changed_logs.is_empty() || !self.unsynced.is_empty()
    }

    /// Whether the file of a record may be replaced: unread bytes never are.
    fn check_replaceable(&self, key: &Key) -> Result<(), CommitError> {
        let stored = key.stored();
        let corrupt = || CommitError::Corrupt { key: key.clone() };
        let (version, crc) = match self.records.get(stored) {
            None | Some(Seat::Log(_)) => return Ok(()),
            Some(Seat::File { version, crc, .. }) => (*version, *crc),
            Some(Seat::Part { .. } | Seat::Damaged) => (0, 0),
        };
        let bytes = match settle::read_file(&*self.files, &place::record(stored), record_file::FILE_MAX) {
            Ok(bytes) => bytes,
            Err(error) => {
                return Err(CommitError::Unavailable {
                    source: Some(Box::new(error)),
                });
            }
        };
        let line = bytes
            .as_ref()
            .and_then(|bytes| record_file::decode(stored, bytes));
        let is_known = line.is_some_and(|line| (line.version, line.crc) == (version, crc));
        if is_known || self.is_accepted(stored, bytes.as_deref()) {
            Ok(())
        } else {
            Err(corrupt())
        }
    }

    /// Whether an operator took these bytes of a record, or their absence, as they are.
    pub(super) fn is_accepted(&self, key: &str, bytes: Option<&[u8]>) -> bool {
        match (self.accepted.get(key), bytes) {
            (Some(Accepted::Bytes { crc }), Some(bytes)) => *crc == crc32c::crc32c(bytes),
            (Some(Accepted::Absence), None) => true,
            _ => false,
        }
    }

    fn log(&mut self, log: &str) -> &mut LogState {
        if !self.logs.contains_key(log) {
            self.logs.insert(log.to_owned(), LogState::default());
        }
        self.logs.get_mut(log).expect("it was inserted a moment ago")
    }
}

impl Index for LocalIndex {
    type Spot = Seat;
    type Beside = Beside;
    type Fetch<'a> = LocalFetch<'a>;
    type Changing<'a> = RwLockWriteGuard<'a, ()>;
    const BACKEND: &'static str = "local";
    const BETWEEN_STEPS: Duration = Duration::ZERO;
    const REPLACES_FILES: bool = true;

    fn record(&self, key: &str) -> Result<Option<Seat>, IndexError> {
        Ok(self.records.get(key).copied())
    }

    fn put_record(&mut self, key: &str, spot: &Spot, _before: Before) -> Result<Option<Seat>, IndexError> {
        self.changed_records.insert(key.to_owned());
        Ok(self.records.insert(key.to_owned(), Seat::Log(*spot)))
    }

    fn remove_record(&mut self, key: &str) -> Result<Option<Seat>, IndexError> {
        self.changed_records.insert(key.to_owned());
        Ok(self.records.remove(key))
    }

    fn head(&self, log: &str) -> Result<Option<Head>, IndexError> {
        Ok(self.logs.get(log).and_then(|state| state.head))
    }

    fn put_head(&mut self, log: &str, head: &Head) -> Result<bool, IndexError> {
        let state = self.log(log);
        // Counted here: what is found in files may be ahead of what is replayed.
        let old = state.head.replace(Head {
            bytes: state.bytes,
            ..*head
        });
        self.changed_logs.insert(log.to_owned());
        Ok(old.is_none())
    }

    fn put_entry(
        &mut self,
        log: &str,
        position: u64,
        spot: &Spot,
        _before: Before,
    ) -> Result<Option<Seat>, IndexError> {
        Ok(self.log(log).put(position, Seat::Log(*spot)))
    }

    fn entry(&self, log: &str, position: u64) -> Result<Option<Seat>, IndexError> {
        Ok(self
            .logs
            .get(log)
            .and_then(|state| state.entries.get(&position).copied()))
    }

    fn remove_entry(&mut self, log: &str, position: u64) -> Result<(), IndexError> {
        let state = self.log(log);
        let old = state.entries.remove(&position);
        state.bytes -= old.map_or(0, |old| old.weight() as u64);
        Ok(())
    }

    fn walk_records(&self, walk: Walk<'_>, visit: impl FnMut(&str, Seat) -> bool) -> Result<(), IndexError> {
        each(&self.records, walk, |seat| Some(*seat), visit)
    }

    fn walk_heads(&self, walk: Walk<'_>, visit: impl FnMut(&str, Head) -> bool) -> Result<(), IndexError> {
        each(&self.logs, walk, |state| state.head, visit)
    }

    fn walk_entries(
        &self,
        log: &str,
        from: u64,
        to: u64,
        mut visit: impl FnMut(u64, Seat) -> bool,
    ) -> Result<(), IndexError> {
        let Some(state) = self.logs.get(log).filter(|_| from < to) else {
            return Ok(());
        };
        for (position, seat) in state.entries.range(from..to) {
            if !visit(*position, *seat) {
                break;
            }
        }
        Ok(())
    }

    fn walk_all_entries(
        &self,
        after: Option<(&str, u64)>,
        mut visit: impl FnMut(&str, u64, Seat) -> bool,
    ) -> Result<(), IndexError> {
        for (log, state) in &self.logs {
            for (position, seat) in &state.entries {
                let is_behind = after.is_none_or(|after| (log.as_str(), *position) > after);
                if is_behind && !visit(log, *position, *seat) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The log is never behind: what is replayed twice is the same.
    fn begin(&mut self, _version: u64) -> Result<(), IndexError> {
        Ok(())
    }

    fn bytes(&self) -> Result<u64, IndexError> {
        let records = self.records.values().filter_map(|seat| match seat {
            Seat::File { weight, .. } => Some(u64::from(*weight)),
            Seat::Log(_) | Seat::Part { .. } | Seat::Damaged => None,
        });
        let parts = self.logs.values().flat_map(|state| state.parts.values());
        Ok(records.sum::<u64>() + parts.map(|part| part.bytes).sum::<u64>())
    }

    fn admits(&self, batch: &Batch, growth: i64) -> Result<(), CommitError> {
        let creates = batch.puts.iter().filter(|put| put.expected == Expected::Absent);
        let creates = i64::try_from(creates.count()).unwrap_or(i64::MAX);
        let deletes = i64::try_from(batch.deletes.len()).unwrap_or(0);
        let records = i64::try_from(self.records.len()).unwrap_or(i64::MAX) + growth + creates - deletes;
        if creates > 0 && records > LOCAL_RECORDS_MAX as i64 {
            return Err(CommitError::TooLarge {
                limit: "LOCAL_RECORDS_MAX (100,000 records in a local store); the sled backend holds more",
            });
        }
        let is_unreadable =
            |key: &Key| matches!(self.records.get(key.stored()), Some(seat) if seat.version() == 0);
        for (key, _) in batch.keys() {
            if is_unreadable(key) && !self.accepted.contains_key(key.stored()) {
                return Err(CommitError::Corrupt { key: key.clone() });
            }
        }
        let puts = batch.puts.iter().map(|put| &put.key);
        let mut written = puts.chain(batch.deletes.iter().map(|delete| &delete.key));
        written.try_for_each(|key| self.check_replaceable(key))
    }

    fn admits_truncation(&self, log: &Stream) -> Result<(), CommitError> {
        let state = self.logs.get(log.key().stored());
        let is_damaged = state.is_some_and(|state| state.parts.values().any(|part| part.is_damaged));
        if is_damaged {
            return Err(CommitError::Corrupt {
                key: log.key().clone(),
            });
        }
        Ok(())
    }

    fn fetch(shared: &Shared<Self>) -> LocalFetch<'_> {
        LocalFetch::of(shared)
    }

    fn settle(shared: &Shared<Self>, _patience: Patience) -> io::Result<Settled> {
        settle::settle(shared)
    }

    /// Each step ends with the call.
    fn abandon(_shared: &Shared<Self>) {}

    /// Files are what it has.
    fn sum(_shared: &Shared<Self>) -> io::Result<u64> {
        Ok(0)
    }

    fn change_files(beside: &Beside) -> RwLockWriteGuard<'_, ()> {
        beside.change_files()
    }
}

/// Shows what a map has in a range, in order, until told to stop.
fn each<T, S>(
    map: &BTreeMap<String, T>,
    walk: Walk<'_>,
    seat: impl Fn(&T) -> Option<S>,
    mut visit: impl FnMut(&str, S) -> bool,
) -> Result<(), IndexError> {
    if walk.is_nothing() {
        return Ok(());
    }
    let mut items = map.range::<str, _>((text(walk.low)?, text(walk.high)?));
    loop {
        let item = match walk.order {
            Order::Up => items.next(),
            Order::Down => items.next_back(),
        };
        let Some((key, value)) = item else {
            return Ok(());
        };
        if let Some(seat) = seat(value)
            && !visit(key, seat)
        {
            return Ok(());
        }
    }
}

fn text(bound: Bound<&[u8]>) -> Result<Bound<&str>, IndexError> {
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| IndexError::Garbled);
    Ok(match bound {
        Bound::Included(bytes) => Bound::Included(text(bytes)?),
        Bound::Excluded(bytes) => Bound::Excluded(text(bytes)?),
        Bound::Unbounded => Bound::Unbounded,
    })
}
