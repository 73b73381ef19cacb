//! The commit queue: bounded, first in first out within a lane, deficit round robin by bytes over lanes.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::committer::SHUT_DOWN;
use super::work::Work;
use crate::{BusyCause, CommitError, Lane};

/// Most commits waiting.
pub(crate) const COMMIT_QUEUE_MAX: usize = 4096;
/// Most bytes of commits waiting.
pub(crate) const COMMIT_QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most commits of a group.
const GROUP_MAX: usize = 512;
/// The least that a group may have while several lanes commit, however short a flush is.
const GROUP_SHARED_MIN: usize = 16;
/// What is done for a group's commits takes this part of its flush, while several lanes commit.
const FLUSH_PART: u128 = 4;
/// How many groups of one lane alone are needed for another to be forgotten.
const SHARED_GROUPS: u32 = 64;
/// Most bytes of a group; one commit more may pass it.
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The committer is awake.
const NEVER: usize = usize::MAX;
/// What a lane may take in one round. Small, so that many lanes share one group.
const QUANTUM_BYTES: usize = 4 * 1024;

/// Something to be written, and until when.
#[derive(Debug)]
pub(crate) struct Waiting {
    serial: u64,
    pub(crate) deadline: Option<Instant>,
    pub(crate) bytes: usize,
    pub(crate) work: Work,
}

/// What the committer finds.
#[derive(Debug)]
pub(crate) enum Next {
    /// Work, in the order in which it is judged.
    Group(Vec<Waiting>),
    /// Nothing for the time it would wait.
    Idle,
    /// Nothing any more: the store closes.
    Closed(Ending),
}

/// How a queue ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// What waits is still written, and the end made clean.
    Clean,
    /// The store was dropped: as if the process had died.
    Dropped,
}

/// The queue between callers and the committer.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    arrived: Condvar,
    /// How many commits wait, to be looked at without the lock.
    length: AtomicUsize,
}

#[derive(Debug, Default)]
struct Inner {
    lanes: HashMap<Lane, Waitings>,
    round: VecDeque<Lane>,
    commits: usize,
    bytes: usize,
    serial: u64,
    in_flight: usize,
    /// For how many more groups the lanes that committed of late count as several.
    shared_groups: u32,
    /// Most commits of a group while they do.
    shared_max: usize,
    /// The committer sleeps until this many commits wait.
    wakes_at: usize,
    ending: Option<Ending>,
    closed: Option<&'static str>,
}

#[derive(Debug, Default)]
struct Waitings {
    queue: VecDeque<Waiting>,
    deficit: usize,
}

impl Queue {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts work at the end of its lane; the number withdraws it.
    ///
    /// # Errors
    /// `Busy` when the queue is full, `Closed`.
    pub(crate) fn submit(
        &self,
        lane: &Lane,
        deadline: Option<Instant>,
        bytes: usize,
        work: Work,
    ) -> Result<u64, CommitError> {
        let mut inner = self.inner();
        let serial = inner.submit(lane, deadline, bytes, work)?;
        self.length.store(inner.commits, Ordering::Relaxed);
        let wakes = inner.commits >= inner.wakes_at;
        drop(inner);
        if wakes {
            self.arrived.notify_one();
        }
        Ok(serial)
    }

    /// Takes work back, if it still waits: then it is certain that it is never written.
    pub(crate) fn withdraw(&self, lane: &Lane, serial: u64) -> bool {
        let mut inner = self.inner();
        let is_withdrawn = inner.withdraw(lane, serial);
        self.length.store(inner.commits, Ordering::Relaxed);
        is_withdrawn
    }

