//! Contention is combined, not fought: what would fight for one row queues up in a process and is done together.
//!
//! Those that come while a commit is in flight go together in the next, in the order in which they came. No delay is added.
//! Whoever is gone meanwhile is passed over, unless its commit is in flight.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::CommandError;

/// What waits to be done together with others.
pub(crate) trait Waits {
    /// Whether nobody waits for its answer any more.
    fn is_gone(&self) -> bool;

    /// It is not done before then; none where it may be at once.
    fn not_before(&self) -> Option<Instant>;
}

/// A queue of what is done together.
pub(crate) struct Combiner<E> {
    queue: Mutex<Queue<E>>,
    /// One more waits.
    came: Notify,
}

struct Queue<E> {
    waiting: VecDeque<E>,
    is_served: bool,
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            is_served: false,
        }
    }
}

impl<E> Default for Combiner<E> {
    fn default() -> Self {
        Self {
            queue: Mutex::default(),
            came: Notify::new(),
        }
    }
}

impl<E> fmt::Debug for Combiner<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Combiner({} wait)", self.with(|queue| queue.waiting.len()))
    }
}

/// What is to be done next.
enum Next<E> {
    Group(Vec<E>),
    /// Nothing before then, or before another comes.
    Wait(Instant),
    /// Nobody waits, and so nobody serves.
    Nobody,
}

impl<E> Combiner<E> {
    fn with<T>(&self, f: impl FnOnce(&mut Queue<E>) -> T) -> T {
        f(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<E: Waits> Combiner<E> {
    /// Adds one behind the others. Whether nobody serves them: then the caller lets somebody [`serve`](Self::serve).
    ///
    /// # Errors
    /// `Contended` where as many wait as may.
    pub(crate) fn enter(&self, entry: E, waiting_max: usize) -> Result<bool, CommandError> {
        let begins = self.with(|queue| {
            if queue.waiting.len() >= waiting_max {
                return Err(CommandError::LOST_RACE);
            }
            queue.waiting.push_back(entry);
            Ok(!std::mem::replace(&mut queue.is_served, true))
        })?;
        self.came.notify_one();
        Ok(begins)
    }

    /// Does group after group; what a group gives back goes before those that came later. `room` says for each group anew
    /// whether it has room for one more, the first one aside. Ends when nobody waits.
    pub(crate) async fn serve<F, A>(&self, room: impl Fn() -> F, mut settle: impl FnMut(Vec<E>) -> A)
    where
        F: FnMut(&E) -> bool,
        A: Future<Output = Vec<E>>,
    {
        let cut_short = CutShort(self);
        // Ends when nobody waits.
        loop {
            match self.next(room()) {
                Next::Group(group) => {
                    let again = settle(group).await;
                    self.with(|queue| {
                        again
                            .into_iter()
                            .rev()
                            .for_each(|one| queue.waiting.push_front(one));
                    });
                }
                Next::Wait(until) => tokio::select! {
                    () = sleep_until(until) => {}
                    () = self.came.notified() => {}
                },
                Next::Nobody => break,
            }
        }
        // Nobody serves any more, or already another does.
        std::mem::forget(cut_short);
    }

    /// The next group, in the order of arrival.
    fn next(&self, mut has_room: impl FnMut(&E) -> bool) -> Next<E> {
        let now = Instant::now();
        self.with(|queue| {
            let (mut group, mut later) = (Vec::new(), VecDeque::new());
            while let Some(entry) = queue.waiting.pop_front() {
                if entry.is_gone() {
                    continue;
                }
                if entry.not_before().is_some_and(|at| at > now) {
                    later.push_back(entry);
                    continue;
                }
                if !has_room(&entry) && !group.is_empty() {
                    later.push_back(entry);
                    break;
                }
                group.push(entry);
            }
            let until = later.iter().filter_map(Waits::not_before).min();
            later.append(&mut queue.waiting);
            queue.waiting = later;
            match until {
                _ if !group.is_empty() => Next::Group(group),
                Some(until) => Next::Wait(until),
                None => {
                    queue.is_served = false;
                    Next::Nobody
                }
            }
        })
    }
}

/// Serving that ends by a panic, or with the runtime: who waits still is told by the drop of its sender, and the next one
/// begins anew.
struct CutShort<'c, E>(&'c Combiner<E>);

impl<E> Drop for CutShort<'_, E> {
    fn drop(&mut self) {
        let left = self.0.with(std::mem::take);
        // Not under the lock: what is told by it may ask for more.
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::time::Duration;

    use super::*;

    struct One {
        name: u32,
        not_before: Option<Instant>,
        is_gone: bool,
    }

    impl Waits for One {
        fn is_gone(&self) -> bool {
            self.is_gone
        }

        fn not_before(&self) -> Option<Instant> {
            self.not_before
        }
    }

    fn one(name: u32) -> One {
        One {
            name,
            not_before: None,
            is_gone: false,
        }
    }

    fn pairs() -> impl FnMut(&One) -> bool {
        let mut room = 2;
        move |_| {
            room -= 1;
            room >= 0
        }
    }

    async fn groups(combiner: &Combiner<One>, mut again: Option<One>) -> Vec<Vec<u32>> {
        let groups = RefCell::new(Vec::new());
        let settle = |group: Vec<One>| {
            groups
                .borrow_mut()
                .push(group.iter().map(|one| one.name).collect());
            let again: Vec<One> = again.take().into_iter().collect();
            std::future::ready(again)
        };
        combiner.serve(pairs, settle).await;
        groups.into_inner()
    }

    #[tokio::test(start_paused = true)]
    async fn they_go_in_the_order_of_arrival_and_who_is_gone_is_passed_over() {
        let combiner = Combiner::default();
        assert!(combiner.enter(one(1), 10).unwrap());
        let gone = One {
            is_gone: true,
            ..one(2)
        };
        assert!(!combiner.enter(gone, 10).unwrap());
        for name in 3..=6 {
            combiner.enter(one(name), 10).unwrap();
        }
        assert!(combiner.enter(one(7), 5).is_err(), "as many wait as may");
        let done = groups(&combiner, Some(one(0))).await;
        assert_eq!(done, [vec![1, 3], vec![0, 4], vec![5, 6]]);
        assert!(combiner.enter(one(8), 10).unwrap(), "nobody serves any more");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_to_wait_keeps_no_other() {
        let (combiner, begun) = (Combiner::default(), Instant::now());
        let later = One {
            not_before: Some(begun + Duration::from_secs(1)),
            ..one(1)
        };
        combiner.enter(later, 10).unwrap();
        combiner.enter(one(2), 10).unwrap();
        assert_eq!(groups(&combiner, None).await, [vec![2], vec![1]]);
        assert_eq!(begun.elapsed(), Duration::from_secs(1));
    }
}
