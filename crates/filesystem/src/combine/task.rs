//! The task of one key's queue: round after round, until nobody waits.

use std::sync::Arc;

use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::Inner;
use super::member::{Ending, Members};
use super::round::{Round, Subject};
use super::share::Tell;
use crate::update::ATTEMPTS_MAX;
use crate::{CommitError, Committed, Deadline, Entry, Key, Lane, ReadError};

/// Serves one key until its queue is empty; then the queue is gone.
pub(super) async fn serve(inner: Arc<Inner>, key: Key, lane: Lane) {
    let has = inner.store.capabilities(&key.parent());
    let mut queue = Queue {
        inner,
        of: Subject { key, lane, has },
        has_ended: false,
    };
    // Ends with the queue.
    loop {
        let members = queue.inner.queues.take(&queue.of.key);
        if !members.is_empty() {
            let left = queue.group(members).await;
            queue.inner.queues.put_back(&queue.of.key, left);
            // Those just answered often come again at once. Giving them their turn takes a small part of a commit, and
            // they go as one group, instead of taking turns with the few who came meanwhile.
            yield_now().await;
            continue;
        }
        if queue.inner.queues.end(&queue.of.key) {
            break;
        }
    }
    queue.has_ended = true;
}

struct Queue {
    inner: Arc<Inner>,
    of: Subject,
    has_ended: bool,
}

/// A task that ends early, with its runtime or by a panic of the store, leaves nobody waiting for it.
impl Drop for Queue {
    fn drop(&mut self) {
        if !self.has_ended {
            self.inner.queues.abandon(&self.of.key);
        }
    }
}

/// What an attempt left to do.
enum Attempt {
    /// Nothing but these, who wait for the next round.
    Done { left: Members },
    /// The same again; others wait for the next round.
    Lost {
        again: Members,
        left: Members,
        lost: Lost,
    },
}

enum Lost {
    Conflict,
    Read(ReadError),
    Write(CommitError),
}

impl Queue {
    /// Takes a group through its attempts. Returns who waits for the next round, in order.
    async fn group(&self, mut members: Members) -> Members {
        let mut waiting = Members::new();
        let mut attempt = 1;
        // Ends when the group is answered, or after ATTEMPTS_MAX.
        loop {
            let (again, lost) = match self.attempt(members).await {
                Attempt::Done { left } => return before(left, waiting),
                Attempt::Lost { again, left, lost } => {
                    waiting = before(left, waiting);
                    (again, lost)
                }
            };
            if attempt == ATTEMPTS_MAX || again.is_empty() {
                tell(again, lost);
                return waiting;
            }
            let delay = self.inner.retry.delay(attempt);
            sleep_until((Instant::now() + delay).min(latest(&again))).await;
            attempt += 1;
            members = again;
        }
    }

    async fn attempt(&self, members: Members) -> Attempt {
        let until = latest(&members);
        let read = match self.read(until).await {
            Ok(read) => read,
            Err(error @ ReadError::Unavailable { .. }) => {
                return Attempt::Lost {
                    again: members,
                    left: Members::new(),
                    lost: Lost::Read(error),
                };
            }
            Err(error) => {
                tell(members, Lost::Read(error));
                return Attempt::Done { left: Members::new() };
            }
        };
        let round = Round::form(&self.of, read, members);
        let Some(batch) = round.batch(&self.of) else {
            let left = round.stored(&self.of.key, None);
            return Attempt::Done { left };
        };
        let commit = self.inner.store.commit(batch, Deadline::at(until));
        // A commit that has not answered by now may still be done.
        let answer = timeout_at(until, commit)
            .await
            .unwrap_or(Err(CommitError::Indeterminate { source: None }));
        self.answered(round, answer)
    }

    /// The record; `Unavailable` when nobody waits for it any more.
    async fn read(&self, until: Instant) -> Result<Option<Entry>, ReadError> {
        let unanswered = ReadError::Unavailable {
            reason: "a record that is updated",
            source: None,
        };
        let read = timeout_at(until, self.inner.store.get(&self.of.key)).await;
        read.unwrap_or(Err(unanswered))
    }

    fn answered(&self, round: Round, answer: Result<Committed, CommitError>) -> Attempt {
        let (lost, failed) = match answer {
            Ok(committed) => {
                let left = round.stored(&self.of.key, Some(&committed));
                return Attempt::Done { left };
            }
            Err(CommitError::Conflict { failed }) => (Lost::Conflict, failed),
            Err(error) if error.is_congestion() => (Lost::Write(error), Vec::new()),
            Err(error) => {
                let mut told = Told(Some(error));
                let left = round.ended(|| Ending::Write(told.once_more()));
                return Attempt::Done { left };
            }
        };
        let (again, left) = round.again(&self.of.key, &failed);
        Attempt::Lost { again, left, lost }
    }
}

/// Those who did not fit this time went before those who did not fit before.
fn before(mut first: Members, then: Members) -> Members {
    first.extend(then);
    first
}

fn latest(members: &Members) -> Instant {
    members
        .iter()
        .map(|member| member.deadline())
        .max()
        .expect("a group has members")
}

/// Tells all of a group why it ended.
fn tell(members: Members, lost: Lost) {
    let mut ending: Box<dyn FnMut() -> Ending + Send> = match lost {
        Lost::Conflict => Box::new(|| Ending::Contended {
            attempts: ATTEMPTS_MAX,
        }),
        Lost::Read(error) => {
            let mut told = Told(Some(error));
            Box::new(move || Ending::Read(told.once_more()))
        }
        Lost::Write(error) => {
            let mut told = Told(Some(error));
            Box::new(move || Ending::Write(told.once_more()))
        }
    };
    for member in members {
        member.answer(ending());
    }
}

/// An error that is told as often as there are members.
struct Told<T>(Option<T>);

impl<T: Tell> Told<T> {
    fn once_more(&mut self) -> T {
        let (now, later) = self.0.take().expect("it is put back each time").twice();
        self.0 = Some(later);
        now
    }
}
