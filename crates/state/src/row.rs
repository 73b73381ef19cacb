//! The thirteen rows of the table.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Execution, Lifecycle};

/// A row of the table: lifecycle, execution, whether a turn runs and how many gates wait, in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Row {
    /// I: the provider's process is not ready yet.
    Initializing,
    /// A: active, no turn.
    Idle,
    /// Q: a turn runs, nobody works on it.
    Queued,
    /// T: the model generates.
    Thinking,
    /// W: a tool is at work.
    Working,
    /// K: the context is being shortened, in a turn.
    Compacting,
    /// O: the context is being shortened, outside of a turn.
    CompactingOutside,
    /// H1: one gate keeps the turn waiting.
    Waiting,
    /// Hn: several gates do.
    WaitingForSeveral,
    /// P: no turn is to begin.
    Paused,
    /// C: a turn has just ended.
    Completed,
    /// E: it failed.
    Error,
    /// X: it is over.
    Ended,
}

impl Row {
    /// All rows, in the order of the table.
    pub const ALL: [Row; 13] = [
        Row::Initializing,
        Row::Idle,
        Row::Queued,
        Row::Thinking,
        Row::Working,
        Row::Compacting,
        Row::CompactingOutside,
        Row::Waiting,
        Row::WaitingForSeveral,
        Row::Paused,
        Row::Completed,
        Row::Error,
        Row::Ended,
    ];

    pub(crate) fn of(
        lifecycle: Lifecycle,
        execution: Option<Execution>,
        is_turn_running: bool,
        blocking: usize,
    ) -> Row {
        match lifecycle {
            Lifecycle::Initializing => Row::Initializing,
            Lifecycle::Active => match execution {
                None | Some(Execution::Idle) if is_turn_running => Row::Queued,
                None | Some(Execution::Idle) => Row::Idle,
                Some(Execution::Thinking) => Row::Thinking,
                Some(Execution::Working) => Row::Working,
                Some(Execution::Compacting) if is_turn_running => Row::Compacting,
                Some(Execution::Compacting) => Row::CompactingOutside,
            },
            Lifecycle::WaitingHuman if blocking > 1 => Row::WaitingForSeveral,
            Lifecycle::WaitingHuman => Row::Waiting,
            Lifecycle::Paused => Row::Paused,
            Lifecycle::Completed { .. } => Row::Completed,
            Lifecycle::Error => Row::Error,
            Lifecycle::Ended => Row::Ended,
        }
    }

    /// The letter of the row in the table.
    #[must_use]
    pub fn letter(self) -> &'static str {
        match self {
            Row::Initializing => "I",
            Row::Idle => "A",
            Row::Queued => "Q",
            Row::Thinking => "T",
            Row::Working => "W",
            Row::Compacting => "K",
            Row::CompactingOutside => "O",
            Row::Waiting => "H1",
            Row::WaitingForSeveral => "Hn",
            Row::Paused => "P",
            Row::Completed => "C",
            Row::Error => "E",
            Row::Ended => "X",
        }
    }

    /// The word of the row.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Row::Initializing => "initializing",
            Row::Idle => "idle",
            Row::Queued => "queued",
            Row::Thinking => "thinking",
            Row::Working => "working",
            Row::Compacting => "compacting",
            Row::CompactingOutside => "compacting_outside",
            Row::Waiting => "waiting",
            Row::WaitingForSeveral => "waiting_for_several",
            Row::Paused => "paused",
            Row::Completed => "completed",
            Row::Error => "error",
            Row::Ended => "ended",
        }
    }

    /// Whether a turn runs without anybody being asked: edges among these are not worth a commit.
    pub(crate) fn is_at_work(self) -> bool {
        matches!(self, Row::Queued | Row::Thinking | Row::Working | Row::Compacting)
    }

    /// Whether a turn runs.
    pub(crate) fn is_in_turn(self) -> bool {
        self.is_at_work() || matches!(self, Row::Waiting | Row::WaitingForSeveral)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.letter())
    }
}
