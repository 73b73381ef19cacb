//! Walking a tree together with what it does not have yet.

use std::cmp::Ordering;
use std::collections::{VecDeque, btree_map};
use std::ops::{Bound, RangeBounds};
use std::sync::RwLockReadGuard;

use sled::IVec;

use super::block::{self, Entry};
use super::blocks::Blocks;
use super::layer::{Ahead, Changes, Part};
use super::trees::Value;
use crate::Order;
use crate::embedded::index::{IndexError, Walk};

/// Shows what is in a range, in order, until told to stop: of each key the newest value there is.
///
/// Who is shown something looks for nothing else in the tree meanwhile.
pub(super) fn walk<P: Part<Value: Value>>(
    ahead: &Ahead,
    tree: &Blocks,
    walk: Walk<'_>,
    mut visit: impl FnMut(&[u8], P::Value) -> Result<bool, IndexError>,
) -> Result<(), IndexError> {
    walk_all::<P>(ahead, tree, walk, |key, value| {
        value.map_or(Ok(true), |value| visit(key, value))
    })
}

/// The same, and shows also what was removed and is still in the tree, or in a layer.
pub(super) fn walk_all<P: Part<Value: Value>>(
    ahead: &Ahead,
    tree: &Blocks,
    walk: Walk<'_>,
    mut visit: impl FnMut(&[u8], Option<P::Value>) -> Result<bool, IndexError>,
) -> Result<(), IndexError> {
    if walk.is_nothing() {
        return Ok(());
    }
    let mut over: Vec<Over<'_, P::Value>> = ahead
        .layers()
        .filter_map(|layer| Over::of(P::of(layer), walk))
        .collect();
    let mut beneath = Beneath::<P::Value>::of(tree, walk)?;
    loop {
        let least = over
            .iter()
            .filter_map(|over| over.head.map(|(key, _)| key))
            .min_by(|a, b| compare(a, b, walk.order));
        let which = match (least, beneath.ready.front()) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(least), Some((key, _))) => compare(least, key, walk.order),
        };
        let goes_on = match (which, least) {
            (Ordering::Less | Ordering::Equal, Some(least)) => {
                if which == Ordering::Equal {
                    beneath.next()?;
                }
                visit(least, take(&mut over, least))?
            }
            _ => match beneath.next()? {
                Some((key, value)) => visit(&key, Some(value))?,
                None => true,
            },
        };
        if !goes_on {
            return Ok(());
        }
    }
}

/// The nearest keys on both sides; none where there is none.
type Neighbours = [Option<Box<[u8]>>; 2];

/// How many removed keys are passed over in looking for a neighbour.
const REMOVED_MAX: usize = 64;

/// The nearest keys below a bound and above one; nothing where too much was removed before one of them.
pub(super) fn neighbours<P: Part<Value: Value>>(
    ahead: &Ahead,
    tree: &Blocks,
    below: Bound<&[u8]>,
    above: Bound<&[u8]>,
) -> Result<Option<Neighbours>, IndexError> {
    let down = Walk {
        high: below,
        order: Order::Down,
        ..Walk::ALL
    };
    let up = Walk {
        low: above,
        ..Walk::ALL
    };
    let mut found = [None, None];
    for (found, walk) in found.iter_mut().zip([down, up]) {
        let mut removed = 0;
        walk_all::<P>(ahead, tree, walk, |key, value| {
            match value {
                Some(_) => *found = Some(Box::from(key)),
                None => removed += 1,
            }
            Ok(value.is_none() && removed <= REMOVED_MAX)
        })?;
        if removed > REMOVED_MAX {
            return Ok(None);
        }
    }
    Ok(Some(found))
}

/// Whether `a` is shown before `b`.
fn compare(a: &[u8], b: &[u8], order: Order) -> Ordering {
    match order {
        Order::Up => a.cmp(b),
        Order::Down => b.cmp(a),
    }
}