    /// The next group, waiting for one; at most for the time given.
    ///
    /// It takes what is there. There is no timer and no minimum.
    pub(crate) fn next(&self, idle: Option<Duration>) -> Next {
        let mut inner = self.inner();
        inner.in_flight = 0;
        loop {
            if inner.ending == Some(Ending::Dropped) {
                return Next::Closed(Ending::Dropped);
            }
            if inner.commits > 0 {
                inner.wakes_at = NEVER;
                let group = inner.take_group();
                self.length.store(inner.commits, Ordering::Relaxed);
                return Next::Group(group);
            }
            if let Some(ending) = inner.ending {
                return Next::Closed(ending);
            }
            inner.wakes_at = 1;
            let Some(idle) = idle else {
                inner = self.arrived.wait(inner).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let waited = self
                .arrived
                .wait_timeout(inner, idle)
                .unwrap_or_else(PoisonError::into_inner);
            inner = waited.0;
            if waited.1.timed_out() && inner.commits == 0 && inner.ending.is_none() {
                inner.wakes_at = NEVER;
                return Next::Idle;
            }
        }
    }

    /// Waits until this many commits wait, at most this long.
    pub(crate) fn gather(&self, commits: usize, at_most: Duration) {
        let mut inner = self.inner();
        inner.wakes_at = commits;
        let waited = self.arrived.wait_timeout_while(inner, at_most, |inner| {
            inner.commits < commits && inner.ending.is_none()
        });
        waited.unwrap_or_else(PoisonError::into_inner).0.wakes_at = NEVER;
    }

    /// What the last group took: to flush it, and all else for each of its commits.
    ///
    /// A lane waits for the group that is under way and for its own. While others commit beside it, groups have no more
    /// commits than take a part of the flush's time, so that a flood makes that little longer.
    pub(crate) fn took(&self, flush: Duration, each: Duration) {
        let fitting = flush.as_nanos() / (each.as_nanos().max(1) * FLUSH_PART);
        self.inner().shared_max = usize::try_from(fitting)
            .unwrap_or(GROUP_MAX)
            .clamp(GROUP_SHARED_MIN, GROUP_MAX);
    }

    /// Most commits of a group while several lanes commit; 0 until that was told.
    #[cfg(all(test, feature = "sled"))]
    pub(crate) fn shared_max(&self) -> usize {
        self.inner().shared_max
    }

    /// How many commits wait.
    pub(crate) fn waiting(&self) -> usize {
        self.length.load(Ordering::Relaxed)
    }

    /// How many commits have no answer yet.
    pub(crate) fn unanswered(&self) -> usize {
        let inner = self.inner();
        inner.commits + inner.in_flight
    }

    /// Refuses what comes from now on, and lets the committer end.
    pub(crate) fn end(&self, ending: Ending) {
        let mut inner = self.inner();
        inner.closed.get_or_insert(SHUT_DOWN);
        inner.ending = Some(ending);
        drop(inner);
        self.arrived.notify_one();
    }

    /// Refuses what comes from now on, and hands back what waits.
    pub(crate) fn refuse(&self, reason: &'static str) -> Vec<Waiting> {
        let mut inner = self.inner();
        inner.closed = Some(reason);
        self.length.store(0, Ordering::Relaxed);
        inner.take_all()
    }
}

impl Inner {
    fn submit(
        &mut self,
        lane: &Lane,
        deadline: Option<Instant>,
        bytes: usize,
        work: Work,
    ) -> Result<u64, CommitError> {
        if let Some(reason) = self.closed {
            return Err(CommitError::Closed { reason });
        }
        if self.commits >= COMMIT_QUEUE_MAX || self.bytes + bytes > COMMIT_QUEUE_BYTES_MAX {
            return Err(CommitError::Busy {
                cause: BusyCause::Queue,
            });
        }
        self.serial += 1;
        self.commits += 1;
        self.bytes += bytes;
        let waiting = Waiting {
            serial: self.serial,
            deadline,
            bytes,
            work,
        };
        if let Some(waitings) = self.lanes.get_mut(lane) {
            waitings.queue.push_back(waiting);
        } else {
            let waitings = Waitings {
                queue: VecDeque::from([waiting]),
                deficit: 0,
            };
            self.lanes.insert(lane.clone(), waitings);
            self.round.push_back(lane.clone());
        }
        Ok(self.serial)
    }

