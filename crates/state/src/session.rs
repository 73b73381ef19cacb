//! A session: events, commands and the time go in, answers come out.

use jiff::Timestamp;

use crate::{
    Answer, Command, Display, Lifecycle, Observed, Options, RestoreError, Row, Snapshot, Turn, hear::after,
};

/// What is known about one conversation with a worker.
///
/// It does nothing by itself and reads no clock: `now` is an argument everywhere. After each applied
/// input it is for the caller to store [`Session::snapshot`] and to tell the effects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub(crate) state: Snapshot,
    pub(crate) options: Options,
}

impl Session {
    /// A session nothing is known about yet.
    #[must_use]
    pub fn new(options: Options, now: Timestamp) -> Session {
        Session {
            state: Snapshot::new(options.mode, now),
            options,
        }
    }

    /// Takes a stored state up again. A deadline further away than the options allow, which happens when
    /// the clock went back, is pulled in.
    ///
    /// # Errors
    /// [`RestoreError`] if the snapshot is newer than this version, or contradicts itself.
    pub fn restore(snapshot: Snapshot, options: Options, now: Timestamp) -> Result<Session, RestoreError> {
        snapshot.check()?;
        let mut session = Session {
            state: snapshot,
            options,
        };
        if let Lifecycle::Completed { idle_at } = &mut session.state.lifecycle {
            *idle_at = (*idle_at).min(after(now, options.auto_idle()));
        }
        Ok(session)
    }

    /// Begins the next life of an ended session. The number of the turn is kept; events and gates of the
    /// former life are refused.
    ///
    /// # Errors
    /// [`StillOpen`] if it has not ended; nothing was changed.
    pub fn reopen(&mut self, now: Timestamp) -> Result<(), StillOpen> {
        if self.state.lifecycle != Lifecycle::Ended {
            return Err(StillOpen);
        }
        let former = &self.state;
        self.state = Snapshot {
            incarnation: former.incarnation.saturating_add(1),
            sequence: former.sequence + 1,
            turn: Turn {
                number: former.turn.number,
                ..Turn::none_yet()
            },
            ..Snapshot::new(former.mode, now)
        };
        Ok(())
    }

    /// All that is known.
    #[must_use]
    pub fn view(&self) -> &Snapshot {
        &self.state
    }

    /// All that is known, to store.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.state.clone()
    }

    /// The row of the table it is in.
    #[must_use]
    pub fn row(&self) -> Row {
        self.state.row()
    }

    /// The one word to show at `now`; a due auto-idle counts as happened.
    #[must_use]
    pub fn display(&self, now: Timestamp) -> Display {
        Display::of(&self.state, now)
    }

    /// When to call [`Session::handle_timeout`]. Nothing has to be cancelled: ask again after each input.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        match self.state.lifecycle {
            Lifecycle::Completed { idle_at } => Some(idle_at),
            Lifecycle::Initializing
            | Lifecycle::Active
            | Lifecycle::WaitingHuman
            | Lifecycle::Paused
            | Lifecycle::Error
            | Lifecycle::Ended => None,
        }
    }

    /// Tells it the time. Too early or too late is ignored.
    pub fn handle_timeout(&mut self, now: Timestamp) -> Answer {
        self.hear_clock(now)
    }

    /// Tells it what was observed of its worker.
    pub fn observe(&mut self, observed: &Observed, now: Timestamp) -> Answer {
        self.hear_event(observed, now)
    }

    /// Tells it what the engine says.
    pub fn command(&mut self, command: &Command, now: Timestamp) -> Answer {
        self.hear_command(command, now)
    }
}

/// A session that has not ended cannot begin its next life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session has not ended")]
pub struct StillOpen;
