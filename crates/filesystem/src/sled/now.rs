//! Reading by who asks, without a thread for it: what is known to lie somewhere, and can be had without waiting for a disk
//! or for anybody. None says nothing.

use super::index::Index;
use super::known::Lying;
use crate::commit_log::Place;
use crate::commit_log::frame::Frame;
use crate::embedded::fetch::entry_of;
use crate::embedded::shared::Shared;
use crate::{Entry, Key};

/// Most bytes of frames that are read so: more take their time, and a thread that has it.
const BYTES_MAX: usize = 16 * 1024;
/// Most records that are read together so: the index entries of a row, not a page.
const RECORDS_MAX: usize = 16;

/// A record.
pub(super) fn entry(shared: &Shared<Index>, key: &Key) -> Option<Entry> {
    // Taken before the index is looked at: what lies there is not to go until it was read.
    let _pin = shared.reader.pin_now()?;
    let lying = shared.with_index_now(|index| index.known.find(key.stored().as_bytes()))?;
    let bytes = bytes_at(shared, lying.place)?;
    entry_in(&shared.reader.verify(lying.place, &bytes)?, key, lying)
}

/// Records, all of them at one read point.
pub(super) fn entries(shared: &Shared<Index>, keys: &[Key]) -> Option<Vec<Entry>> {
    if keys.len() > RECORDS_MAX {
        return None;
    }
    let _pin = shared.reader.pin_now()?;
    let lying = shared.with_index_now(|index| {
        let known = keys.iter().map(|key| index.known.find(key.stored().as_bytes()));
        known.collect::<Option<Vec<Lying>>>()
    })?;
    let read = frames_of(shared, &lying)?;
    let verified = read
        .iter()
        .map(|(place, bytes)| Some((*place, shared.reader.verify(*place, bytes)?)));
    let frames: Vec<(Place, Frame<'_>)> = verified.collect::<Option<_>>()?;
    let entries = keys.iter().zip(lying).map(|(key, lying)| {
        let (_, frame) = frames.iter().find(|(place, _)| *place == lying.place)?;
        entry_in(frame, key, lying)
    });
    entries.collect()
}

/// The frames they lie in, each once: what was written together lies together.
fn frames_of(shared: &Shared<Index>, lying: &[Lying]) -> Option<Vec<(Place, Vec<u8>)>> {
    let (mut read, mut left) = (Vec::<(Place, Vec<u8>)>::new(), BYTES_MAX);
    for Lying { place, .. } in lying {
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