    fn withdraw(&mut self, lane: &Lane, serial: u64) -> bool {
        let Some(waitings) = self.lanes.get_mut(lane) else {
            return false;
        };
        let Ok(at) = waitings.queue.binary_search_by_key(&serial, |w| w.serial) else {
            return false;
        };
        let withdrawn = waitings.queue.remove(at);
        self.commits -= 1;
        self.bytes -= withdrawn.map_or(0, |w| w.bytes);
        if waitings.queue.is_empty() {
            self.lanes.remove(lane);
            self.round.retain(|other| other != lane);
        }
        true
    }

    /// Goes round the lanes; each takes up to its quantum, saves what it did not use, and goes to the end.
    fn take_group(&mut self) -> Vec<Waiting> {
        let most = self.group_max();
        let mut group = Vec::with_capacity(self.commits.min(most));
        let mut bytes = 0;
        while group.len() < most && bytes < GROUP_BYTES_MAX {
            let Some(lane) = self.round.pop_front() else {
                break;
            };
            let Some(waitings) = self.lanes.get_mut(&lane) else {
                continue;
            };
            waitings.deficit += QUANTUM_BYTES;
            while group.len() < most
                && let Some(first) = waitings.queue.front()
                && first.bytes <= waitings.deficit
                && let Some(first) = waitings.queue.pop_front()
            {
                waitings.deficit -= first.bytes;
                bytes += first.bytes;
                group.push(first);
            }
            if waitings.queue.is_empty() {
                self.lanes.remove(&lane);
            } else {
                self.round.push_back(lane);
            }
        }
        self.commits -= group.len();
        self.bytes -= bytes;
        self.in_flight = group.len();
        group
    }

    fn group_max(&mut self) -> usize {
        self.shared_groups = if self.round.len() > 1 {
            SHARED_GROUPS
        } else {
            self.shared_groups.saturating_sub(1)
        };
        if self.shared_groups > 0 {
            self.shared_max.max(GROUP_SHARED_MIN)
        } else {
            GROUP_MAX
        }
    }

    fn take_all(&mut self) -> Vec<Waiting> {
        self.commits = 0;
        self.bytes = 0;
        self.round.clear();
        self.lanes
            .drain()
            .flat_map(|(_, waitings)| waitings.queue)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Batch, Expected, Key, RecordKind, Segment};

    fn lane(name: &str) -> Lane {
        Lane::Tenant(Segment::parse(name).unwrap())
    }

    fn submit(queue: &Queue, name: &str, count: usize) {
        for _ in 0..count {
            let mut batch = Batch::new(lane(name));
            batch.put(
                Key::parse("a").unwrap(),
                Expected::Absent,
                RecordKind::of("test"),
                vec![0; 300],
            );
            let bytes = batch.bytes();
            let (answer, _) = tokio::sync::oneshot::channel();
            queue
                .submit(&lane(name), None, bytes, Work::Commit(batch, answer))
                .unwrap();
        }
    }

    fn group(queue: &Queue) -> usize {
        match queue.next(None) {
            Next::Group(group) => group.len(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_flood_fills_groups_alone_and_beside_another_lane_only_as_far_as_a_flush_lasts() {
        let queue = Queue::default();
        submit(&queue, "flood", 3000);
        assert_eq!(group(&queue), GROUP_MAX);
        submit(&queue, "quiet", 1);
        assert_eq!(group(&queue), GROUP_SHARED_MIN);
        assert_eq!(group(&queue), GROUP_SHARED_MIN, "the other lane may come again");
        queue.took(Duration::from_millis(2), Duration::from_micros(10));
        assert_eq!(group(&queue), 50);
        queue.took(Duration::from_millis(2), Duration::from_nanos(500));
        assert_eq!(group(&queue), GROUP_MAX);
        queue.took(Duration::ZERO, Duration::ZERO);
        for _ in 3..SHARED_GROUPS {
            submit(&queue, "flood", 10);
            group(&queue);
        }
        submit(&queue, "flood", GROUP_MAX);
        assert!(group(&queue) > GROUP_SHARED_MIN, "it is long gone");
    }
}
