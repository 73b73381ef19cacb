//! Walking a tree together with what it does not have yet.

use std::cmp::Ordering;
use std::collections::btree_map;
use std::ops::Bound;

use sled::{IVec, Tree};

use super::layer::{Ahead, Changes, Part};
use super::trees::Value;
use crate::Order;
use crate::embedded::index::{IndexError, Walk};

/// Shows what is in a range, in order, until told to stop: of each key the newest value there is.
pub(super) fn walk<P: Part<Value: Value>>(
    ahead: &Ahead,
    tree: &Tree,
    walk: Walk<'_>,
    mut visit: impl FnMut(&[u8], P::Value) -> Result<bool, IndexError>,
) -> Result<(), IndexError> {
    if walk.is_nothing() {
        return Ok(());
    }
    let mut over: Vec<Over<'_, P::Value>> = ahead
        .layers()
        .filter_map(|layer| Over::of(P::of(layer), walk))
        .collect();
    let mut beneath = Beneath::of(tree, walk)?;
    loop {
        let least = over
            .iter()
            .filter_map(|over| over.head.map(|(key, _)| key))
            .min_by(|a, b| compare(a, b, walk.order));
        let which = match (least, &beneath.head) {
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
                match take(&mut over, least) {
                    Some(value) => visit(least, value)?,
                    None => true,
                }
            }
            _ => match beneath.next()? {
                Some((key, value)) => visit(&key, P::Value::of(&value)?)?,
                None => true,
            },
        };
        if !goes_on {
            return Ok(());
        }
    }
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
struct Beneath {
    head: Option<(IVec, IVec)>,
    rest: sled::Iter,
    order: Order,
}

impl Beneath {
    fn of(tree: &Tree, walk: Walk<'_>) -> Result<Self, IndexError> {
        let mut beneath = Self {
            head: None,
            rest: tree.range::<&[u8], _>((walk.low, walk.high)),
            order: walk.order,
        };
        beneath.next()?;
        Ok(beneath)
    }

    /// What comes next, and goes on.
    fn next(&mut self) -> Result<Option<(IVec, IVec)>, IndexError> {
        let next = match self.order {
            Order::Up => self.rest.next(),
            Order::Down => self.rest.next_back(),
        };
        Ok(std::mem::replace(&mut self.head, next.transpose()?))
    }
}
