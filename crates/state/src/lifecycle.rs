//! The two halves of a session's state: how it stands, and what it is doing.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Lifecycle {
    /// The provider's process is not ready yet.
    Initializing,
    /// It can work, and may.
    Active,
    /// At least one gate keeps it from going on.
    WaitingHuman,
    /// No turn is to begin.
    Paused,
    /// A turn has just ended.
    Completed {
        /// When that is no longer news.
        idle_at: Timestamp,
    },
    /// It failed; the next sign of life makes it active.
    Error,
    /// It is over, for this incarnation.
    Ended,
}

/// What an active session is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Execution {
    /// Nothing; with a turn running, it is queued.
    Idle,
    /// The model generates.
    Thinking,
    /// A tool is at work.
    Working,
    /// The context is being shortened.
    Compacting,
}
