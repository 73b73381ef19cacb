//! Applying a frame to the index: the same for a commit just flushed and for one replayed at opening.

use super::index::{Index, IndexError};
use super::spot::{Head, Spot};
use crate::commit_log::Place;
use crate::commit_log::frame::{Frame, Operation};

/// Whether a frame may have been applied before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// It was judged against this index, which does not have it.
    Live,
    /// The index may have it, or even what came after it: older never replaces newer.
    Replay,
}

/// Applies all of a frame. In replay it may be applied any number of times.
pub(super) fn apply(index: &Index, place: Place, frame: &Frame<'_>, mode: Mode) -> Result<(), IndexError> {
    let version = frame.header().version;
    let mut heads = Heads {
        index,
        version,
        changed: Vec::new(),
    };
    for (at, operation) in frame.operations() {
        let spot = |weight: usize| Spot {
            place,
            at: u32::try_from(at).expect("a frame is at most FRAME_MAX"),
            weight: u32::try_from(weight).expect("an item is smaller than its frame"),
            version,
        };
        match operation {
            Operation::Put { key, kind, value, .. } => {
                if is_newer(index, key, version, mode)? {
                    index.put_record(key, &spot(kind.len() + value.len()))?;
                }
            }
            Operation::Delete { key, .. } => {
                if is_newer(index, key, version, mode)? {
                    index.remove_record(key)?;
                }
            }
            Operation::Append { log, position, entry } => {
                if let Some(head) = heads.of(log)? {
                    head.next = position + 1;
                    head.bytes += entry.len() as u64;
                    index.put_entry(log, position, &spot(entry.len()))?;
                }
            }
            Operation::Truncate { log, before, bytes } => {
                if let Some(head) = heads.of(log)? {
                    let first = std::mem::replace(&mut head.first, before);
                    head.bytes = head.bytes.saturating_sub(bytes);
                    for position in first..before {
                        index.remove_entry(log, position)?;
                    }
                }
            }
        }
    }
    heads.write()
}

fn is_newer(index: &Index, key: &str, version: u64, mode: Mode) -> Result<bool, IndexError> {
    Ok(match mode {
        Mode::Live => true,
        Mode::Replay => index.record(key)?.is_none_or(|found| found.version < version),
    })
}

/// The heads a frame changes. They are written last: a head that has the frame's version says that all is there.
struct Heads<'a> {
    index: &'a Index,
    version: u64,
    changed: Vec<(&'a str, Option<Head>)>,
}

impl<'a> Heads<'a> {
    /// The head to change; none when the index has this frame already.
    fn of(&mut self, log: &'a str) -> Result<Option<&mut Head>, IndexError> {
        let at = match self.changed.iter().position(|(known, _)| *known == log) {
            Some(at) => at,
            None => {
                let found = self.index.head(log)?.unwrap_or(Head::begun(self.version));
                let has_it = found.version >= self.version;
                self.changed.push((log, (!has_it).then_some(found)));
                self.changed.len() - 1
            }
        };
        Ok(self.changed[at].1.as_mut())
    }

    fn write(self) -> Result<(), IndexError> {
        for (log, head) in self.changed {
            if let Some(head) = head {
                let version = self.version;
                self.index.put_head(log, &Head { version, ..head })?;
            }
        }
        Ok(())
    }
}

/// What all records together should be, told by the log alone: how many, and which at which version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    pub(super) records: u64,
    pub(super) digest: u64,
}

impl Tally {
    /// Counts a frame.
    pub(super) fn count(&mut self, frame: &Frame<'_>) {
        let version = frame.header().version;
        for (_, operation) in frame.operations() {
            match operation {
                Operation::Put { key, was, .. } => {
                    self.drop_record(key, was);
                    self.add_record(key, version);
                }
                Operation::Delete { key, was } => self.drop_record(key, was),
                Operation::Append { .. } | Operation::Truncate { .. } => {}
            }
        }
    }

    pub(super) fn add_record(&mut self, key: &str, version: u64) {
        self.records = self.records.wrapping_add(1);
        self.digest ^= fingerprint(key, version);
    }

    fn drop_record(&mut self, key: &str, was: u64) {
        if was > 0 {
            self.records = self.records.wrapping_sub(1);
            self.digest ^= fingerprint(key, was);
        }
    }
}

/// 64 bits of a key and a version, well mixed (FNV-1a, then the finalizer of splitmix64). Against bugs, not attackers.
fn fingerprint(key: &str, version: u64) -> u64 {
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325, fnv);
    let mut mixed = hash.wrapping_add(version.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}
