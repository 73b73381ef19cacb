//! Where records lie that were written or looked for of late, in memory: one that is known here is read without a look into
//! the trees, which may wait for the disk.
//!
//! A table of a fixed number of bytes. It keeps no keys but 36 bits of a hash of each, so what it tells may be of another
//! key: who reads there compares the key. It is never old: each change of the index is made here too, with the index
//! held alone, and what a reader adds is what it found with the index held.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::commit_log::Place;
use crate::embedded::spot::Spot;

/// Most bytes of a table, whatever it might have: places of ten million records.
const BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Places that a hash may have: what comes when all are taken takes one of them.
const WAYS: usize = 8;
/// Locks of the table.
const SHARDS: usize = 64;
/// Bytes of a bucket.
const BUCKET_BYTES: usize = WAYS * size_of::<Slot>();

const TAG_BITS: u32 = 36;
/// How the numbers of a place lie in a slot's three words, with the parts of the tag behind them.
const VERSION_BITS: u32 = 53;
const OFFSET_BITS: u32 = 27;
const LEN_BITS: u32 = 22;
const OFFSET_UNIT: u32 = 8;

/// A place, packed, with a hash's tag; zeros for none.
type Slot = [u64; 3];
type Bucket = [Slot; WAYS];

/// Where a record lies, if it is the one that is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lying {
    pub(super) place: Place,
    pub(super) at: u32,
    pub(super) version: u64,
}

/// The table.
#[derive(Debug)]
pub(super) struct Known {
    hasher: RandomState,
    shards: Vec<Mutex<Vec<Bucket>>>,
    /// Buckets of a shard; 0 for a table that keeps nothing.
    each: usize,
}

impl Known {
    /// A table of at most so many bytes. Memory is taken as it is used.
    pub(super) fn of(bytes: u64) -> Self {
        let bytes = usize::try_from(bytes.min(BYTES_MAX)).expect("256 MiB fit into memory");
        let each = bytes / BUCKET_BYTES / SHARDS;
        Self {
            hasher: RandomState::new(),
            shards: (0..SHARDS)
                .map(|_| Mutex::new(vec![[[0; 3]; WAYS]; each]))
                .collect(),
            each,
        }
    }

    /// Where a key's record may lie.
    pub(super) fn find(&self, key: &[u8]) -> Option<Lying> {
        let mut found = None;
        self.with_bucket(key, |bucket, tag| {
            found = slot_of(bucket, tag).map(|slot| unpack(bucket[slot]));
        });
        found
    }

    /// A key's record lies there now, or was found there with the index held.
    pub(super) fn put(&self, key: &[u8], spot: &Spot) {
        self.with_bucket(key, |bucket, tag| {
            let slot = slot_of(bucket, tag)
                .or_else(|| bucket.iter().position(|slot| *slot == [0; 3]))
                .unwrap_or(spot.version as usize % WAYS);
            match pack(spot, tag) {
                Some(packed) => bucket[slot] = packed,
                None => forget(bucket, tag),
            }
        });
    }

    /// A key's record is no more.
    pub(super) fn remove(&self, key: &[u8]) {
        self.with_bucket(key, forget);
    }

    fn with_bucket(&self, key: &[u8], look: impl FnOnce(&mut Bucket, u64)) {
        if self.each == 0 {
            return;
        }
        let hash = self.hasher.hash_one(key);
        let buckets = (self.each * SHARDS) as u64;
        let bucket = usize::try_from(((hash >> 32) * buckets) >> 32).expect("a table fits into memory");
        let shard = &self.shards[bucket / self.each];
        let mut shard: MutexGuard<'_, Vec<Bucket>> = shard.lock().unwrap_or_else(PoisonError::into_inner);
        look(&mut shard[bucket % self.each], hash & ((1 << TAG_BITS) - 1));
    }
}

fn slot_of(bucket: &Bucket, tag: u64) -> Option<usize> {
    bucket
        .iter()
        .position(|slot| *slot != [0; 3] && tag_of(*slot) == tag)
}

fn forget(bucket: &mut Bucket, tag: u64) {
    if let Some(slot) = slot_of(bucket, tag) {
        bucket[slot] = [0; 3];
    }
}

