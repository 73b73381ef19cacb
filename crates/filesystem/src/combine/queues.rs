//! The queues of a store's hot keys. Only keys with updates on their way are in the map.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::member::{Member, Members};
use crate::Key;

/// Most updates waiting for one key.
pub const COMBINE_QUEUE_MAX: usize = 1024;
/// Most updates waiting in one store, over all keys.
pub const COMBINE_WAITING_MAX: usize = 65_536;
/// Most updates in one commit.
pub const COMBINE_MAX: usize = 256;

/// Who waits, by key, in order.
#[derive(Default)]
pub(super) struct Queues(Mutex<All>);

#[derive(Default)]
struct All {
    queues: HashMap<Key, VecDeque<Box<dyn Member>>>,
    waiting: usize,
}

/// What came of entering.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entered {
    /// Nobody is there: whoever entered begins the queue's task.
    First,
    /// It waits.
    Behind,
    /// It does not wait: too many do.
    Full,
}

impl Queues {
    fn all(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn enter(&self, key: &Key, member: Box<dyn Member>) -> Entered {
        let mut all = self.all();
        let All { queues, waiting } = &mut *all;
        if *waiting >= COMBINE_WAITING_MAX {
            return Entered::Full;
        }
        let entered = match queues.get_mut(key) {
            Some(queue) if queue.len() >= COMBINE_QUEUE_MAX => return Entered::Full,
            Some(queue) => {
                queue.push_back(member);
                Entered::Behind
            }
            None => {
                queues.insert(key.clone(), VecDeque::from([member]));
                Entered::First
            }
        };
        *waiting += 1;
        entered
    }

    /// The next members of a key, at most [`COMBINE_MAX`]; none when nobody waits.
    pub(super) fn take(&self, key: &Key) -> Members {
        let mut all = self.all();
        let All { queues, waiting } = &mut *all;
        let Some(queue) = queues.get_mut(key) else {
            return Members::new();
        };
        let taken: Members = queue.drain(..queue.len().min(COMBINE_MAX)).collect();
        *waiting -= taken.len();
        taken
    }

    /// Ends a queue in which nobody waits; false when somebody does.
    pub(super) fn end(&self, key: &Key) -> bool {
        let mut all = self.all();
        let is_empty = all.queues.get(key).is_none_or(VecDeque::is_empty);
        if is_empty {
            all.queues.remove(key);
        }
        is_empty
    }

    /// Members that have to wait for the next round go before all others.
    pub(super) fn put_back(&self, key: &Key, members: Members) {
        let mut all = self.all();
        all.waiting += members.len();
        let queue = all.queues.entry(key.clone()).or_default();
        for member in members.into_iter().rev() {
            queue.push_front(member);
        }
    }

    /// Ends a queue whose task ends before it: its members are told by being dropped.
    pub(super) fn abandon(&self, key: &Key) {
        let abandoned = {
            let mut all = self.all();
            let abandoned = all.queues.remove(key);
            all.waiting -= abandoned.as_ref().map_or(0, VecDeque::len);
            abandoned
        };
        drop(abandoned);
    }

    /// How many keys have a queue.
    pub(super) fn len(&self) -> usize {
        self.all().queues.len()
    }
}
