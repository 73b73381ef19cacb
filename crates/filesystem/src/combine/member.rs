//! One update that waits its turn, and the caller who waits for it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::update::Step;
use crate::{Change, CommitError, Committed, Entry, UpdateError, Updated};

/// An update whose types only its caller knows.
pub(super) trait Member: Send {
    /// Takes it on its way; false when its caller is gone or its time is over.
    fn claim(&self) -> bool;

    /// It is not on its way any more, and may go again.
    fn release(&mut self);

    /// Runs its function on the record as those before it leave it: what is stored, or what may never come to be.
    fn apply(&mut self, current: Option<&Entry>, is_stored: bool) -> Applied;

    /// Tells its caller how it ended.
    fn answer(self: Box<Self>, ending: Ending);

    /// Until when its caller waits.
    fn deadline(&self) -> Instant;
}

/// Members in the order they came.
pub(super) type Members = Vec<Box<dyn Member>>;

/// What one run came to.
pub(super) enum Applied {
    /// This has to be committed; perhaps nothing.
    Step(Box<Step>),
    /// It refused; its caller is told once it is known what it refused.
    Refused,
    /// It panicked, and its caller has it.
    Panicked,
}

/// How the group it went with ended.
pub(super) enum Ending {
    /// As one commit; this is stored now, and this is the member's own part.
    Stored {
        entry: Option<Entry>,
        committed: Option<Committed>,
    },
    /// With an error for all.
    Read(crate::ReadError),
    /// With an error for all.
    Write(CommitError),
    /// Others were first, each time.
    Contended { attempts: u32 },
    /// What it writes beside the record stands in its neighbours' way, or has to be read first: it goes on by itself.
    Alone,
}

/// What the caller is told: an answer, a panic to resume, or its function back to go on with alone.
pub(super) enum Reply<E, T, F> {
    Answer(Result<Updated<T>, UpdateError<E>>),
    Panic(Box<dyn Any + Send>),
    Alone(F),
}

/// Where a member is. Caller and queue both move it, so that exactly one of them decides who was first.
#[derive(Debug)]
struct Place(AtomicU8);

const QUEUED: u8 = 0;
const ON_ITS_WAY: u8 = 1;
const GONE: u8 = 2;

impl Place {
    fn moves(&self, from: u8, to: u8) -> bool {
        self.0
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

/// The queue's half of an update.
pub(super) struct Waiting<E, T, F> {
    f: F,
    ran: Option<Result<T, E>>,
    /// Whether it ran on what is stored, and not on what its neighbours would make of it.
    saw_stored: bool,
    place: Arc<Place>,
    deadline: Instant,
    reply: Option<oneshot::Sender<Reply<E, T, F>>>,
}

/// The caller's half. Dropped, the update is not applied if it is not on its way yet.
pub(super) struct Ticket<E, T, F> {
    place: Arc<Place>,
    deadline: Instant,
    reply: oneshot::Receiver<Reply<E, T, F>>,
}

pub(super) fn member<E, T, F>(f: F, deadline: Instant) -> (Waiting<E, T, F>, Ticket<E, T, F>) {
    let place = Arc::new(Place(AtomicU8::new(QUEUED)));
    let (sender, receiver) = oneshot::channel();
    let waiting = Waiting {
        f,
        ran: None,
        saw_stored: false,
        place: Arc::clone(&place),
        deadline,
        reply: Some(sender),
    };
    let ticket = Ticket {
        place,
        deadline,
        reply: receiver,
    };
    (waiting, ticket)
}

impl<E, T, F> Ticket<E, T, F> {
    pub(super) async fn reply(mut self) -> Reply<E, T, F> {
        match timeout_at(self.deadline, &mut self.reply).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) => Reply::Answer(Err(self.abandoned())),
            Err(_) => self
                .reply
                .try_recv()
                .unwrap_or_else(|_| Reply::Answer(Err(self.expired()))),
        }
    }

    fn expired<X>(&self) -> UpdateError<X> {
        if self.place.moves(QUEUED, GONE) {
            UpdateError::Deadline
        } else {
            UpdateError::Write(CommitError::Indeterminate { source: None })
        }
    }

    /// Nobody will answer: it was found expired, or the queue's task ended with its runtime or by a panic of the
    /// store.
    fn abandoned<X>(&self) -> UpdateError<X> {
        if Instant::now() >= self.deadline {
            self.expired()
        } else if self.place.moves(QUEUED, GONE) {
            UpdateError::Write(CommitError::Unavailable { source: None })
        } else {
            UpdateError::Write(CommitError::Indeterminate { source: None })
        }
    }
}

impl<E, T, F> Drop for Ticket<E, T, F> {
    fn drop(&mut self) {
        self.place.moves(QUEUED, GONE);
    }
}

impl<E, T, F> Waiting<E, T, F> {
    fn send(&mut self, reply: Reply<E, T, F>) {
        if let Some(sender) = self.reply.take() {
            // A caller that is gone is told nothing.
            drop(sender.send(reply));
        }
    }
}

impl<E, T, F> Member for Waiting<E, T, F>
where
    E: Send,
    T: Send,
    F: FnMut(Option<&Entry>) -> Result<(Change, T), E> + Send,
{
    fn claim(&self) -> bool {
        Instant::now() < self.deadline && self.place.moves(QUEUED, ON_ITS_WAY)
    }

    fn release(&mut self) {
        self.ran = None;
        self.place.moves(ON_ITS_WAY, QUEUED);
    }

    fn apply(&mut self, current: Option<&Entry>, is_stored: bool) -> Applied {
        self.saw_stored = is_stored;
        let f = &mut self.f;
        // What a panicked function leaves behind is dropped with it: it never runs again.
        match catch_unwind(AssertUnwindSafe(|| f(current))) {
            Ok(Ok((change, outcome))) => {
                self.ran = Some(Ok(outcome));
                Applied::Step(Box::new(change.against(current)))
            }
            Ok(Err(refusal)) => {
                self.ran = Some(Err(refusal));
                Applied::Refused
            }
            Err(panic) => {
                self.send(Reply::Panic(panic));
                Applied::Panicked
            }
        }
    }

    fn answer(mut self: Box<Self>, ending: Ending) {
        let answer = match (ending, self.ran.take()) {
            (Ending::Alone, _) => {
                let Self { f, reply, .. } = *self;
                if let Some(sender) = reply {
                    drop(sender.send(Reply::Alone(f)));
                }
                return;
            }
            // A refusal wrote nothing. But what it refused must have come to be.
            (Ending::Stored { .. }, Some(Err(refusal))) => Err(UpdateError::Apply(refusal)),
            (_, Some(Err(refusal))) if self.saw_stored => Err(UpdateError::Apply(refusal)),
            (Ending::Stored { entry, committed }, Some(Ok(outcome))) => Ok(Updated {
                outcome,
                entry,
                committed,
            }),
            (Ending::Stored { .. }, None) => unreachable!("what is stored was computed by a run"),
            (Ending::Read(error), _) => Err(error.into()),
            (Ending::Write(error), _) => Err(error.into()),
            (Ending::Contended { attempts }, _) => Err(UpdateError::Contended { attempts }),
        };
        self.send(Reply::Answer(answer));
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }
}
