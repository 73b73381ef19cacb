//! What a file holds, in a few numbers.

use jiff::Timestamp;

use crate::{Digest, ExportCounts, ExportPoint, Prefix, Version};

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Where it was read: the store's id, and its highest version then.
    pub point: ExportPoint,
    /// When it was written, to the millisecond.
    pub at: Timestamp,
    /// Of which part of the store it is.
    pub prefix: Prefix,
    /// How many items it has.
    pub counts: ExportCounts,
    /// Bytes of all values and log entries.
    pub bytes: u64,
    /// The highest version that the store, or anything in the file, has: a store it is imported into begins above.
    pub highest: Version,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// The SHA-256 of the file up to its trailer, which has it.
    pub digest: Digest,
}

/// The earliest time at which a store can be made that versions up to this one are past for: the `now` to open the
/// target of an import with, if the machine's own time is before it.
#[must_use]
pub fn needed_now(highest: Version) -> Timestamp {
    let milliseconds = i64::try_from((highest.get() >> 10) + 1).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_made_at_the_needed_time_is_above_the_version() {
        for number in [0, 1, 1023, 1024, 1_876_000_000_000_000] {
            let highest = Version::new(number);
            assert!(Version::floor(needed_now(highest)) > highest, "{number}");
        }
    }
}
