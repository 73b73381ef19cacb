//! The driver: one task and one mailbox for a session at work.
//!
//! It computes on a copy, saves, swaps, publishes and acknowledges, in that order. What may be gathered is saved at most
//! once in [`DriverOptions::live_flush`]. It keeps the session's one timer, which is nothing but the deadline in the
//! state: it is read again on every waking, so nothing has to be cancelled. A session at rest needs no driver.

mod handle;
mod save;
mod store;
mod task;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

use crate::{Applied, Command, Observed, Options, Session, Snapshot};

pub use handle::{DriveError, Driven, Handle};
pub use store::{Save, SaveError, SaveKind, Store, Stored};

use handle::Message;

/// How a driver behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DriverOptions {
    /// How the session behaves.
    pub session: Options,
    /// `sessions.live_flush`: what may be gathered is saved at most once in so long.
    pub live_flush: Duration,
    /// `sessions.mailbox_max`: messages that wait; who sends another one waits too.
    pub mailbox_max: usize,
    /// `sessions.linger`: without live run, deadline, unsaved change or message it ends after so long.
    pub linger: Duration,
    /// While a run is at work that says nothing, the stored state is read again after so long: another process may have
    /// ended it. The same time is the longest that is slept towards a deadline before the clock is looked at again.
    pub look_every: Duration,
    /// How long it tries to save what is unsaved when it is told to stop.
    pub stop_max: Duration,
    /// Inputs that are not saved; with so many they are saved at once.
    pub unsaved_max: usize,
    /// The time to the first repetition of a save that failed; it doubles up to `retry_max`.
    pub retry_min: Duration,
    /// The longest time between repetitions.
    pub retry_max: Duration,
}

impl Default for DriverOptions {
    fn default() -> DriverOptions {
        DriverOptions {
            session: Options::default(),
            live_flush: Duration::from_secs(1),
            mailbox_max: 256,
            linger: Duration::from_secs(5),
            look_every: Duration::from_secs(60),
            stop_max: Duration::from_secs(5),
            unsaved_max: 256,
            retry_min: Duration::from_millis(100),
            retry_max: Duration::from_secs(5),
        }
    }
}

/// Where a driver reads the time of day.
pub trait Clock: Send + Sync + 'static {
    /// The time.
    fn now(&self) -> Timestamp;
}

impl<F: Fn() -> Timestamp + Send + Sync + 'static> Clock for F {
    fn now(&self) -> Timestamp {
        self()
    }
}

/// What a session was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Something was observed.
    Observed(Observed),
    /// The engine says something.
    Command(Command),
}

/// Why a driver ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nothing was to do for long, or nobody has a handle any more.
    Rest,
    /// It was told to stop.
    Stopped,
    /// Another one drives the session now. Nothing more was written.
    Fenced,
    /// What is stored cannot be used.
    Corrupt,
}

/// How a driver ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Why.
    pub why: Why,
    /// The inputs that were applied and could not be saved: their sources tell them again.
    pub unsaved: Vec<Input>,
}

/// One session at work. [`run`](Driver::run) it on a task of its own; without that nothing happens.
pub struct Driver<S> {
    session: Session,
    store: S,
    clock: Arc<dyn Clock>,
    options: DriverOptions,
    mailbox: mpsc::Receiver<Message>,
    view: watch::Sender<Arc<Snapshot>>,
    stop: watch::Receiver<bool>,
    look: Arc<Notify>,
    /// Read and not saved durably: what is heard again on a state that somebody else changed.
    unsaved: Vec<Input>,
    /// What came of them, where it was applied.
    changes: Vec<Applied>,
    /// Whether the state is ahead of the store, be it by a position only.
    is_ahead: bool,
    /// Whether it is unknown what the store holds.
    is_unsure: bool,
    flush_at: Option<Instant>,
    retry_at: Option<Instant>,
    retry_delay: Duration,
    /// How often in a row what was gathered met another one's write.
    conflicts: u32,
    busy_at: Instant,
    looked_at: Instant,
    /// Whether the bound run waits without a process.
    is_parked: bool,
}

impl<S> fmt::Debug for Driver<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("session", &self.session)
            .field("unsaved", &self.unsaved.len())
            .finish_non_exhaustive()
    }
}

impl<S: Store> Driver<S> {
    /// A driver of the session at this state, which is the one `store` holds, and a handle to it.
    #[must_use]
    pub fn new(session: Session, store: S, clock: impl Clock, options: DriverOptions) -> (Driver<S>, Handle) {
        let (sender, mailbox) = mpsc::channel(options.mailbox_max.max(1));
        let (stopper, stop) = watch::channel(false);
        let view = watch::Sender::new(Arc::new(session.snapshot()));
        let look = Arc::new(Notify::new());
        let handle = Handle::new(sender, stopper, Arc::clone(&look), view.subscribe());
        let driver = Driver {
            session,
            store,
            clock: Arc::new(clock),
            options,
            mailbox,
            view,
            stop,
            look,
            unsaved: Vec::new(),
            changes: Vec::new(),
            is_ahead: false,
            is_unsure: false,
            flush_at: None,
            retry_at: None,
            retry_delay: options.retry_min,
            conflicts: 0,
            busy_at: Instant::now(),
            looked_at: Instant::now(),
            is_parked: false,
        };
        (driver, handle)
    }

    /// Says that the bound run waits without a process: it alone keeps no driver.
    #[must_use]
    pub fn with_parked_run(mut self) -> Driver<S> {
        self.is_parked = true;
        self
    }
}