/// The newest value of a key, which every layer passes.
fn take<V: Copy>(over: &mut [Over<'_, V>], key: &[u8]) -> Option<V> {
    let mut newest = None;
    for over in over {
        if let Some((_, value)) = over.head.filter(|(at, _)| *at == key) {
            newest.get_or_insert(value);
            over.next();
        }
    }
    newest.flatten()
}

/// A layer's part of the range.
struct Over<'a, V> {
    head: Option<(&'a [u8], Option<V>)>,
    rest: btree_map::Range<'a, Box<[u8]>, Option<V>>,
    order: Order,
}

impl<'a, V: Copy> Over<'a, V> {
    /// None where the layer has nothing of it.
    fn of(changes: &'a Changes<V>, walk: Walk<'_>) -> Option<Self> {
        if changes.is_empty() {
            return None;
        }
        let mut over = Self {
            head: None,
            rest: changes.range::<[u8], (Bound<&[u8]>, Bound<&[u8]>)>((walk.low, walk.high)),
            order: walk.order,
        };
        over.next();
        over.head.is_some().then_some(over)
    }

    fn next(&mut self) {
        let next = match self.order {
            Order::Up => self.rest.next(),
            Order::Down => self.rest.next_back(),
        };
        self.head = next.map(|(key, value)| (&**key, *value));
    }
}

/// The tree's part of the range.
struct Beneath<'a, V> {
    /// What comes next, as far as it is decoded.
    ready: VecDeque<Entry<V>>,
    blocks: sled::Iter,
    /// Upwards the block behind those decoded.
    next: Option<(IVec, IVec)>,
    /// Downwards where the block decoded last begins: nothing of those before it counts from there on.
    end: Option<IVec>,
    is_over: bool,
    walk: Walk<'a>,
    _whole: RwLockReadGuard<'a, ()>,
}

impl<'a, V: Value> Beneath<'a, V> {
    fn of(tree: &'a Blocks, walk: Walk<'a>) -> Result<Self, IndexError> {
        let whole = tree.keep_whole();
        let blocks = match walk.order {
            Order::Up => tree.up(walk.low)?,
            Order::Down => tree.down(walk.high),
        };
        let mut beneath = Self {
            ready: VecDeque::new(),
            blocks,
            next: None,
            end: None,
            is_over: false,
            walk,
            _whole: whole,
        };
        if walk.order == Order::Up {
            beneath.next = beneath.blocks.next().transpose()?;
        }
        beneath.fill()?;
        Ok(beneath)
    }

    /// What comes next, and goes on.
    fn next(&mut self) -> Result<Option<Entry<V>>, IndexError> {
        let next = self.ready.pop_front();
        if self.ready.is_empty() {
            self.fill()?;
        }
        Ok(next)
    }

    /// Decodes the next block that has something of the range. Ends with the tree.
    fn fill(&mut self) -> Result<(), IndexError> {
        while self.ready.is_empty() && !self.is_over {
            match self.walk.order {
                Order::Up => self.fill_up()?,
                Order::Down => self.fill_down()?,
            }
        }
        Ok(())
    }

    fn fill_up(&mut self) -> Result<(), IndexError> {
        let Some((_, block)) = self.next.take() else {
            self.is_over = true;
            return Ok(());
        };
        self.next = self.blocks.next().transpose()?;
        for (key, value) in block::decode::<V>(&block)? {
            let is_of_next = self.next.as_ref().is_some_and(|(begin, _)| *key >= **begin);
            if is_of_next {
                break;
            }
            if !is_below(&key, self.walk.high) {
                self.is_over = true;
                break;
            }
            if is_above(&key, self.walk.low) {
                self.ready.push_back((key, value));
            }
        }
        Ok(())
    }

    fn fill_down(&mut self) -> Result<(), IndexError> {
        let Some((begin, block)) = self.blocks.next_back().transpose()? else {
            self.is_over = true;
            return Ok(());
        };
        for (key, value) in block::decode::<V>(&block)?.into_iter().rev() {
            let is_of_next = self.end.as_ref().is_some_and(|end| *key >= **end);
            if is_of_next || !is_below(&key, self.walk.high) {
                continue;
            }
            if !is_above(&key, self.walk.low) {
                self.is_over = true;
                break;
            }
            self.ready.push_back((key, value));
        }
        self.end = Some(begin);
        Ok(())
    }
}

fn is_above(key: &[u8], low: Bound<&[u8]>) -> bool {
    RangeBounds::<[u8]>::contains(&(low, Bound::Unbounded), key)
}

fn is_below(key: &[u8], high: Bound<&[u8]>) -> bool {
    RangeBounds::<[u8]>::contains(&(Bound::Unbounded, high), key)
}
