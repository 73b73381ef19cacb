//! Reading: places from the index at one read point, then values from the log. Blocking; run on a reader thread.

use std::ops::Bound;

use bytes::Bytes;

use super::index::Walk;
use super::shared::Shared;
use super::spot::{Head, Spot};
use crate::commit_log::Place;
use crate::commit_log::frame::{Frame, Operation};
use crate::filling::Filling;
use crate::{
    Entry, Item, Key, Listed, LogError, LogHead, Logged, Order, Page, Position, Prefix, ReadError,
    RecordKind, Stream, Version, Want,
};

/// Reads frames, keeping the last: neighbours in a page often lie in one.
struct Fetch<'a> {
    shared: &'a Shared,
    buffer: Vec<u8>,
    loaded: Option<Place>,
}

/// Why an item was not fetched.
enum Unfetched {
    Corrupt,
    Io(std::io::Error),
}

impl<'a> Fetch<'a> {
    fn of(shared: &'a Shared) -> Self {
        Self {
            shared,
            buffer: Vec::new(),
            loaded: None,
        }
    }

    /// The operation at a spot, if its frame, checksum and version are what the index says.
    fn operation(&mut self, spot: &Spot) -> Result<Operation<'_>, Unfetched> {
        self.load(spot.place)?;
        let frame = Frame::verified(&self.buffer).ok_or(Unfetched::Corrupt)?;
        if frame.header().version != spot.version {
            return Err(Unfetched::Corrupt);
        }
        frame.operation(spot.at as usize).ok_or(Unfetched::Corrupt)
    }

    fn load(&mut self, place: Place) -> Result<(), Unfetched> {
        if self.loaded == Some(place) {
            return Ok(());
        }
        self.loaded = None;
        let reader = &self.shared.reader;
        let is_there = reader.read(place, &mut self.buffer).map_err(Unfetched::Io)?;
        if !is_there || reader.verify(place, &self.buffer).is_none() {
            return Err(Unfetched::Corrupt);
        }
        self.loaded = Some(place);
        Ok(())
    }

    fn entry(&mut self, key: &Key, spot: &Spot) -> Result<Entry, Unfetched> {
        match self.operation(spot)? {
            Operation::Put {
                key: found,
                kind,
                value,
                ..
            } if found == key.stored() => Ok(Entry {
                key: key.clone(),
                value: Bytes::copy_from_slice(value),
                version: Version::new(spot.version),
                kind: RecordKind::parse(kind).ok_or(Unfetched::Corrupt)?,
            }),
            _ => Err(Unfetched::Corrupt),
        }
    }

    fn logged(&mut self, log: &Stream, at: u64, spot: &Spot) -> Result<Logged, Unfetched> {
        match self.operation(spot)? {
            Operation::Append {
                log: found,
                position,
                entry,
            } if found == log.key().stored() && position == at => Ok(Logged {
                position: Position::new(position),
                version: Version::new(spot.version),
                entry: Bytes::copy_from_slice(entry),
            }),
            _ => Err(Unfetched::Corrupt),
        }
    }
}

fn unread(key: &Key, why: Unfetched) -> ReadError {
    match why {
        Unfetched::Corrupt => ReadError::Corrupt { key: key.clone() },
        Unfetched::Io(error) => ReadError::Unavailable {
            reason: "reading the log",
            source: Some(Box::new(error)),
        },
    }
}

pub(super) fn get(shared: &Shared, key: &Key) -> Result<Option<Entry>, ReadError> {
    let Some(spot) = shared.with_index(|index| index.record(key.stored()))? else {
        return Ok(None);
    };
    let entry = Fetch::of(shared)
        .entry(key, &spot)
        .map_err(|why| unread(key, why))?;
    Ok(Some(entry))
}

pub(super) fn get_many(shared: &Shared, keys: &[Key]) -> Result<Vec<Option<Entry>>, ReadError> {
    let spots: Vec<Option<Spot>> =
        shared.with_index(|index| keys.iter().map(|key| index.record(key.stored())).collect())?;
    let mut fetch = Fetch::of(shared);
    let found = keys.iter().zip(spots).map(|(key, spot)| {
        let entry = spot.map(|spot| fetch.entry(key, &spot).map_err(|why| unread(key, why)));
        entry.transpose()
    });
    found.collect()
}

