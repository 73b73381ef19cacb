//! Neighbours as one value of a tree: all that lies between one of its keys and the next.
//!
//! Sled keeps a page for a dozen keys, however short, and looks at every page there is when it opens, closes and
//! notes down where they are. With a dozen of ours behind each of its keys it has a tenth of the pages.

use std::marker::PhantomData;

use super::trees::Value;
use crate::embedded::index::IndexError;

/// Most entries of a block. A change of one writes all of it: more would make changes here and there dear.
pub(super) const ENTRIES_MAX: usize = 16;
/// A length.
const LEN_BYTES: usize = 2;

/// A key with what it has.
pub(super) type Entry<V> = (Box<[u8]>, V);

/// Writes entries, which are in order: what their keys begin with alike, then each with the rest of its key.
pub(super) fn encode<V: Value>(entries: &[Entry<V>]) -> Vec<u8> {
    let shared = match entries {
        [] => &[][..],
        [(first, _), .., (last, _)] => &first[..alike(first, last)],
        [(only, _)] => only,
    };
    let rests: usize = entries.iter().map(|(key, _)| key.len() - shared.len()).sum();
    let mut bytes =
        Vec::with_capacity(LEN_BYTES + shared.len() + rests + entries.len() * (LEN_BYTES + V::LEN));
    put(shared, &mut bytes);
    for (key, value) in entries {
        put(&key[shared.len()..], &mut bytes);
        bytes.extend_from_slice(value.encode().as_ref());
    }
    bytes
}

fn alike(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

fn put(text: &[u8], bytes: &mut Vec<u8>) {
    let len = u16::try_from(text.len()).expect("a key is shorter than 64 KiB");
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(text);
}

/// What a block's keys begin with alike, and its entries.
fn read<V: Value>(block: &[u8]) -> Result<(&[u8], Entries<'_, V>), IndexError> {
    let (shared, rest) = take(block).ok_or(IndexError::Garbled)?;
    let entries = Entries {
        rest,
        of: PhantomData,
    };
    Ok((shared, entries))
}

fn take(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<LEN_BYTES>()?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))
}

/// The entries of a block, in order: of each the rest of its key, and what it has.
#[derive(Debug)]
struct Entries<'a, V> {
    rest: &'a [u8],
    of: PhantomData<V>,
}

impl<'a, V: Value> Entries<'a, V> {
    fn take(&mut self) -> Option<(&'a [u8], V)> {
        let (key, rest) = take(self.rest)?;
        let (value, rest) = rest.split_at_checked(V::LEN)?;
        self.rest = rest;
        Some((key, V::decode(value)?))
    }
}

impl<'a, V: Value> Iterator for Entries<'a, V> {
    type Item = Result<(&'a [u8], V), IndexError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let taken = self.take();
        if taken.is_none() {
            self.rest = &[];
        }
        Some(taken.ok_or(IndexError::Garbled))
    }
}

/// What a key has in the block where it would be.
pub(super) fn find<V: Value>(block: &[u8], key: &[u8]) -> Result<Option<V>, IndexError> {
    let (shared, entries) = read::<V>(block)?;
    let Some(rest) = key.strip_prefix(shared) else {
        return Ok(None);
    };
    for entry in entries {
        let (found, value) = entry?;
        if found >= rest {
            return Ok((found == rest).then_some(value));
        }
    }
    Ok(None)
}

/// All entries of a block.
pub(super) fn decode<V: Value>(block: &[u8]) -> Result<Vec<Entry<V>>, IndexError> {
    let (shared, entries) = read::<V>(block)?;
    entries
        .map(|entry| entry.map(|(rest, value)| ([shared, rest].concat().into(), value)))
        .collect()
}

/// Into how many blocks entries go, of which so many are behind all that were there: what grows at its end leaves full
/// blocks behind it, what grows inside half full ones.
pub(super) fn cut<V>(entries: &[Entry<V>], appended: usize) -> impl DoubleEndedIterator<Item = &[Entry<V>]> {
    let blocks = entries.len().div_ceil(ENTRIES_MAX).max(1);
    let size = if appended + ENTRIES_MAX >= entries.len() {
        ENTRIES_MAX
    } else {
        entries.len().div_ceil(blocks)
    };
    entries.chunks(size.max(1))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::embedded::spot::{Spot, spot};

    proptest! {
        #[test]
        fn entries_read_back_as_written_and_each_key_is_found(
            keys in prop::collection::btree_map("[a-c!]{0,6}", any::<u64>(), 0..40),
            other in "[a-c!]{0,6}",
        ) {
            let model: BTreeMap<String, u64> = keys;
            let entries: Vec<Entry<Spot>> = model
                .iter()
                .map(|(key, version)| (key.as_bytes().into(), spot(*version)))
                .collect();
            let block = encode(&entries);
            prop_assert_eq!(&decode::<Spot>(&block).unwrap(), &entries);
            for key in model.keys().chain([&other]) {
                let found = find::<Spot>(&block, key.as_bytes()).unwrap();
                prop_assert_eq!(found.map(|spot| spot.version), model.get(key).copied());
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, key: Vec<u8>) {
            let _ = decode::<Spot>(&bytes);
            let _ = find::<Spot>(&bytes, &key);
        }

        #[test]
        fn what_is_cut_is_all_of_it_in_order(count in 0..200_usize, appended in 0..200_usize) {
            let entries: Vec<Entry<Spot>> = (0..count)
                .map(|at| (format!("{at:03}").into_bytes().into(), spot(at as u64)))
                .collect();
            let blocks: Vec<&[Entry<Spot>]> = cut(&entries, appended.min(count)).collect();
            prop_assert!(blocks.iter().all(|block| (1..=ENTRIES_MAX).contains(&block.len())));
            prop_assert_eq!(blocks.concat(), entries);
        }
    }
}
