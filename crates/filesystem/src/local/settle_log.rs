//! Writing a log behind the commit log, as parts. The last part is written anew until it is full.

use std::io;

use super::beside::Round;
use super::index::{LocalIndex, LogState, PartState, Seat};
use super::part_file::{self, Of, Part, Slot};
use super::place;
use super::settle::{change, read_file, read_index, sync_folder, unfetched, write_file};
use crate::commit_log::FileLayer;
use crate::embedded::fetch::{Fetch, LogFetch};
use crate::embedded::shared::Shared;
use crate::embedded::spot::{Head, Spot};
use crate::{Key, Stream};

/// What is to be done with a log's parts.
#[derive(Debug)]
struct Plan {
    head: Head,
    /// Parts whose entries are partly dropped, or that have room for more: their position range that stays.
    anew: Vec<(u64, u64)>,
    /// Entries in the commit log alone.
    fresh: Vec<(u64, Spot)>,
    /// Parts that go, once the others are in place.
    obsolete: Vec<u64>,
}

/// Brings a log's parts to what the index says.
pub(super) fn write(shared: &Shared<LocalIndex>, log: &str, round: &mut Round) -> io::Result<()> {
    let planned = read_index(shared, |index| Ok(index.logs.get(log).and_then(plan)))?;
    let Some(mut plan) = planned else {
        return Ok(());
    };
    let mut parts: Vec<Part> = Vec::new();
    for (first, next) in std::mem::take(&mut plan.anew) {
        let from = first.max(plan.head.first);
        match kept_entries(&*shared.files, log, first, from, next)? {
            Some(part) => {
                if from != first {
                    plan.obsolete.push(first);
                }
                parts.push(part);
            }
            None => damaged(shared, log, first)?,
        }
    }
    add_fresh(shared, log, &plan, &mut parts)?;
    for part in parts {
        put(shared, round, log, of(&plan.head), part)?;
    }
    if plan.obsolete.is_empty() {
        return Ok(());
    }
    let folder = place::log(log);
    round.unsynced.insert(folder.clone());
    for first in &plan.obsolete {
        let _changing = shared.beside.change_files();
        match shared.files.remove(&place::part(log, *first)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        // Not before: one that could not be removed is to be removed the next time.
        change(shared, |index| {
            if let Some(state) = index.logs.get_mut(log) {
                state.parts.remove(first);
            }
        })?;
    }
    sync_folder(&*shared.files, round, &folder)
}

fn of(head: &Head) -> Of {
    Of {
        incarnation: head.incarnation,
        predecessor: head.predecessor,
    }
}

fn plan(state: &LogState) -> Option<Plan> {
    let head = state.head?;
    let last = state.parts.keys().next_back().copied();
    let mut plan = Plan {
        head,
        anew: Vec::new(),
        fresh: Vec::new(),
        obsolete: Vec::new(),
    };
    for (first, part) in &state.parts {
        if part.is_damaged {
            continue;
        }
        if part.next <= head.first && part.next > *first {
            plan.obsolete.push(*first);
        } else if *first < head.first && part.next <= *first {
            // An empty part told the head until now.
            plan.obsolete.push(*first);
        } else if *first < head.first || (Some(*first) == last && part.bytes < part_file::PART_BYTES as u64) {
            plan.anew.push((*first, part.next));
        }
    }
    plan.fresh = state
        .entries
        .iter()
        .filter_map(|(position, seat)| match seat {
            Seat::Log(spot) => Some((*position, *spot)),
            Seat::File { .. } | Seat::Part { .. } | Seat::Damaged => None,
        })
        .collect();
    Some(plan)
}

/// The entries of a part from a position on; none when its file cannot be read.
fn kept_entries(
    files: &dyn FileLayer,
    log: &str,
    first: u64,
    from: u64,
    next: u64,
) -> io::Result<Option<Part>> {
    let bytes = read_file(files, &place::part(log, first), part_file::FILE_MAX)?;
    let Some(bytes) = bytes else {
        return Ok(None);
    };
    let Some((_, slots)) = part_file::decode(log, &bytes).filter(|(line, _)| line.next == next) else {
        return Ok(None);
    };
    let mut part = Part::new(from);
    let dropped = usize::try_from(from - first).unwrap_or(usize::MAX);
    for Slot { version, at, len } in slots.into_iter().skip(dropped) {
        let at = at as usize;
        part.push(version, &bytes[at..at + len as usize]);
    }
    Ok(Some(part))
}

/// A part was edited by hand: it stays as it is, and what follows begins another.
fn damaged(shared: &Shared<LocalIndex>, log: &str, first: u64) -> io::Result<()> {
    shared.notice(format!(
        "{} cannot be read: its bytes are kept, its entries are corrupt",
        place::part(log, first)
    ));
    change(shared, |index| {
        let part = index
            .logs
            .get_mut(log)
            .and_then(|state| state.parts.get_mut(&first));
        if let Some(part) = part {
            part.is_damaged = true;
        }
    })
}

/// Adds what the commit log alone has. A log without any entry still has a part, which tells its head.
fn add_fresh(shared: &Shared<LocalIndex>, log: &str, plan: &Plan, parts: &mut Vec<Part>) -> io::Result<()> {
    let stream = Stream::new(Key::from_stored(log).map_err(io::Error::other)?);
    let mut fetch = LogFetch::of(&shared.reader);
    for (position, spot) in &plan.fresh {
        let logged = fetch.logged(&stream, *position, spot).map_err(unfetched)?;
        let extends = parts
            .last()
            .is_some_and(|part| part.next() == *position && !part.is_full());
        if !extends {
            parts.push(Part::new(*position));
        }
        if let Some(part) = parts.last_mut() {
            part.push(spot.version, &logged.entry);
        }
    }
    if plan.head.first == plan.head.next && parts.is_empty() {
        parts.push(Part::new(plan.head.first));
    }
    Ok(())
}

/// Puts a part in its place. The folder is synced before the next one follows: parts never have a gap.
fn put(shared: &Shared<LocalIndex>, round: &mut Round, log: &str, of: Of, part: Part) -> io::Result<()> {
    let (first, next) = (part.first, part.next());
    let (bytes, slots) = part.encode(log, of);
    let temporary = place::part_temporary(log, first);
    write_file(shared, round, &temporary, &bytes)?;
    let folder = place::log(log);
    round.unsynced.insert(folder.clone());
    let changing = shared.beside.change_files();
    shared.files.rename(&temporary, &place::part(log, first))?;
    change(shared, |index| {
        let Some(state) = index.logs.get_mut(log) else {
            return;
        };
        let part = PartState {
            next,
            bytes: bytes.len() as u64,
            is_damaged: false,
        };
        state.parts.insert(first, part);
        for (position, slot) in (first..).zip(slots) {
            // One dropped meanwhile stays dropped.
            if state.entries.contains_key(&position) {
                state.put(position, seat(first, slot));
            }
        }
    })?;
    drop(changing);
    sync_folder(&*shared.files, round, &folder)
}

/// Where an entry lies.
pub(super) fn seat(first: u64, Slot { version, at, len }: Slot) -> Seat {
    Seat::Part {
        first,
        version,
        at,
        len,
    }
}
