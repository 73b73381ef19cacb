//! Commits that wait for a connection: bounded, fair by lane, and grouped so that no two disturb one another.

mod forming;
#[cfg(test)]
mod tests;
mod waiting;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout};

use self::forming::Forming;
pub(in crate::postgres) use self::waiting::{Answer, Settled, Ticket, Waiting};
use super::claims::{Claims, Flight};
use crate::{Batch, BusyCause, CommitError, Key, Lane};

/// Most commits waiting.
const COMMIT_QUEUE_MAX: usize = 4096;
/// Most bytes of commits waiting.
const COMMIT_QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What a lane may take in one round. Small, so that many lanes share one group.
const QUANTUM_BYTES: usize = 4 * 1024;
/// The commits of one transaction.
#[derive(Debug, Default)]
pub(in crate::postgres) struct Group {
    pub(in crate::postgres) commits: Vec<Waiting>,
    /// For [`Settled`].
    before: u64,
}

impl Group {
    /// What is to be told to those who wait, when it is known.
    pub(in crate::postgres) fn settled(&self) -> Settled {
        Settled {
            keys: HashMap::new(),
            before: self.before,
        }
    }
}

/// What waits, and what is under way.
#[derive(Debug, Default)]
pub(in crate::postgres) struct Queue {
    inner: Mutex<Inner>,
    /// Something may be taken.
    pub(in crate::postgres) changed: Notify,
    /// A transaction is over.
    released: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    lanes: HashMap<Lane, Waiters>,
    /// Lanes with something waiting, in the order in which they are served.
    turns: VecDeque<Lane>,
    commits: usize,
    bytes: usize,
    flight: Flight,
    under_way: usize,
    serial: u64,
    refusal: Option<&'static str>,
}

#[derive(Debug, Default)]
struct Waiters {
    waiting: VecDeque<Waiting>,
    credit: usize,
}

impl Queue {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a commit at the end of its lane.
    pub(in crate::postgres) fn submit(
        &self,
        batch: Batch,
        deadline: Instant,
    ) -> Result<(Arc<Ticket>, oneshot::Receiver<Answer>), CommitError> {
        let bytes = batch.bytes();
        let mut inner = self.inner();
        if let Some(reason) = inner.refusal {
            return Err(CommitError::Closed { reason });
        }
        if inner.commits >= COMMIT_QUEUE_MAX || inner.bytes + bytes > COMMIT_QUEUE_BYTES_MAX {
            return Err(CommitError::Busy {
                cause: BusyCause::Queue,
            });
        }
        let serial = inner.serial;
        inner.serial += 1;
        let (answer, answered) = oneshot::channel();
        let ticket = Arc::new(Ticket::default());
        let lane = batch.lane.clone();
        inner.push(
            lane,
            Waiting {
                claims: Claims::of(&batch),
                batch,
                deadline,
                ticket: Arc::clone(&ticket),
                answer,
                bytes,
                serial,
            },
        );
        drop(inner);
        self.changed.notify_one();
        Ok((ticket, answered))
    }

    /// Forgets commits whose callers gave up.
    pub(in crate::postgres) fn sweep(&self, lane: &Lane) {
        let mut inner = self.inner();
        let Some(waiters) = inner.lanes.get_mut(lane) else {
            return;
        };
        let (mut commits, mut bytes) = (0, 0);
        waiters.waiting.retain(|waiting| {
            let is_kept = !waiting.ticket.is_withdrawn();
            if !is_kept {
                commits += 1;
                bytes += waiting.bytes;
            }
            is_kept
        });
        inner.commits -= commits;
        inner.bytes -= bytes;
        inner.forget_empty();
        drop(inner);
        self.changed.notify_one();
    }

    /// The next transaction: commits of which none writes a record that another of them, or one under way, names.
    /// They share the logs they append to. Empty when nothing can go now.
    pub(in crate::postgres) fn take(&self) -> Group {
        let mut inner = self.inner();
        Group {
            before: inner.serial,
            commits: inner.take(),
        }
    }

    /// Refuses those who lost to a transaction that is over, and takes out those who came while it was under way:
    /// they lost too, but to which version only the server can tell by now.
    pub(in crate::postgres) fn settle(&self, settled: &Settled) -> Vec<Waiting> {
        let mut inner = self.inner();
        if settled.keys.is_empty() || inner.commits == 0 {
            return Vec::new();
        }
        let mut lost = Vec::new();
        for waiters in inner.lanes.values_mut() {
            for waiting in std::mem::take(&mut waiters.waiting) {
                if waiting.conflict(settled).is_some() {
                    lost.push(waiting);
                } else {
                    waiters.waiting.push_back(waiting);
                }
            }
        }
        inner.commits -= lost.len();
        inner.bytes -= lost.iter().map(|waiting| waiting.bytes).sum::<usize>();
        inner.forget_empty();
        drop(inner);
        let (lost, later): (Vec<_>, Vec<_>) = lost
            .into_iter()
            .partition(|waiting| waiting.serial < settled.before);
        for waiting in lost {
            let conflict = waiting.conflict(settled).expect("it was found to conflict");
            waiting.answer(Err(conflict));
        }
        later
    }

