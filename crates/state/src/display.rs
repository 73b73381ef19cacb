//! The one word that is shown for a session. It is derived, never stored in a snapshot.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Execution, Lifecycle, Snapshot};

/// The one word that is shown. The order is the rank: of a formal state and an inferred signal of the
/// same turn, the higher wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Display {
    /// The session is over.
    Offline,
    /// Nothing is going on.
    Idle,
    /// A turn has just ended.
    Completed,
    /// A turn runs, nobody works on it; or a run is bound and not ready.
    Queued,
    /// The model generates.
    Thinking,
    /// A tool is at work.
    Working,
    /// The context is being shortened.
    Summarizing,
    /// No turn is to begin.
    Paused,
    /// Nothing was heard for long.
    Stalled,
    /// A person is asked.
    AwaitingHuman,
    /// It failed.
    Error,
}

impl Display {
    /// What is shown for this state at `now`: a due auto-idle counts as happened.
    pub(crate) fn of(state: &Snapshot, now: Timestamp) -> Display {
        match state.lifecycle {
            Lifecycle::Initializing | Lifecycle::Active if state.stalled => Display::Stalled,
            Lifecycle::Initializing if state.run.is_some() => Display::Queued,
            Lifecycle::Initializing => Display::Idle,
            Lifecycle::Active => Display::of_active(state),
            Lifecycle::WaitingHuman => Display::AwaitingHuman,
            Lifecycle::Paused => Display::Paused,
            Lifecycle::Completed { idle_at } if now < idle_at => Display::Completed,
            Lifecycle::Completed { .. } => Display::Idle,
            Lifecycle::Error => Display::Error,
            Lifecycle::Ended => Display::Offline,
        }
    }

    fn of_active(state: &Snapshot) -> Display {
        match state.execution {
            None | Some(Execution::Idle) if state.turn.is_running() => Display::Queued,
            None | Some(Execution::Idle) => Display::Idle,
            Some(Execution::Thinking) => Display::Thinking,
            Some(Execution::Working) => Display::Working,
            Some(Execution::Compacting) => Display::Summarizing,
        }
    }

    /// The word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Display::Offline => "offline",
            Display::Idle => "idle",
            Display::Completed => "completed",
            Display::Queued => "queued",
            Display::Thinking => "thinking",
            Display::Working => "working",
            Display::Summarizing => "summarizing",
            Display::Paused => "paused",
            Display::Stalled => "stalled",
            Display::AwaitingHuman => "awaiting_human",
            Display::Error => "error",
        }
    }
}

impl fmt::Display for Display {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