pub(super) fn list(shared: &Shared, page: &Page) -> Result<Listed, ReadError> {
    let (spots, has_more) = find(shared, page)?;
    let next = spots.last().filter(|_| has_more).map(|(key, _)| key.clone());
    let mut fetch = Fetch::of(shared);
    let items = spots.into_iter().map(|(key, spot)| match page.want {
        Want::Keys => Ok(Item::Key {
            key,
            version: Version::new(spot.version),
        }),
        Want::Entries => match fetch.entry(&key, &spot) {
            Ok(entry) => Ok(Item::Entry(entry)),
            Err(Unfetched::Corrupt) => Ok(Item::Corrupt { key }),
            // A disk that did not answer says nothing about the row.
            Err(why @ Unfetched::Io(_)) => Err(unread(&key, why)),
        },
    });
    Ok(Listed {
        items: items.collect::<Result<_, _>>()?,
        next,
    })
}

/// The page's keys and places, and whether more follow.
fn find(shared: &Shared, page: &Page) -> Result<(Vec<(Key, Spot)>, bool), ReadError> {
    let mut filling = Filling::of(page.limit)?;
    let (start, end) = page.prefix.range();
    let walk = walk(&start, end.as_deref(), page.after.as_ref(), page.order);
    let mut spots = Vec::new();
    let mut has_more = false;
    shared.with_index(|index| {
        index.walk_records(walk, |stored, spot| {
            // A key that is none was never written; the digest of the index finds it, a page passes over it.
            let Ok(key) = Key::from_stored(stored) else {
                return true;
            };
            let weight = match page.want {
                Want::Entries => stored.len() + spot.weight as usize,
                Want::Keys => stored.len(),
            };
            has_more = !filling.takes(weight);
            if !has_more {
                spots.push((key, spot));
            }
            !has_more
        })
    })?;
    Ok((spots, has_more))
}

fn walk<'a>(start: &'a str, end: Option<&'a str>, after: Option<&'a Key>, order: Order) -> Walk<'a> {
    let mut low = Bound::Included(start.as_bytes());
    let mut high = end.map_or(Bound::Unbounded, |end| Bound::Excluded(end.as_bytes()));
    match (order, after.map(Key::stored)) {
        (Order::Up, Some(after)) if after >= start => low = Bound::Excluded(after.as_bytes()),
        (Order::Down, Some(after)) if end.is_none_or(|end| after < end) => {
            high = Bound::Excluded(after.as_bytes());
        }
        (Order::Up | Order::Down, _) => {}
    }
    Walk { low, high, order }
}

pub(super) fn head(shared: &Shared, log: &Stream) -> Result<LogHead, ReadError> {
    let head = shared.with_index(|index| index.head(log.key().stored()))?;
    Ok(head.map_or(LogHead::NONE, LogHead::from))
}

pub(super) fn heads(
    shared: &Shared,
    under: &Prefix,
    after: Option<&Stream>,
    limit: usize,
) -> Result<Vec<(Stream, LogHead)>, ReadError> {
    let mut filling = Filling::of(limit)?;
    let (start, end) = under.range();
    let walk = walk(&start, end.as_deref(), after.map(Stream::key), Order::Up);
    let mut found: Vec<(Stream, LogHead)> = Vec::new();
    shared.with_index(|index| {
        index.walk_heads(walk, |stored, head| {
            let takes = filling.takes(stored.len());
            if let (true, Ok(key)) = (takes, Key::from_stored(stored)) {
                found.push((Stream::new(key), head.into()));
            }
            takes
        })
    })?;
    Ok(found)
}

pub(super) fn tail(
    shared: &Shared,
    log: &Stream,
    after: Position,
    limit: usize,
) -> Result<Vec<Logged>, LogError> {
    let mut filling = Filling::of(limit)?;
    let stored = log.key().stored();
    let mut spots = Vec::new();
    let head = shared.with_index(|index| {
        let head = index.head(stored)?;
        if let Some(head) = head.filter(|head| is_among(head, after)) {
            index.walk_entries(stored, after.get() + 1, head.next, |position, spot| {
                let takes = filling.takes(spot.weight as usize);
                if takes {
                    spots.push((position, spot));
                }
                takes
            })?;
        }
        Ok(head)
    })?;
    let head = head.unwrap_or(Head::begun(0));
    if !is_among(&head, after) {
        return Err(LogError::ReplayGap {
            first: Position::new(head.first),
            next: Position::new(head.next),
        });
    }
    let mut fetch = Fetch::of(shared);
    let entries = spots.into_iter().map(|(position, spot)| {
        let logged = fetch.logged(log, position, &spot);
        logged.map_err(|why| LogError::Read(unread(log.key(), why)))
    });
    entries.collect()
}

/// Whether a reader that has seen up to `after` can go on: `first − 1 ≤ after < next`.
fn is_among(head: &Head, after: Position) -> bool {
    after.get() < head.next && after.get() + 1 >= head.first
}
