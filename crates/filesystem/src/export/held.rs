//! What the pages of an export are read from, between two of them: held as long as somebody takes its items.
//!
//! It is a snapshot of the store: while it is held nothing goes that it needs, and nobody else may export. Whoever
//! stops taking items, without dropping the export, is not to keep that for ever.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// As good as for ever; longer ones are this. Ten years.
const IDLE_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// What pages are read from, known to who takes items, to who reads a page and to who looks whether items are taken.
pub(super) struct Held<S> {
    idle: Duration,
    state: Mutex<State<S>>,
}

struct State<S> {
    place: Place<S>,
    /// When somebody came for an item last, or a page was read since.
    since: Instant,
}

enum Place<S> {
    /// A page is read from it: that time is the store's, and counts for nobody.
    Lent,
    /// Between two pages.
    Here(S),
    /// All was read.
    Over,
    /// Nobody came for an item in time, or will any more.
    LetGo,
}

/// What is had to read a page from.
pub(super) enum Lent<S> {
    Source(S),
    /// There is no further page.
    Over,
    LetGo,
}

impl<S> Held<S> {
    /// What is read first is lent already.
    pub(super) fn lent(idle: Duration) -> Arc<Self> {
        Arc::new(Self {
            idle: idle.min(IDLE_MAX),
            state: Mutex::new(State {
                place: Place::Lent,
                since: Instant::now(),
            }),
        })
    }

    /// How long it is held while nobody comes for an item.
    pub(super) fn idle(&self) -> Duration {
        self.idle
    }

    /// What to read the next page from. It is given back with the page.
    pub(super) fn lend(&self) -> Lent<S> {
        let mut state = self.state();
        match std::mem::replace(&mut state.place, Place::Lent) {
            Place::Here(source) => Lent::Source(source),
            Place::Over => {
                state.place = Place::Over;
                Lent::Over
            }
            Place::LetGo => {
                state.place = Place::LetGo;
                Lent::LetGo
            }
            Place::Lent => unreachable!("one page is read at a time"),
        }
    }

    /// A page was read; none behind the last.
    pub(super) fn give_back(&self, source: Option<S>) {
        let mut state = self.state();
        if matches!(state.place, Place::LetGo) {
            // Dropped without the lock.
            drop(state);
            return;
        }
        state.place = source.map_or(Place::Over, Place::Here);
        state.since = Instant::now();
    }

    /// Somebody comes for an item; false when that is too late.
    pub(super) fn is_wanted(&self) -> bool {
        let mut state = self.state();
        state.since = Instant::now();
        !matches!(state.place, Place::LetGo)
    }

    /// Nobody will come any more.
    pub(super) fn let_go(&self) {
        // Dropped without the lock, which is given back at the end of the statement.
        let held = std::mem::replace(&mut self.state().place, Place::LetGo);
        drop(held);
    }

    /// Lets it go once nobody came for an item in time. Ends with that, or when all was read.
    pub(super) async fn watch(self: Arc<Self>) {
        while let Some(due) = self.due() {
            sleep_until(due).await;
        }
    }

    /// When to look again; none when there is nothing more to look at.
    fn due(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut state = self.state();
        let due = match &state.place {
            // Whenever it comes back, it is held for as long from then on.
            Place::Lent => now + self.idle,
            Place::Here(_) => state.since + self.idle,
            Place::Over | Place::LetGo => return None,
        };
        if due > now {
            return Some(due);
        }
        let held = std::mem::replace(&mut state.place, Place::LetGo);
        drop(state);
        drop(held);
        tracing::warn!(idle = ?self.idle, "an export of which nobody took anything was let go");
        None
    }

    /// The lock is held for one look or change, never across an await.
    fn state(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
