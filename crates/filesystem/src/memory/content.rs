//! What a memory store holds, changed only by whole batches that were judged.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::log::{Log, check_after, check_before};
use crate::filling::{Filling, entry_bytes};
use crate::judge::judge;
use crate::{
    Append, Batch, Begin, CommitError, Committed, Entry, Item, Key, Listed, LogError, LogHead, Logged, Order,
    Page, Position, Prefix, Put, ReadError, Stream, Version, Want,
};

/// Records and logs in order, and the version of the next commit.
#[derive(Debug)]
pub(super) struct Content {
    records: BTreeMap<Key, Entry>,
    logs: BTreeMap<Key, Log>,
    next: Version,
}

impl Content {
    pub(super) fn from_floor(floor: Version) -> Self {
        Self {
            records: BTreeMap::new(),
            logs: BTreeMap::new(),
            next: floor,
        }
    }

    pub(super) fn get(&self, key: &Key) -> Option<Entry> {
        self.records.get(key).cloned()
    }

    /// Judges the batch and, if all of it holds, does all of it.
    pub(super) fn commit(&mut self, batch: Batch) -> Result<Committed, CommitError> {
        let version_of = |key: &Key| self.records.get(key).map(|entry| entry.version);
        judge(&batch, version_of, |log| self.head(log).incarnation)?;
        if !batch.writes() {
            return Ok(Committed {
                version: None,
                positions: Vec::new(),
            });
        }
        let version = self.next;
        self.next = version.next();
        for delete in &batch.deletes {
            self.records.remove(&delete.key);
        }
        for put in batch.puts {
            self.put(put, version);
        }
        for begin in batch.begins {
            let Begin {
                log,
                first,
                predecessor,
            } = begin;
            self.logs
                .insert(log.key().clone(), Log::begun_at(version, first, predecessor));
        }
        Ok(Committed {
            version: Some(version),
            positions: self.append(batch.appends, version),
        })
    }

    fn put(&mut self, put: Put, version: Version) {
        let Put { key, kind, value, .. } = put;
        let entry = Entry {
            key: key.clone(),
            value,
            version,
            kind,
        };
        self.records.insert(key, entry);
    }

    fn append(&mut self, appends: Vec<Append>, version: Version) -> Vec<(Stream, Position)> {
        let mut positions: Vec<(Stream, Position)> = Vec::new();
        for Append { log, entry } in appends {
            let position = self
                .logs
                .entry(log.key().clone())
                .or_insert_with(|| Log::begun(version))
                .append(version, entry);
            if positions.iter().all(|(named, _)| *named != log) {
                positions.push((log, position));
            }
        }
        positions
    }

    pub(super) fn list(&self, page: &Page) -> Result<Listed, ReadError> {
        let filling = Filling::of(page.limit)?;
        let (start, end) = page.prefix.range();
        let mut low = Bound::Included(start.as_str());
        let mut high = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let after = page.after.as_ref().map(Key::stored);
        match (page.order, after) {
            (Order::Up, Some(after)) if after >= start.as_str() => low = Bound::Excluded(after),
            (Order::Down, Some(after)) if end.as_deref().is_none_or(|end| after < end) => {
                high = Bound::Excluded(after);
            }
            (Order::Up | Order::Down, _) => {}
        }
        if is_nothing(low, high) {
            return Ok(Listed::default());
        }
        let entries = self.records.range::<str, _>((low, high)).map(|(_, entry)| entry);
        Ok(match page.order {
            Order::Up => fill(entries, filling, page.want),
            Order::Down => fill(entries.rev(), filling, page.want),
        })
    }

    pub(super) fn head(&self, log: &Stream) -> LogHead {
        self.logs.get(log.key()).map_or(LogHead::NONE, Log::head)
    }

    pub(super) fn tail(&self, log: &Stream, after: Position, limit: usize) -> Result<Vec<Logged>, LogError> {
        let filling = Filling::of(limit)?;
        check_after(&self.head(log), after)?;
        Ok(self
            .logs
            .get(log.key())
            .map_or_else(Vec::new, |log| log.tail(after, filling)))
    }

    pub(super) fn heads(
        &self,
        under: &Prefix,
        after: Option<&Stream>,
        limit: usize,
    ) -> Result<Vec<(Stream, LogHead)>, ReadError> {
        let mut filling = Filling::of(limit)?;
        let (start, end) = under.range();
        let low = match after.map(|after| after.key().stored()) {
            Some(after) if after >= start.as_str() => Bound::Excluded(after),
            Some(_) | None => Bound::Included(start.as_str()),
        };
        let high = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        if is_nothing(low, high) {
            return Ok(Vec::new());
        }
        Ok(self
            .logs
            .range::<str, _>((low, high))
            .take_while(|(name, _)| filling.takes(name.stored().len()))
            .map(|(name, log)| (Stream::new(name.clone()), log.head()))
            .collect())
    }

    pub(super) fn truncate(&mut self, log: &Stream, before: Position) -> Result<Position, LogError> {
        check_before(&self.head(log), before)?;
        if let Some(log) = self.logs.get_mut(log.key()) {
            log.truncate(before);
        }
        Ok(self.head(log).first)
    }

    /// All that is below a prefix, as it is now. Values are shared, not copied.
    pub(super) fn below(&self, prefix: &Prefix) -> Taken {
        let (start, end) = prefix.range();
        let low = Bound::Included(start.as_str());
        let high = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        Taken {
            version: Version::new(self.next.get() - 1),
            records: self
                .records
                .range::<str, _>((low, high))
                .map(|(_, entry)| entry.clone())
                .collect(),
            logs: self
                .logs
                .range::<str, _>((low, high))
                .map(|(name, log)| (Stream::new(name.clone()), log.clone()))
                .collect(),
        }
    }

    /// Bytes of keys, kinds, values and log entries.
    pub(super) fn bytes(&self) -> u64 {
        let records: usize = self.records.values().map(entry_bytes).sum();
        records as u64 + self.logs.values().map(|log| log.head().bytes).sum::<u64>()
    }
}

/// What was there at one point.
#[derive(Debug)]
pub(super) struct Taken {
    /// The highest version given out before it.
    pub(super) version: Version,
    pub(super) records: Vec<Entry>,
    pub(super) logs: Vec<(Stream, Log)>,
}

/// An ordered map panics when asked for a range that ends before it begins.
fn is_nothing(low: Bound<&str>, high: Bound<&str>) -> bool {
    match (low, high) {
        (Bound::Included(low), Bound::Excluded(high)) => low >= high,
        (Bound::Excluded(low), Bound::Excluded(high)) => low >= high,
        _ => false,
    }
}

fn fill<'a>(entries: impl Iterator<Item = &'a Entry>, mut filling: Filling, want: Want) -> Listed {
    let mut items = Vec::new();
    for entry in entries {
        let (item, bytes) = match want {
            Want::Entries => (Item::Entry(entry.clone()), entry_bytes(entry)),
            Want::Keys => (key_of(entry), entry.key.stored().len()),
        };
        if !filling.takes(bytes) {
            let next = items.last().map(|item: &Item| item.key().clone());
            return Listed { items, next };
        }
        items.push(item);
    }
    Listed { items, next: None }
}

fn key_of(entry: &Entry) -> Item {
    Item::Key {
        key: entry.key.clone(),
        version: entry.version,
    }
}
