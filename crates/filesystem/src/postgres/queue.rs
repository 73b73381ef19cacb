//! Commits that wait for a connection: bounded, fair by lane, and grouped so that no two disturb one another.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout};

use super::claims::{Claims, Flight};
use crate::{Batch, BusyCause, CommitError, Committed, Expected, Failed, Key, Lane, Version};

/// Most commits waiting.
const COMMIT_QUEUE_MAX: usize = 4096;
/// Most bytes of commits waiting.
const COMMIT_QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most commits of one transaction.
pub(super) const GROUP_MAX: usize = 64;
/// Most bytes of one transaction; one commit more may pass it.
const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most operations of one transaction; one commit more may pass it.
const GROUP_OPERATIONS_MAX: usize = 2048;
/// What a lane may take in one round. Small, so that many lanes share one group.
const QUANTUM_BYTES: usize = 4 * 1024;
/// What a commit costs its lane beside its bytes.
const COMMIT_COST_BYTES: usize = 256;

/// What a caller hears.
pub(super) type Answer = Result<Committed, CommitError>;

/// A commit that waits, or is under way.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) batch: Batch,
    pub(super) claims: Claims,
    pub(super) deadline: Instant,
    pub(super) ticket: Arc<Ticket>,
    answer: oneshot::Sender<Answer>,
    bytes: usize,
    serial: u64,
}

impl Waiting {
    pub(super) fn answer(self, answer: Answer) {
        // The caller may be gone.
        drop(self.answer.send(answer));
    }

    /// Its own conflict, if it names one key alone and expects a version that is past.
    fn conflict(&self, settled: &Settled) -> Option<CommitError> {
        let mut keys = self.batch.keys();
        if self.claims.is_alone {
            return None;
        }
        let (Some((key, Expected::At(expected))), None) = (keys.next(), keys.next()) else {
            return None;
        };
        let (version, is_there) = settled.keys.get(key)?;
        (expected < *version).then(|| CommitError::Conflict {
            failed: vec![Failed {
                key: key.clone(),
                actual: is_there.then_some(*version),
            }],
        })
    }

    fn cost(&self) -> usize {
        self.bytes + COMMIT_COST_BYTES
    }
}

/// Where a commit is: what its caller may say of it at the deadline depends on it.
#[derive(Debug, Default)]
pub(super) struct Ticket(AtomicU8);

impl Ticket {
    const WAITING: u8 = 0;
    const SENT: u8 = 1;
    const WITHDRAWN: u8 = 2;

    fn step(&self, from: u8, to: u8) -> bool {
        self.0
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// The caller gives up; false when it is under way.
    pub(super) fn withdraw(&self) -> bool {
        self.step(Self::WAITING, Self::WITHDRAWN)
    }

    /// It goes to the server; false when the caller gave up.
    pub(super) fn send(&self) -> bool {
        self.step(Self::WAITING, Self::SENT)
    }

    /// It certainly was not done, and waits again.
    pub(super) fn take_back(&self) {
        self.step(Self::SENT, Self::WAITING);
    }
}

/// What a transaction did to its keys: commits that wait and expect an older version have lost to it, and need no
/// transaction of their own to be told.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// The version of each key, and whether there is a record.
    keys: HashMap<Key, (Version, bool)>,
    /// Commits below this were waiting when the transaction began.
    before: u64,
}

impl Settled {
    pub(super) fn add(&mut self, waiting: &Waiting, version: Version) {
        let puts = waiting
            .batch
            .puts
            .iter()
            .map(|put| (put.key.clone(), (version, true)));
        let deletes = waiting.batch.deletes.iter();
        self.keys.extend(puts);
        self.keys
            .extend(deletes.map(|delete| (delete.key.clone(), (version, false))));
    }
}

/// The commits of one transaction.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) commits: Vec<Waiting>,
    /// For [`Settled`].
    before: u64,
}

impl Group {
    /// What is to be told to those who wait, when it is known.
    pub(super) fn settled(&self) -> Settled {
        Settled {
            keys: HashMap::new(),
            before: self.before,
        }
    }
}

