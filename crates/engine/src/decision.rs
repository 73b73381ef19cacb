//! What a state table answers: apply, ignore or reject, and why.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The answer of a state table to an event. It is computed; nothing was done yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision<S> {
    /// The state becomes this.
    Apply(S),
    /// Applied, and the state stays as it is.
    Same,
    /// Nothing changes, and that is right: the asker is answered as if it had.
    Ignore(Reason),
    /// Nothing changes, and the asker is told so.
    Reject(Reason),
}

/// Why an event was ignored or rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Not in this state.
    State,
    /// It came after its time.
    Late,
    /// It came before its time.
    Early,
    /// It is so already.
    Same,
    /// The asker no longer holds the lease.
    Fenced,
    /// The lease has expired.
    Expired,
    /// Somebody holds the lease.
    Held,
    /// It has not ended.
    Live,
    /// Another was faster.
    Lost,
    /// A run is at it.
    Run,
    /// It has ended.
    End,
    /// It waits for the decision of a gate.
    Gate,
    /// It waits for other tasks.
    Tasks,
    /// It is being stopped.
    Stopping,
    /// The same was said before.
    Replay,
    /// There is none of that name.
    Missing,
    /// There is one of that name.
    Exists,
    /// It is being deleted.
    Deleting,
    /// Its content is final.
    Final,
    /// There is none under that id.
    Unknown,
    /// It was closed before.
    Closed,
    /// There is no row.
    Absent,
    /// Somebody is at it.
    Picked,
    /// Nobody is at it.
    Unpicked,
    /// No place is free.
    Full,
    /// It waits for no place.
    NotFull,
    /// It is not held back.
    NotHeld,
    /// The task that was given away has not ended.
    Open,
    /// Its result is not there yet.
    Undelivered,
    /// Nobody waits for it any more.
    Abandoned,
}

impl Reason {
    /// The word of the tables.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Late => "late",
            Self::Early => "early",
            Self::Same => "same",
            Self::Fenced => "fenced",
            Self::Expired => "expired",
            Self::Held => "held",
            Self::Live => "live",
            Self::Lost => "lost",
            Self::Run => "run",
            Self::End => "end",
            Self::Gate => "gate",
            Self::Tasks => "tasks",
            Self::Stopping => "stopping",
            Self::Replay => "replay",
            Self::Missing => "missing",
            Self::Exists => "exists",
            Self::Deleting => "deleting",
            Self::Final => "final",
            Self::Unknown => "unknown",
            Self::Closed => "closed",
            Self::Absent => "absent",
            Self::Picked => "picked",
            Self::Unpicked => "unpicked",
            Self::Full => "full",
            Self::NotFull => "not_full",
            Self::NotHeld => "not_held",
            Self::Open => "open",
            Self::Undelivered => "undelivered",
            Self::Abandoned => "abandoned",
        }
    }

    /// The same as half a sentence.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::State => "its state does not allow it",
            Self::Late => "it came too late",
            Self::Early => "it is not due yet",
            Self::Same => "it is so already",
            Self::Fenced => "the lease is another's",
            Self::Expired => "the lease has expired",
            Self::Held => "the lease is held",
            Self::Live => "it has not ended",
            Self::Lost => "another run was faster, or it is not ready",
            Self::Run => "a run is at it",
            Self::End => "it has ended",
            Self::Gate => "it waits for a gate",
            Self::Tasks => "it waits for other tasks",
            Self::Stopping => "it is being stopped",
            Self::Replay => "it was said before",
            Self::Missing => "there is none",
            Self::Exists => "there is one already",
            Self::Deleting => "it is being deleted",
            Self::Final => "its content is final",
            Self::Unknown => "there is none of that id",
            Self::Closed => "it was closed before",
            Self::Absent => "there is nothing to do",
            Self::Picked => "a process is at it",
            Self::Unpicked => "no process is at it",
            Self::Full => "no place is free",
            Self::NotFull => "it waits for no place",
            Self::NotHeld => "it is not held back",
            Self::Open => "the task has not ended",
            Self::Undelivered => "its result is not there yet",
            Self::Abandoned => "nobody waits for its result any more",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
