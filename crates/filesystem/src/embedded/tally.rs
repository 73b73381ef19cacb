//! What the index must hold, told by the log alone: how many items, and a digest of which.
//!
//! Sled recovers from damage to its file by forgetting, without a word, and people remove files. So every opening
//! compares what there is with what the log says there must be.

use super::index::{Index, IndexError, Spotted, Walk};
use crate::commit_log::frame::{Frame, Operation};

/// Records and log entries, and the exclusive or of their fingerprints and of those of the logs' ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    pub(crate) items: u64,
    pub(crate) digest: u64,
}

/// What a fingerprint is of, so that no two things have one.
#[derive(Debug, Clone, Copy)]
enum Of {
    Record = 1,
    Entry,
    First,
    Next,
}

impl Tally {
    /// Counts what a frame changes.
    pub(crate) fn count(&mut self, frame: &Frame<'_>) {
        let version = frame.header().version;
        for (_, operation) in frame.operations() {
            match operation {
                Operation::Put { key, was, .. } => {
                    self.drop_record(key, was);
                    self.add(Of::Record, key, version);
                }
                Operation::Delete { key, was } => self.drop_record(key, was),
                Operation::Append { log, position, .. } => {
                    self.add(Of::Entry, log, position);
                    self.turn_end(Of::Next, log, position);
                    self.turn_end(Of::Next, log, position + 1);
                }
                Operation::Truncate {
                    log, first, before, ..
                } => {
                    (first..before).for_each(|position| self.drop(Of::Entry, log, position));
                    self.turn_end(Of::First, log, first);
                    self.turn_end(Of::First, log, before);
                }
            }
        }
    }

    /// Counts what an index holds. It takes about a second for a million items.
    pub(crate) fn of<I: Index>(index: &I) -> Result<Self, IndexError> {
        let mut tally = Self::default();
        index.walk_records(Walk::ALL, |key, spot| {
            // One that cannot be read counts as none: repair makes it anew.
            if spot.version() > 0 {
                tally.add(Of::Record, key, spot.version());
            }
            true
        })?;
        index.walk_heads(Walk::ALL, |log, head| {
            tally.turn_end(Of::First, log, head.first);
            tally.turn_end(Of::Next, log, head.next);
            true
        })?;
        index.walk_all_entries(|log, position| tally.add(Of::Entry, log, position))?;
        Ok(tally)
    }

    fn drop_record(&mut self, key: &str, was: u64) {
        if was > 0 {
            self.drop(Of::Record, key, was);
        }
    }

    fn add(&mut self, of: Of, name: &str, number: u64) {
        self.items = self.items.wrapping_add(1);
        self.digest ^= fingerprint(of, name, number);
    }

    fn drop(&mut self, of: Of, name: &str, number: u64) {
        self.items = self.items.wrapping_sub(1);
        self.digest ^= fingerprint(of, name, number);
    }

    /// Adds the end of a log, or takes it away again. An end of 1 is where every log begins.
    fn turn_end(&mut self, of: Of, log: &str, position: u64) {
        if position > 1 {
            self.digest ^= fingerprint(of, log, position);
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
