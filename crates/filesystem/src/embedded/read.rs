//! Reading: places from the index at one read point, then values from where they lie. Blocking; run on a reader thread.

use std::ops::Bound;

use super::fetch::{Fetch, Unfetched};
use super::index::{Index, Spotted, Walk};
use super::shared::Shared;
use super::spot::Head;
use crate::filling::Filling;
use crate::{
    Entry, Item, Key, Listed, LogError, LogHead, Logged, Order, Page, Position, Prefix, ReadError, Stream,
    Version, Want,
};

pub(crate) fn get<I: Index>(shared: &Shared<I>, key: &Key) -> Result<Option<Entry>, ReadError> {
    let mut fetch = I::fetch(shared);
    let Some(spot) = shared.with_index(|index| index.looked_for(key.stored()))? else {
        return Ok(None);
    };
    fetch.entry(key, &spot).map(Some).map_err(|why| why.of(key))
}

pub(crate) fn get_many<I: Index>(shared: &Shared<I>, keys: &[Key]) -> Result<Vec<Option<Entry>>, ReadError> {
    let mut fetch = I::fetch(shared);
    let spots: Vec<Option<I::Spot>> =
        shared.with_index(|index| keys.iter().map(|key| index.looked_for(key.stored())).collect())?;
    let found = keys.iter().zip(spots).map(|(key, spot)| {
        let entry = spot.map(|spot| fetch.entry(key, &spot).map_err(|why| why.of(key)));
        entry.transpose()
    });
    found.collect()
}

pub(crate) fn list<I: Index>(shared: &Shared<I>, page: &Page) -> Result<Listed, ReadError> {
    let mut fetch = I::fetch(shared);
    let (spots, has_more) = find(shared, page)?;
    let next = spots.last().filter(|_| has_more).map(|(key, _)| key.clone());
    let items = spots.into_iter().map(|(key, spot)| match page.want {
        Want::Keys if spot.version() == 0 => Ok(Item::Corrupt { key }),
        Want::Keys => Ok(Item::Key {
            key,
            version: Version::new(spot.version()),
        }),
        Want::Entries => match fetch.entry(&key, &spot) {
            Ok(entry) => Ok(Item::Entry(entry)),
            Err(Unfetched::Corrupt) => Ok(Item::Corrupt { key }),
            // A disk that did not answer says nothing about the row.
            Err(why @ Unfetched::Io(_)) => Err(why.of(&key)),
        },
    });
    Ok(Listed {
        items: items.collect::<Result<_, _>>()?,
        next,
    })
}

/// The keys of a page with where their records lie, and whether more follow.
type Spots<S> = (Vec<(Key, S)>, bool);

fn find<I: Index>(shared: &Shared<I>, page: &Page) -> Result<Spots<I::Spot>, ReadError> {
    let mut filling = Filling::of(page.limit)?;
    let mut spots = Vec::new();
    let mut has_more = false;
    let mut show = |index: &I, walk: Walk<'_>| {
        index.walk_records(walk, |stored, spot| {
            // A key that is none was never written; the digest of the index finds it, a page passes over it.
            let Ok(key) = Key::from_stored(stored) else {
                return true;
            };
            let weight = match page.want {
                Want::Entries => stored.len() + spot.weight(),
                Want::Keys => stored.len(),
            };
            has_more = !filling.takes(weight);
            if !has_more {
                spots.push((key, spot));
            }
            !has_more
        })?;
        match spots.is_empty() && !has_more {
            true => index.saw_none(walk),
            false => Ok(()),
        }
    };
    shared.with_index(|index| with_walk(page, |walk| show(index, walk)))?;
    Ok((spots, has_more))
}

/// What a page is about.
pub(crate) fn with_walk<T>(page: &Page, of: impl FnOnce(Walk<'_>) -> T) -> T {
    let (start, end) = page.prefix.range();
    of(walk(&start, end.as_deref(), page.after.as_ref(), page.order))
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

pub(crate) fn head<I: Index>(shared: &Shared<I>, log: &Stream) -> Result<LogHead, ReadError> {
    let head = shared.with_index(|index| index.head(log.key().stored()))?;
    Ok(head.map_or(LogHead::NONE, LogHead::from))
}

pub(crate) fn heads<I: Index>(
    shared: &Shared<I>,
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

pub(crate) fn tail<I: Index>(
    shared: &Shared<I>,
    log: &Stream,
    after: Position,
    limit: usize,
) -> Result<Vec<Logged>, LogError> {
    let mut filling = Filling::of(limit)?;
    let mut fetch = I::fetch(shared);
    let stored = log.key().stored();
    let mut spots = Vec::new();
    let mut is_lost = false;
    let head = shared.with_index(|index| {
        let head = index.head(stored)?;
        if let Some(head) = head.filter(|head| is_among(head, after)) {
            let mut next = after.get() + 1;
            index.walk_entries(stored, next, head.next, |position, spot| {
                // Nothing is passed over: an entry that is not there was lost, and is told when it is asked for.
                let takes = position == next && filling.takes(spot.weight());
                if takes {
                    spots.push((position, spot));
                    next += 1;
                }
                takes
            })?;
            is_lost = spots.is_empty() && next < head.next;
        }
        Ok(head)
    })?;
    if is_lost {
        return Err(ReadError::Corrupt {
            key: log.key().clone(),
        }
        .into());
    }
    let head = head.unwrap_or(Head::begun(0));
    if !is_among(&head, after) {
        return Err(LogError::ReplayGap {
            first: Position::new(head.first),
            next: Position::new(head.next),
        });
    }
    let entries = spots.into_iter().map(|(position, spot)| {
        let logged = fetch.logged(log, position, &spot);
        logged.map_err(|why| LogError::Read(why.of(log.key())))
    });
    entries.collect()
}

/// Whether a reader that has seen up to `after` can go on: `first − 1 ≤ after < next`.
fn is_among(head: &Head, after: Position) -> bool {
    after.get() < head.next && after.get() + 1 >= head.first
}
