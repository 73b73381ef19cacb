//! What the trees do not have yet: layers of changes in memory, the newest first. A thread takes the older ones to the
//! trees, so that commits wait for their flush only.
//!
//! Lost with the process, they are in the log: an opening replays what is behind the last checkpoint, and a checkpoint
//! is made behind a layer only when the trees have it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::blocks::Blocks;
use super::drain::{Drain, Leaving};
use super::trees::Trees;
use crate::embedded::index::IndexError;
use crate::embedded::spot::{Head, Spot};

/// Changes in a layer: some twenty milliseconds of the thread that takes them away.
const LAYER_CHANGES: usize = 4096;
/// Layers on their way. With so many a commit waits for a part of the oldest one before it is judged: some 10 MiB.
const LEAVING_MAX: usize = 8;
/// And with so many a change waits in any case: one group may make many layers, a rebuilding does. Each look-up goes
/// through all of them.
const LEAVING_STOP: usize = 2 * LEAVING_MAX;

/// Changed keys of a tree, each with its newest value; none where it is no more.
pub(super) type Changes<V> = BTreeMap<Box<[u8]>, Option<V>>;

/// Changes of the index, each key's newest.
#[derive(Debug, Default)]
pub(super) struct Layer {
    pub(super) records: Changes<Spot>,
    pub(super) heads: Changes<Head>,
    pub(super) entries: Changes<Spot>,
    /// The highest version it may hold something of.
    pub(super) version: u64,
}

impl Layer {
    pub(super) fn changes(&self) -> usize {
        self.records.len() + self.heads.len() + self.entries.len()
    }
}

/// One of the trees, and its changes in a layer.
pub(super) trait Part {
    type Value: Copy;
    /// Which of them it is, from 0.
    const NUMBER: usize;
    fn of(layer: &Layer) -> &Changes<Self::Value>;
    fn of_mut(layer: &mut Layer) -> &mut Changes<Self::Value>;
    fn tree(trees: &Trees) -> &Blocks;
}

macro_rules! part {
    ($name:ident, $field:ident, $value:ty, $number:literal) => {
        #[derive(Debug)]
        pub(super) struct $name;

        impl Part for $name {
            type Value = $value;
            const NUMBER: usize = $number;
            fn of(layer: &Layer) -> &Changes<$value> {
                &layer.$field
            }
            fn of_mut(layer: &mut Layer) -> &mut Changes<$value> {
                &mut layer.$field
            }
            fn tree(trees: &Trees) -> &Blocks {
                &trees.$field
            }
        }
    };
}

part!(Records, records, Spot, 0);
part!(Heads, heads, Head, 1);
part!(Entries, entries, Spot, 2);
/// How many there are.
pub(super) const PARTS: usize = 3;

/// All that the trees may lack.
#[derive(Debug)]
pub(super) struct Ahead {
    /// [`LAYER_CHANGES`]; fewer in tests.
    pub(super) layer_changes: usize,
    fresh: Layer,
    /// On their way to the trees, the oldest first. They tell what the trees will hold whether they have come or not.
    leaving: VecDeque<Arc<Leaving>>,
    /// The version of the last layer sent: the trees have to come to know it, with changes or without.
    sent: u64,
    drain: Drain,
}

impl Default for Ahead {
    fn default() -> Self {
        Self {
            layer_changes: LAYER_CHANGES,
            fresh: Layer::default(),
            leaving: VecDeque::new(),
            sent: 0,
            drain: Drain::default(),
        }
    }
}

impl Ahead {
    /// What is known of a key here; none if nothing is.
    pub(super) fn get<P: Part>(&self, key: &[u8]) -> Option<Option<P::Value>> {
        self.layers().find_map(|layer| P::of(layer).get(key).copied())
    }

    /// The layers, the newest first.
    pub(super) fn layers(&self) -> impl Iterator<Item = &Layer> {
        let leaving = self.leaving.iter().rev().map(|leaving| leaving.layer());
        std::iter::once(&self.fresh).chain(leaving)
    }

    /// Changes up to this version follow.
    pub(super) fn begin(&mut self, version: u64) -> Result<(), IndexError> {
        self.forget()?;
        self.fresh.version = version;
        Ok(())
    }

    /// Forgets the layers that the trees have.
    fn forget(&mut self) -> Result<(), IndexError> {
        while let Some(oldest) = self.leaving.front()
            && oldest.has_come()?
        {
            self.leaving.pop_front();
        }
        Ok(())
    }

    /// A key has this value now, or none.
    pub(super) fn set<P: Part>(
        &mut self,
        trees: &Trees,
        key: Box<[u8]>,
        value: Option<P::Value>,
    ) -> Result<(), IndexError> {
        P::of_mut(&mut self.fresh).insert(key, value);
        if self.fresh.changes() >= self.layer_changes {
            self.send(trees)?;
        }
        Ok(())
    }

    /// Sends what is fresh on its way. The last layer that is to come, if there is one.
    pub(super) fn send(&mut self, trees: &Trees) -> Result<Option<Arc<Leaving>>, IndexError> {
        if self.fresh.changes() > 0 || self.fresh.version > self.sent {
            self.forget()?;
            if self.leaving.len() >= LEAVING_STOP
                && let Some(oldest) = self.leaving.front()
            {
                oldest.wait()?;
                self.leaving.pop_front();
            }
            let version = self.fresh.version;
            self.sent = version;
            let next = Layer {
                version,
                ..Layer::default()
            };
            let leaving = Arc::new(Leaving::new(std::mem::replace(&mut self.fresh, next)));
            self.drain.take(Arc::clone(&leaving), trees.clone())?;
            self.leaving.push_back(leaving);
        }
        Ok(self.leaving.back().cloned())
    }

    /// What is to be waited for before more is committed, and how many of its changes. An error where the trees did not
    /// take what was sent.
    ///
    /// As much of the oldest layer as there is of the fresh one, for its place is wanted when that is full: so each group
    /// waits a little, and none for the whole of a layer.
    pub(super) fn too_far(&self) -> Result<Option<(Arc<Leaving>, usize)>, IndexError> {
        if let Some(oldest) = self.leaving.front() {
            oldest.has_come()?;
        }
        let many = self.leaving.len().checked_sub(LEAVING_MAX);
        let oldest = many.and_then(|many| self.leaving.get(many));
        Ok(oldest.map(|oldest| {
            let part = oldest.layer().changes() * self.fresh.changes() / self.layer_changes;
            (Arc::clone(oldest), part)
        }))
    }
}