/// None for a place whose numbers are larger than any that is worth keeping.
fn pack(spot: &Spot, tag: u64) -> Option<Slot> {
    let Place { segment, offset, len } = spot.place;
    let fits = |number: u64, bits: u32| (number < 1 << bits).then_some(number);
    let version = fits(spot.version, VERSION_BITS).filter(|version| *version > 0)?;
    let offset = fits(u64::from(offset / OFFSET_UNIT), OFFSET_BITS).filter(|_| offset % OFFSET_UNIT == 0)?;
    let (len, at) = (
        fits(u64::from(len), LEN_BITS)?,
        fits(u64::from(spot.at), LEN_BITS)?,
    );
    let (high, middle, low) = (tag >> 25, tag >> 20 & 0x1f, tag & 0xf_ffff);
    Some([
        version | high << VERSION_BITS,
        u64::from(segment) | offset << 32 | middle << (32 + OFFSET_BITS),
        len | at << LEN_BITS | low << (2 * LEN_BITS),
    ])
}

fn tag_of([a, b, c]: Slot) -> u64 {
    a >> VERSION_BITS << 25 | b >> (32 + OFFSET_BITS) << 20 | c >> (2 * LEN_BITS)
}

fn unpack([a, b, c]: Slot) -> Lying {
    let bits = |word: u64, at: u32, bits: u32| (word >> at & ((1 << bits) - 1)) as u32;
    Lying {
        place: Place {
            segment: bits(b, 0, 32),
            offset: bits(b, 32, OFFSET_BITS) * OFFSET_UNIT,
            len: bits(c, 0, LEN_BITS),
        },
        at: bits(c, LEN_BITS, LEN_BITS),
        version: a & ((1 << VERSION_BITS) - 1),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn lying(spot: &Spot) -> Lying {
        Lying {
            place: spot.place,
            at: spot.at,
            version: spot.version,
        }
    }

    prop_compose! {
        fn spot()(
            segment: u32,
            offset in 0..1_u32 << 27,
            len in 0..1_u32 << 22,
            at in 0..1_u32 << 22,
            version in 1..1_u64 << 53,
        ) -> Spot {
            let place = Place { segment, offset: offset * 8, len };
            Spot { place, at, weight: 0, version }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn places_and_tags_unpack_as_packed(spot in spot(), tag in 0..1_u64 << 36) {
            let slot = pack(&spot, tag).unwrap();
            prop_assert_eq!((unpack(slot), tag_of(slot)), (lying(&spot), tag));
        }

        /// However few places there are, and whatever is pushed out: what is told of a key is its newest, or nothing.
        #[test]
        fn what_is_known_is_never_old(
            steps in prop::collection::vec((0..200_u8, prop::option::weighted(0.8, spot())), 1..600),
            buckets in 0..3_u64,
        ) {
            let known = Known::of(buckets * (SHARDS * BUCKET_BYTES) as u64);
            let mut model: HashMap<u8, Spot> = HashMap::new();
            for (key, spot) in steps {
                match spot {
                    Some(spot) => {
                        known.put(&[key], &spot);
                        model.insert(key, spot);
                    }
                    None => {
                        known.remove(&[key]);
                        model.remove(&key);
                    }
                }
                for key in 0..200 {
                    if let Some(found) = known.find(&[key]) {
                        prop_assert_eq!(Some(found), model.get(&key).map(lying));
                    }
                }
            }
        }
    }

    #[test]
    fn a_table_takes_no_more_bytes_than_it_may() {
        for (asked, most) in [
            (0, 0),
            (100_000, 100_000),
            (32 << 20, 32 << 20),
            (u64::MAX, BYTES_MAX),
        ] {
            let known = Known::of(asked);
            let bytes = known.each * SHARDS * BUCKET_BYTES;
            assert!(bytes as u64 <= most, "{bytes} of {asked}");
            assert!(
                bytes as u64 + (SHARDS * BUCKET_BYTES) as u64 > most,
                "{bytes} of {asked}"
            );
        }
    }

    #[test]
    fn a_place_too_large_to_keep_is_forgotten_not_kept_old() {
        let known = Known::of(1 << 20);
        let mut spot = crate::embedded::spot::spot(7);
        known.put(b"a", &spot);
        assert_eq!(known.find(b"a"), Some(lying(&spot)));
        spot.place.offset = 1 << 31;
        known.put(b"a", &spot);
        assert_eq!(known.find(b"a"), None);
    }
}
