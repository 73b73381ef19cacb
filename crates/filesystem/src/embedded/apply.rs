//! Applying a frame to the index: the same for a commit just flushed and for one replayed at opening.

use super::index::{Before, Index, IndexError, Spotted};
use super::spot::{Head, Spot};
use crate::commit_log::Place;
use crate::commit_log::frame::{Frame, Operation};

/// Whether a frame may have been applied before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It was judged against this index, which does not have it.
    Live,
    /// The index may have it, or even what came after it: older never replaces newer.
    Replay,
}

/// Applies all of a frame. In replay it may be applied any number of times.
///
/// Returns by how many bytes what is live grew.
pub(crate) fn apply<I: Index>(
    index: &mut I,
    place: Place,
    frame: &Frame<'_>,
    mode: Mode,
) -> Result<i64, IndexError> {
    let of_frame = frame.header().version;
    let mut heads = Heads {
        version: of_frame,
        changed: Vec::new(),
    };
    let mut grown = 0;
    for (at, operation) in frame.operations() {
        let version = operation.version(of_frame);
        let spot = |weight: usize| Spot {
            place,
            at: u32::try_from(at).expect("a frame is at most FRAME_MAX"),
            weight: u32::try_from(weight).expect("an item is smaller than its frame"),
            version,
        };
        match operation {
            Operation::Put {
                key,
                was,
                kind,
                value,
            } => {
                if is_newer(index, key, version, mode)? {
                    let before = match (mode, was) {
                        (Mode::Live, 0) => Before::Nothing,
                        (Mode::Live | Mode::Replay, _) => Before::Unknown,
                    };
                    grown += put_record(index, key, &spot(kind.len() + value.len()), before)?;
                }
            }
            Operation::Moved { key, kind, value, .. } => {
                // Of the same version too: it lies here now.
                if is_newer(index, key, version + 1, mode)? {
                    grown += put_record(index, key, &spot(kind.len() + value.len()), Before::Unknown)?;
                }
            }
            Operation::Delete { key, .. } => {
                if is_newer(index, key, version, mode)? {
                    let old = index.remove_record(key)?;
                    grown -= old.map_or(0, |old| record_bytes(key, old.weight()));
                }
            }
            Operation::Append { log, position, entry } => {
                // A head that is further already has it, whatever version it was found with.
                if let Some(head) = heads.of(index, log)?.filter(|head| head.next <= position) {
                    head.next = position + 1;
                    head.bytes += entry.len() as u64;
                    let before = match mode {
                        Mode::Live => Before::Nothing,
                        Mode::Replay => Before::Unknown,
                    };
                    grown += put_entry(index, log, position, &spot(entry.len()), before)?;
                }
            }
            Operation::Begin {
                log,
                first,
                predecessor,
            } => heads.begin(index, log, Head::begun_at(of_frame, first, predecessor))?,
            Operation::MovedEntry {
                log, position, entry, ..
            } => {
                if mode == Mode::Live || heads.keeps(index, log, position)? {
                    grown += put_entry(index, log, position, &spot(entry.len()), Before::Unknown)?;
                }
            }
            Operation::Truncate {
                log, before, bytes, ..
            } => {
                if let Some(head) = heads.of(index, log)?.filter(|head| head.first < before) {
                    let first = std::mem::replace(&mut head.first, before);
                    head.bytes = head.bytes.saturating_sub(bytes);
                    grown -= remove_entries(index, log, first, before)?;
                }
            }
            Operation::Head {
                log,
                incarnation,
                first,
                next,
                bytes,
                predecessor,
            } => {
                if let Some(head) = heads.of(index, log)? {
                    *head = Head {
                        predecessor,
                        incarnation,
                        first,
                        next,
                        bytes,
                        version,
                    };
                }
            }
            Operation::Cleaned { .. } | Operation::Lost { .. } => {}
        }
    }
    Ok(grown + heads.write(index)?)
}

