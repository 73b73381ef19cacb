//! What the index must hold, told by the log alone: how many items, and a digest of which.
//!
//! Sled recovers from damage to its file by forgetting, without a word, and people remove files. So what there is, is
//! compared with what the log says there must be.

use super::apply::{entry_bytes, head_bytes, record_bytes};
use super::index::{Index, IndexError, Spotted, Walk};
use super::spot::Head;
use crate::commit_log::frame::{Frame, Operation};

/// Records and log entries, and the exclusive or of their fingerprints and of those of the logs' ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    pub(crate) items: u64,
    pub(crate) digest: u64,
}

/// What a fingerprint is of, so that no two things have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    Record = 1,
    Entry,
    First,
    Next,
}

/// One thing that comes or goes, with its name and number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Thing<'a> {
    pub(crate) of: Of,
    pub(crate) name: &'a str,
    pub(crate) number: u64,
}

impl Tally {
    /// Counts what a frame changes.
    pub(crate) fn count(&mut self, frame: &Frame<'_>) {
        self.count_where(frame, |_| true);
    }

    /// Counts what a frame changes of some things.
    pub(crate) fn count_where(&mut self, frame: &Frame<'_>, counts: impl Fn(Thing<'_>) -> bool) {
        let version = frame.header().version;
        let mut turn = |of, name, number, comes: bool| {
            let thing = Thing { of, name, number };
            if counts(thing) {
                self.turn(thing, comes);
            }
        };
        for (_, operation) in frame.operations() {
            match operation {
                Operation::Put { key, was, .. } => {
                    turn(Of::Record, key, was, false);
                    turn(Of::Record, key, version, true);
                }
                Operation::Delete { key, was } => turn(Of::Record, key, was, false),
                Operation::Append { log, position, .. } => {
                    turn(Of::Entry, log, position, true);
                    turn(Of::Next, log, position, false);
                    turn(Of::Next, log, position + 1, true);
                }
                Operation::Truncate {
                    log, first, before, ..
                } => {
                    (first..before).for_each(|position| turn(Of::Entry, log, position, false));
                    turn(Of::First, log, first, false);
                    turn(Of::First, log, before, true);
                }
                Operation::Begin { log, first, .. } => {
                    turn(Of::First, log, first, true);
                    turn(Of::Next, log, first, true);
                }
                // Where things lie is not counted.
                Operation::Moved { .. }
                | Operation::MovedEntry { .. }
                | Operation::Head { .. }
                | Operation::Cleaned { .. }
                | Operation::Lost { .. } => {}
            }
        }
    }

    /// Counts what an index holds, and the bytes of it that are live. It takes about a second for a million items.
    pub(crate) fn of<I: Index>(index: &I) -> Result<(Self, i64), IndexError> {
        let (mut tally, mut live) = (Self::default(), 0);
        index.walk_records(Walk::ALL, |key, spot| {
            tally.record(key, spot.version());
            live += record_bytes(key, spot.weight());
            true
        })?;
        index.walk_heads(Walk::ALL, |log, head| {
            tally.head(log, &head);
            live += head_bytes(log);
            true
        })?;
        index.walk_all_entries(None, |log, position, spot| {
            tally.entry(log, position);
            live += entry_bytes(log, spot.weight());
            true
        })?;
        Ok((tally, live))
    }

    /// A record is there. One that cannot be read counts as none: repair makes it anew.
    pub(crate) fn record(&mut self, key: &str, version: u64) {
        let thing = Thing {
            of: Of::Record,
            name: key,
            number: version,
        };
        self.turn(thing, true);
    }

    /// A log is there.
    pub(crate) fn head(&mut self, log: &str, head: &Head) {
        for (of, number) in [(Of::First, head.first), (Of::Next, head.next)] {
            self.turn(
                Thing {
                    of,
                    name: log,
                    number,
                },
                true,
            );
        }
    }

    /// A log's entry is there.
    pub(crate) fn entry(&mut self, log: &str, position: u64) {
        let thing = Thing {
            of: Of::Entry,
            name: log,
            number: position,
        };
        self.turn(thing, true);
    }

    fn turn(&mut self, thing: Thing<'_>, comes: bool) {
        let counts = match thing.of {
            Of::Record => thing.number > 0,
            Of::Entry => true,
            // An end of 1 is where every log begins.
            Of::First | Of::Next => thing.number > 1,
        };
        if counts {
            self.digest ^= fingerprint(thing.of, thing.name, thing.number);
        }
        if counts && matches!(thing.of, Of::Record | Of::Entry) {
            let change = if comes { 1 } else { u64::MAX };
            self.items = self.items.wrapping_add(change);
        }
    }
}

/// 64 well mixed bits (FNV-1a, then the finalizer of splitmix64). Against damage, not against attackers.
fn fingerprint(of: Of, name: &str, number: u64) -> u64 {
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let seed = 0xcbf2_9ce4_8422_2325 ^ of as u64;
    let hash = name.bytes().fold(seed, fnv);
    let mut mixed = hash.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}
