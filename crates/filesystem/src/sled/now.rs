//! Reading by who asks, without a thread for it: what is known to lie somewhere, and can be had without waiting for a disk
//! or for anybody, and what is known to be nowhere.

use super::index::Index;
use super::known::Lying;
use crate::commit_log::Place;
use crate::commit_log::frame::Frame;
use crate::embedded::fetch::entry_of;
use crate::embedded::index::AtOnce;
use crate::embedded::read::with_walk;
use crate::embedded::shared::Shared;
use crate::{Entry, Key, Page};

/// Most bytes of frames that are read so: more take their time, and a thread that has it.
const BYTES_MAX: usize = 128 * 1024;
/// Most records that are read together so: the index entries of a row, not a page.
const RECORDS_MAX: usize = 64;

/// What is known of a key.
#[derive(Debug, Clone, Copy)]
enum Known {
    Lies(Lying),
    Nowhere,
}

fn known(index: &Index, key: &Key) -> Option<Known> {
    let stored = key.stored();
    match index.known.find(stored.as_bytes()) {
        Some(lying) => Some(Known::Lies(lying)),
        None => index.gaps.holds(stored.as_bytes()).then_some(Known::Nowhere),
    }
}

/// A record.
pub(super) fn entry(shared: &Shared<Index>, key: &Key) -> AtOnce<Option<Entry>> {
    // Taken before the index is looked at: what lies there is not to go until it was read.
    let Some(_pin) = shared.reader.pin_now() else {
        return AtOnce::Unknown;
    };
    let known = shared.with_index_now(|index| known(index, key));
    known.read(|known| match known {
        Known::Nowhere => Some(None),
        Known::Lies(lying) => {
            let bytes = bytes_at(shared, lying.place)?;
            entry_in(&shared.reader.verify(lying.place, &bytes)?, key, lying).map(Some)
        }
    })
}

/// What several keys have, all of them at one read point.
pub(super) fn entries(shared: &Shared<Index>, keys: &[Key]) -> AtOnce<Vec<Option<Entry>>> {
    if keys.len() > RECORDS_MAX {
        return AtOnce::Unknown;
    }
    let Some(_pin) = shared.reader.pin_now() else {
        return AtOnce::Unknown;
    };
    let known = shared.with_index_now(|index| {
        let known = keys.iter().map(|key| known(index, key));
        known.collect::<Option<Vec<Known>>>()
    });
    known.read(|known| read(shared, keys, &known))
}

/// What is known of keys, read from where it lies.
fn read(shared: &Shared<Index>, keys: &[Key], known: &[Known]) -> Option<Vec<Option<Entry>>> {
    let read = frames_of(shared, known)?;
    let verified = read
        .iter()
        .map(|(place, bytes)| Some((*place, shared.reader.verify(*place, bytes)?)));
    let frames: Vec<(Place, Frame<'_>)> = verified.collect::<Option<_>>()?;
    let entries = keys.iter().zip(known).map(|(key, known)| match known {
        Known::Nowhere => Some(None),
        Known::Lies(lying) => {
            let (_, frame) = frames.iter().find(|(place, _)| *place == lying.place)?;
            entry_in(frame, key, *lying).map(Some)
        }
    });
    entries.collect()
}

/// That nothing is in any of these pages, all of them at one read point.
pub(super) fn are_empty(shared: &Shared<Index>, pages: &[Page]) -> AtOnce<()> {
    let is_empty =
        |index: &Index, page: &Page| with_walk(page, |walk| index.gaps.is_empty(walk.low, walk.high));
    shared.with_index_now(|index| pages.iter().all(|page| is_empty(index, page)).then_some(()))
}

/// The frames they lie in, each once: what was written together lies together.
fn frames_of(shared: &Shared<Index>, known: &[Known]) -> Option<Vec<(Place, Vec<u8>)>> {
    let (mut read, mut left) = (Vec::<(Place, Vec<u8>)>::new(), BYTES_MAX);
    for known in known {
        let Known::Lies(Lying { place, .. }) = known else {
            continue;
        };
        if read.iter().all(|(other, _)| other != place) {
            left = left.checked_sub(place.len as usize)?;
            read.push((*place, bytes_at(shared, *place)?));
        }
    }
    Some(read)
}

fn bytes_at(shared: &Shared<Index>, place: Place) -> Option<Vec<u8>> {
    if place.len as usize > BYTES_MAX {
        return None;
    }
    shared.reader.read_now(place)
}

/// The record of a key in a frame, if it lies there as it is known to.
fn entry_in(frame: &Frame<'_>, key: &Key, lying: Lying) -> Option<Entry> {
    let operation = frame.operation(lying.at as usize)?;
    let is_that = operation.version(frame.header().version) == lying.version;
    is_that
        .then(|| entry_of(&operation, key, lying.version))
        .flatten()
}
