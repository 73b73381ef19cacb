//! A tree of [blocks](super::block): each of its keys is where a block begins, up to where the next one does.
//!
//! Only the thread that takes changes to the trees writes one. A block that is cut in two is there twice in part while
//! that is done, and may be so for good if the process is killed then: what a block has from the next one's beginning on
//! counts for nothing.

use std::iter::Peekable;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use sled::{IVec, Tree};

use super::block::{self, Entry};
use super::layer::Changes;
use super::trees::Value;
use crate::embedded::index::IndexError;

/// A tree whose values are blocks. Clones are of the same one.
#[derive(Debug, Clone)]
pub(super) struct Blocks {
    tree: Tree,
    /// Held while a block is cut in two, and by who reads: nobody sees half of that.
    cutting: Arc<RwLock<()>>,
}

impl Blocks {
    pub(super) fn of(tree: Tree) -> Self {
        Self {
            tree,
            cutting: Arc::default(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tree.is_empty()
    }

    /// Keeps blocks whole until it is dropped. Who holds it takes no second one.
    pub(super) fn keep_whole(&self) -> RwLockReadGuard<'_, ()> {
        self.cutting.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a key has.
    pub(super) fn get<V: Value>(&self, key: &[u8]) -> Result<Option<V>, IndexError> {
        let _whole = self.keep_whole();
        match self.block_of(key)? {
            Some((_, block)) => block::find(&block, key),
            None => Ok(None),
        }
    }

    /// The block in which a key would be, with where it begins.
    fn block_of(&self, key: &[u8]) -> Result<Option<(IVec, IVec)>, IndexError> {
        Ok(self.tree.range::<&[u8], _>(..=key).next_back().transpose()?)
    }

    /// The highest key there is.
    pub(super) fn last<V: Value>(&self) -> Result<Option<Box<[u8]>>, IndexError> {
        let Some((_, block)) = self.tree.last()? else {
            return Ok(None);
        };
        let last = block::decode::<V>(&block)?.pop();
        last.map(|(key, _)| Some(key)).ok_or(IndexError::Garbled)
    }

    /// The blocks from the one in which a key would be, or from the first, in order.
    pub(super) fn up(&self, from: Bound<&[u8]>) -> Result<sled::Iter, IndexError> {
        let begin = match from {
            Bound::Unbounded => None,
            Bound::Included(key) | Bound::Excluded(key) => self.block_of(key)?.map(|(begin, _)| begin),
        };
        Ok(match begin {
            Some(begin) => self.tree.range::<&[u8], _>(&*begin..),
            None => self.tree.iter(),
        })
    }

    /// The blocks up to the last that may have a key in front of an end, for walking down.
    pub(super) fn down(&self, to: Bound<&[u8]>) -> sled::Iter {
        self.tree.range::<&[u8], _>((Bound::Unbounded, to))
    }

    /// Takes changes to the tree, and tells how many more it has each time; false when told to stop by the answer.
    pub(super) fn take<V: Value>(
        &self,
        changes: &Changes<V>,
        took: &mut dyn FnMut(usize) -> bool,
    ) -> Result<bool, IndexError> {
        let mut changes = changes.iter().peekable();
        // Ends: each round takes the first change that is left.
        loop {
            let left = changes.len();
            let Some((key, _)) = changes.peek() else {
                return Ok(true);
            };
            let (begin, mut entries) = match self.block_of(key)? {
                Some((begin, block)) => (begin, block::decode::<V>(&block)?),
                None => (IVec::default(), Vec::new()),
            };
            let end = self.tree.get_gt(key)?.map(|(end, _)| end);
            let is_inside = |key: &[u8]| end.as_ref().is_none_or(|end| key < &**end);
            entries.retain(|(key, _)| is_inside(key));
            let last = entries.last().map(|(key, _)| key.clone());
            let merged = merge(entries, &mut changes, is_inside);
            let is_behind = |key: &[u8]| last.as_ref().is_none_or(|last| key > &**last);
            let appended = merged.iter().rev().take_while(|(key, _)| is_behind(key)).count();
            self.write(&begin, &merged, appended)?;
            if !took(left - changes.len()) {
                return Ok(false);
            }
        }
    }

    /// Puts entries in the place of a block, as many blocks as they need. The last one goes first: none of them is
    /// missing at any time.
    fn write<V: Value>(&self, begin: &IVec, entries: &[Entry<V>], appended: usize) -> Result<(), IndexError> {
        if entries.is_empty() {
            return self.remove::<V>(begin);
        }
        let blocks: Vec<_> = block::cut(entries, appended).collect();
        let _cutting =
            (blocks.len() > 1).then(|| self.cutting.write().unwrap_or_else(PoisonError::into_inner));
        for (at, entries) in blocks.into_iter().enumerate().rev() {
            let key: &[u8] = if at == 0 { begin } else { &entries[0].0 };
            self.tree.insert(key, block::encode(entries))?;
        }
        Ok(())
    }

    /// Removes a block. What the one before it may still have from when they were cut must not count again.
    fn remove<V: Value>(&self, begin: &IVec) -> Result<(), IndexError> {
        if let Some((before, block)) = self.tree.get_lt(begin)? {
            let mut entries = block::decode::<V>(&block)?;
            let count = entries.len();
            entries.retain(|(key, _)| **key < **begin);
            if entries.len() < count {
                self.tree.insert(before, block::encode(&entries))?;
            }
        }
        self.tree.remove(begin)?;
        Ok(())
    }
}

/// Entries with the changes that are of the same block.
fn merge<'a, V: Value + 'a>(
    entries: Vec<Entry<V>>,
    changes: &mut Peekable<impl Iterator<Item = (&'a Box<[u8]>, &'a Option<V>)>>,
    is_inside: impl Fn(&[u8]) -> bool,
) -> Vec<Entry<V>> {
    let mut merged = Vec::with_capacity(entries.len() + 1);
    let mut old = entries.into_iter().peekable();
    while let Some((key, value)) = changes.next_if(|(key, _)| is_inside(key)) {
        while let Some(entry) = old.next_if(|(old, _)| old < key) {
            merged.push(entry);
        }
        // Its place is taken, or it goes.
        drop(old.next_if(|(old, _)| old == key));
        merged.extend(value.map(|value| (key.clone(), value)));
    }
    merged.extend(old);
    merged
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicBool, Ordering};

    use proptest::prelude::*;

    use super::*;
    use crate::Order;
    use crate::embedded::index::Walk;
    use crate::embedded::spot::{Spot, spot};
    use crate::sled::layer::{Ahead, Records};
    use crate::sled::merged;

    type Key = Box<[u8]>;

    fn key(number: u16) -> Key {
        format!("k/{number:03}").into_bytes().into()
    }

    fn blocks() -> Blocks {
        let db = sled::Config::new().temporary(true).open().unwrap();
        Blocks::of(db.open_tree("records").unwrap())
    }

    fn take(blocks: &Blocks, changes: &Changes<Spot>) {
        assert!(blocks.take(changes, &mut |_| true).unwrap());
    }

    /// All that a walk shows, in the order of keys.
    fn walked(blocks: &Blocks, order: Order) -> Vec<(Key, u64)> {
        let mut found = Vec::new();
        let walk = Walk { order, ..Walk::ALL };
        merged::walk::<Records>(&Ahead::default(), blocks, walk, |key, spot| {
            found.push((key.into(), spot.version));
            Ok(true)
        })
        .unwrap();
        if order == Order::Down {
            found.reverse();
        }
        found
    }

    /// Adds to a block what a process that was killed while it cut it leaves: entries that lie in the next ones now.
    fn leave_behind(blocks: &Blocks, which: usize) {
        let all: Vec<(IVec, IVec)> = blocks.tree.iter().map(Result::unwrap).collect();
        let Some([(begin, block), (next, _), ..]) = all.get(which..) else {
            return;
        };
        let mut entries = block::decode::<Spot>(block).unwrap();
        entries.push((next.as_ref().into(), spot(u64::MAX >> 12)));
        entries.push((b"k/9999".as_slice().into(), spot(u64::MAX >> 12)));
        blocks.tree.insert(begin, block::encode(&entries)).unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_tree_of_blocks_is_a_map_whatever_a_killed_process_left_twice(
            layers in prop::collection::vec(
                (prop::collection::btree_map(0..300_u16, prop::option::weighted(0.7, 1..1000_u64), 1..80), 0..20_usize),
                1..12,
            ),
        ) {
            let blocks = blocks();
            let mut model: BTreeMap<Key, u64> = BTreeMap::new();
            for (layer, torn) in layers {
                let changes: Changes<Spot> = layer
                    .iter()
                    .map(|(number, version)| (key(*number), version.map(spot)))
                    .collect();
                take(&blocks, &changes);
                for (number, version) in layer {
                    match version {
                        Some(version) => drop(model.insert(key(number), version)),
                        None => drop(model.remove(&key(number))),
                    }
                }
                leave_behind(&blocks, torn);
                let expected: Vec<(Key, u64)> = model.clone().into_iter().collect();
                prop_assert_eq!(&walked(&blocks, Order::Up), &expected);
                prop_assert_eq!(&walked(&blocks, Order::Down), &expected);
                for number in 0..300 {
                    let found = blocks.get::<Spot>(&key(number)).unwrap();
                    prop_assert_eq!(found.map(|spot| spot.version), model.get(&key(number)).copied());
                }
            }
        }
    }

    #[test]
    fn what_grows_at_its_end_fills_its_blocks_and_what_is_emptied_goes() {
        let blocks = blocks();
        let layer = |numbers: std::ops::Range<u16>, value: Option<Spot>| -> Changes<Spot> {
            numbers.map(|number| (key(number), value)).collect()
        };
        for start in (0..960).step_by(48) {
            take(&blocks, &layer(start..start + 48, Some(spot(1))));
        }
        assert_eq!(blocks.tree.len(), 960 / block::ENTRIES_MAX);
        for number in 960..976 {
            take(&blocks, &layer(number..number + 1, Some(spot(1))));
        }
        assert_eq!(blocks.tree.len(), 976 / block::ENTRIES_MAX, "one by one too");
        take(&blocks, &layer(0..976, None));
        assert!(blocks.is_empty());
    }

    #[test]
    fn readers_see_every_key_while_blocks_are_cut() {
        let blocks = blocks();
        let even: Changes<Spot> = (0..1000)
            .step_by(2)
            .map(|number| (key(number), Some(spot(1))))
            .collect();
        take(&blocks, &even);
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reading = scope.spawn(|| {
                let mut rounds = 0;
                while !is_over.load(Ordering::Relaxed) || rounds == 0 {
                    for key in even.keys() {
                        assert!(blocks.get::<Spot>(key).unwrap().is_some(), "{key:?}");
                    }
                    assert!(walked(&blocks, Order::Up).len() >= even.len());
                    rounds += 1;
                }
            });
            for round in 0..10_u16 {
                for number in (1..1000).step_by(2) {
                    let value = (round % 2 == 0).then(|| spot(2));
                    take(&blocks, &Changes::from([(key(number), value)]));
                }
            }
            is_over.store(true, Ordering::Relaxed);
            reading.join().unwrap();
        });
    }
}