/// What waits, and what is under way.
#[derive(Debug, Default)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    /// Something may be taken.
    pub(super) changed: Notify,
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
    pub(super) fn submit(
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
    pub(super) fn sweep(&self, lane: &Lane) {
        let mut inner = self.inner();
        let Some(waiters) = inner.lanes.get_mut(lane) else {
            return;
        };
        let (mut commits, mut bytes) = (0, 0);
        waiters.waiting.retain(|waiting| {
            let is_kept = waiting.ticket.0.load(Ordering::Acquire) != Ticket::WITHDRAWN;
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
    pub(super) fn take(&self) -> Group {
        let mut inner = self.inner();
        Group {
            before: inner.serial,
            commits: inner.take(),
        }
    }

    /// Refuses those who lost to a transaction that is over, and takes out those who came while it was under way:
    /// they lost too, but to which version only the server can tell by now.
    pub(super) fn settle(&self, settled: &Settled) -> Vec<Waiting> {
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
    pub(super) fn release(&self, claims: impl Iterator<Item = Claims>) {
        let mut inner = self.inner();
        for claims in claims {
            inner.flight.leave(&claims);
            inner.under_way -= 1;
        }
        drop(inner);
        self.released.notify_waiters();
        self.changed.notify_one();
    }

    /// Waits for the write of this record that is under way now, if there is one, but no longer than this.
    pub(super) async fn written(&self, key: &Key, longest: Duration) {
        let write_of = || self.inner().flight.write_of(key);
        let Some(write) = write_of() else { return };
        let wait = async {
            // Ends with the write.
            loop {
                let released = self.released.notified();
                if write_of() != Some(write) {
                    return;
                }
                released.await;
            }
        };
        // Whether it was over in time makes no difference.
        drop(timeout(longest, wait).await);
    }

    /// Refuses commits from now on. What waits is still done.
    pub(super) fn close(&self, reason: &'static str) {
        self.inner().refusal.get_or_insert(reason);
        self.changed.notify_one();
    }

    pub(super) fn refusal(&self) -> Option<&'static str> {
        self.inner().refusal
    }

    /// Commits that wait or are under way.
    pub(super) fn unanswered(&self) -> usize {
        let inner = self.inner();
        inner.commits + inner.under_way
    }

    pub(super) fn waiting(&self) -> usize {
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

/// A group while it forms.
#[derive(Debug, Default)]
struct Forming {
    group: Vec<Waiting>,
    own: Flight,
    /// Names of commits passed by: nobody behind them overtakes them there, so none waits for ever.
    passed: HashSet<super::claims::Name>,
    bytes: usize,
    operations: usize,
}

impl Forming {
    fn is_full(&self) -> bool {
        self.group.len() >= GROUP_MAX
            || self.bytes >= GROUP_BYTES_MAX
            || self.operations >= GROUP_OPERATIONS_MAX
            || self.group.iter().any(|waiting| waiting.claims.is_alone)
    }

    fn may_take(&self, claims: &Claims, flight: &Flight) -> bool {
        let is_apart = claims.is_alone && !self.group.is_empty();
        !is_apart
            && flight.admits(claims)
            && self.own.admits_beside(claims)
            && (self.passed.is_empty() || claims.names().all(|name| !self.passed.contains(&name)))
    }

    fn pass_by(&mut self, claims: &Claims) {
        self.passed.extend(claims.names());
    }

    fn take(&mut self, waiting: Waiting) {
        self.own.enter(&waiting.claims);
        self.bytes += waiting.bytes;
        self.operations += waiting.batch.operations();
        self.group.push(waiting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RecordKind, Segment, Stream};

    fn key(name: &str) -> Key {
        Key::parse(name).unwrap()
    }

    fn write(lane: &str, name: &str) -> Batch {
        let mut batch = Batch::new(Lane::Tenant(Segment::parse(lane).unwrap()));
        batch.put(key(name), Expected::Absent, RecordKind::of("test"), "value");
        batch
    }

    fn append(name: &str) -> Batch {
        let mut batch = Batch::new(Lane::System);
        batch.append(Stream::new(key(name)), "entry");
        batch
    }

    fn submit(queue: &Queue, batch: Batch) -> Arc<Ticket> {
        let deadline = crate::Deadline::after(Duration::from_secs(10)).instant();
        queue.submit(batch, deadline).unwrap().0
    }

    fn names(group: &[Waiting]) -> Vec<String> {
        let name = |w: &Waiting| w.batch.puts.first().map_or("log".into(), |p| p.key.to_string());
        group.iter().map(name).collect()
    }

    #[test]
    fn commits_of_one_key_go_one_after_another_and_others_beside_them() {
        let queue = Queue::default();
        for name in ["hot", "hot", "cold"] {
            submit(&queue, write("a", name));
        }
        let first = queue.take().commits;
        assert_eq!(names(&first), ["hot", "cold"]);
        assert!(queue.take().commits.is_empty(), "the key is under way");
        queue.release(first.iter().map(|w| w.claims.clone()));
        assert_eq!(names(&queue.take().commits), ["hot"]);
        assert_eq!(queue.unanswered(), 1);
    }

    #[test]
    fn appends_to_one_log_share_a_transaction_and_wait_for_the_one_before() {
        let queue = Queue::default();
        submit(&queue, append("log"));
        let first = queue.take().commits;
        for _ in 0..100 {
            submit(&queue, append("log"));
        }
        assert!(queue.take().commits.is_empty());
        queue.release(first.iter().map(|w| w.claims.clone()));
        assert_eq!(queue.take().commits.len(), GROUP_MAX);
    }

    #[test]
    fn a_commit_of_several_keys_is_not_overtaken_for_ever() {
        let queue = Queue::default();
        submit(&queue, write("a", "hot"));
        let first = queue.take().commits;
        let mut both = write("a", "hot");
        both.put(key("beside"), Expected::Absent, RecordKind::of("test"), "");
        submit(&queue, both);
        submit(&queue, write("a", "beside"));
        assert!(
            queue.take().commits.is_empty(),
            "the one behind would overtake it"
        );
        queue.release(first.iter().map(|w| w.claims.clone()));
        assert_eq!(names(&queue.take().commits), ["hot"]);
    }

    #[test]
    fn a_flooding_lane_leaves_room_for_another() {
        let queue = Queue::default();
        for n in 0..1000 {
            submit(&queue, write("flood", &format!("flood/{n}")));
        }
        submit(&queue, write("other", "other"));
        assert!(names(&queue.take().commits).contains(&"other".to_owned()));
    }

    #[test]
    fn what_was_withdrawn_is_forgotten_and_makes_room() {
        let queue = Queue::default();
        let ticket = submit(&queue, write("a", "a"));
        assert!(ticket.withdraw() && !ticket.send());
        queue.sweep(&Lane::Tenant(Segment::parse("a").unwrap()));
        assert_eq!((queue.waiting(), queue.take().commits.len()), (0, 0));
        for n in 0..COMMIT_QUEUE_MAX {
            submit(&queue, write("a", &n.to_string()));
        }
        let over = queue.submit(write("a", "over"), Instant::now());
        assert!(matches!(
            over,
            Err(CommitError::Busy {
                cause: BusyCause::Queue
            })
        ));
    }

    #[tokio::test]
    async fn who_lost_while_waiting_needs_no_transaction_to_be_told() {
        let queue = Queue::default();
        let at = |version| {
            let mut batch = Batch::new(Lane::System);
            batch.put(
                key("hot"),
                Expected::At(Version::new(version)),
                RecordKind::of("test"),
                "",
            );
            batch
        };
        let deadline = crate::Deadline::after(Duration::from_secs(10)).instant();
        submit(&queue, at(4));
        let (_, waited) = queue.submit(at(4), deadline).unwrap();
        let group = queue.take();
        submit(&queue, at(4));
        let mut settled = group.settled();
        settled.add(&group.commits[0], Version::new(5));
        let later = queue.settle(&settled);
        let Ok(Err(CommitError::Conflict { failed })) = waited.await else {
            panic!("it lost")
        };
        assert_eq!(
            (&failed[0].key, failed[0].actual),
            (&key("hot"), Some(Version::new(5)))
        );
        assert_eq!((queue.waiting(), later.len()), (0, 1), "who came later lost too");
    }
}