/// Bytes of a record's operation in the log.
pub(crate) fn record_bytes(key: &str, weight: usize) -> i64 {
    (16 + key.len() + weight) as i64
}

/// Bytes of a log entry's operation.
pub(crate) fn entry_bytes(log: &str, weight: usize) -> i64 {
    (24 + log.len() + weight) as i64
}

/// Bytes of what keeps a log's ends.
pub(crate) fn head_bytes(log: &str) -> i64 {
    (56 + log.len()) as i64
}

fn put_record<I: Index>(index: &mut I, key: &str, spot: &Spot, before: Before) -> Result<i64, IndexError> {
    let old = index.put_record(key, spot, before)?;
    let new = record_bytes(key, spot.weight as usize);
    Ok(new - old.map_or(0, |old| record_bytes(key, old.weight())))
}

fn put_entry<I: Index>(
    index: &mut I,
    log: &str,
    position: u64,
    spot: &Spot,
    before: Before,
) -> Result<i64, IndexError> {
    let old = index.put_entry(log, position, spot, before)?;
    let new = entry_bytes(log, spot.weight as usize);
    Ok(new - old.map_or(0, |old| entry_bytes(log, old.weight())))
}

/// Removes the entries that are there: of a log whose first segments went, those before are not.
fn remove_entries<I: Index>(index: &mut I, log: &str, first: u64, before: u64) -> Result<i64, IndexError> {
    let mut found = Vec::new();
    index.walk_entries(log, first, before, |position, spot| {
        found.push((position, spot.weight()));
        true
    })?;
    let mut removed = 0;
    for (position, weight) in found {
        index.remove_entry(log, position)?;
        removed += entry_bytes(log, weight);
    }
    Ok(removed)
}

fn is_newer<I: Index>(index: &I, key: &str, version: u64, mode: Mode) -> Result<bool, IndexError> {
    Ok(match mode {
        Mode::Live => true,
        Mode::Replay => index.record(key)?.is_none_or(|found| found.version() < version),
    })
}

/// The heads a frame changes. They are written last: a head that has the frame's version says that all is there.
struct Heads<'a> {
    version: u64,
    changed: Vec<(&'a str, Option<Head>)>,
}

impl<'a> Heads<'a> {
    /// The head to change; none when the index has this frame already.
    fn of<I: Index>(&mut self, index: &I, log: &'a str) -> Result<Option<&mut Head>, IndexError> {
        let at = match self.changed.iter().position(|(known, _)| *known == log) {
            Some(at) => at,
            None => {
                let found = index.head(log)?.unwrap_or(Head::begun(self.version));
                let has_it = found.version >= self.version;
                self.changed.push((log, (!has_it).then_some(found)));
                self.changed.len() - 1
            }
        };
        Ok(self.changed[at].1.as_mut())
    }

    /// A log begins, unless the index has it already.
    fn begin<I: Index>(&mut self, index: &I, log: &'a str, head: Head) -> Result<(), IndexError> {
        if index.head(log)?.is_none() {
            self.changed.push((log, Some(head)));
        }
        Ok(())
    }

    /// Whether a log has an entry at a position, as far as its ends tell.
    fn keeps<I: Index>(&self, index: &I, log: &str, position: u64) -> Result<bool, IndexError> {
        let pending = self.changed.iter().find(|(known, _)| *known == log);
        let head = match pending.and_then(|(_, head)| *head) {
            Some(head) => Some(head),
            None => index.head(log)?,
        };
        Ok(head.is_some_and(|head| (head.first..head.next).contains(&position)))
    }

    fn write<I: Index>(self, index: &mut I) -> Result<i64, IndexError> {
        let mut grown = 0;
        for (log, head) in self.changed {
            if let Some(head) = head {
                let version = self.version;
                let is_new = index.put_head(log, &Head { version, ..head })?;
                grown += if is_new { head_bytes(log) } else { 0 };
            }
        }
        Ok(grown)
    }
}