    /// The transaction of these commits is over.
    pub(in crate::postgres) fn release(&self, claims: impl Iterator<Item = Claims>) {
        let mut inner = self.inner();
        for claims in claims {
            inner.flight.leave(&claims);
            inner.under_way -= 1;
        }
        drop(inner);
        self.released.notify_waiters();
        self.changed.notify_one();
    }

    /// Waits for the writes of these records that are under way now, if there are any, but no longer than this.
    pub(in crate::postgres) async fn written(&self, keys: &[Key], longest: Duration) {
        let mut writes: Vec<_> = {
            let inner = self.inner();
            let write_of = |key| inner.flight.write_of(key).map(|write| (key, write));
            keys.iter().filter_map(write_of).collect()
        };
        if writes.is_empty() {
            return;
        }
        let wait = async {
            // Ends with the last of the writes.
            loop {
                let released = self.released.notified();
                {
                    let inner = self.inner();
                    writes.retain(|(key, write)| inner.flight.write_of(key) == Some(*write));
                }
                if writes.is_empty() {
                    return;
                }
                released.await;
            }
        };
        // Whether it was over in time makes no difference.
        drop(timeout(longest, wait).await);
    }

    /// Refuses commits from now on. What waits is still done.
    pub(in crate::postgres) fn close(&self, reason: &'static str) {
        self.inner().refusal.get_or_insert(reason);
        self.changed.notify_one();
    }

    pub(in crate::postgres) fn refusal(&self) -> Option<&'static str> {
        self.inner().refusal
    }

    /// Commits that wait or are under way.
    pub(in crate::postgres) fn unanswered(&self) -> usize {
        let inner = self.inner();
        inner.commits + inner.under_way
    }

    pub(in crate::postgres) fn waiting(&self) -> usize {
        self.inner().commits
    }
}

impl Inner {
    fn push(&mut self, lane: Lane, waiting: Waiting) {
        self.commits += 1;
        self.bytes += waiting.bytes;
        let waiters = self.lanes.entry(lane.clone()).or_default();
        if waiters.waiting.is_empty() {
            self.turns.push_back(lane);
        }
        waiters.waiting.push_back(waiting);
    }

    fn take(&mut self) -> Vec<Waiting> {
        let mut forming = Forming::default();
        let mut looked_at: HashMap<Lane, usize> = HashMap::new();
        // Ends: every round takes a commit, passes one by, or adds to a lane's credit until it is enough for one.
        while !forming.is_full() {
            let mut has_more = false;
            for lane in &self.turns {
                let waiters = self.lanes.get_mut(lane).expect("a lane with a turn has waiters");
                let at = looked_at.entry(lane.clone()).or_default();
                waiters.credit += QUANTUM_BYTES;
                has_more |= waiters.serve(at, &mut forming, &self.flight);
            }
            if !has_more {
                break;
            }
        }
        let group = forming.group;
        for waiting in &group {
            self.commits -= 1;
            self.bytes -= waiting.bytes;
            self.under_way += 1;
            self.flight.enter(&waiting.claims);
        }
        self.forget_empty();
        if let Some(first) = self.turns.pop_front() {
            self.turns.push_back(first);
        }
        group
    }

    fn forget_empty(&mut self) {
        self.lanes.retain(|_, waiters| !waiters.waiting.is_empty());
        let lanes = &self.lanes;
        self.turns.retain(|lane| lanes.contains_key(lane));
    }
}

impl Waiters {
    /// Takes what the lane's credit is for. True when something is left that more credit would take.
    fn serve(&mut self, at: &mut usize, forming: &mut Forming, flight: &Flight) -> bool {
        while let Some(next) = self.waiting.get(*at) {
            if forming.is_full() {
                return false;
            }
            if !forming.may_take(&next.claims, flight) {
                forming.pass_by(&next.claims);
                *at += 1;
                continue;
            }
            if next.cost() > self.credit {
                return true;
            }
            self.credit -= next.cost();
            let taken = self.waiting.remove(*at).expect("it was looked at");
            forming.take(taken);
        }
        // Credit is for those who wait, not for later.
        self.credit = 0;
        false
    }
}
