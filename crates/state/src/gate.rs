//! What a session knows of its gates: who waits, and how the newest one ended.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{CallId, Evidence, GateId, Position, SourceId};

/// The most gates pending in one session.
pub const PENDING_MAX: usize = 100;

/// The gates of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gates {
    /// Those nobody has answered yet, at most [`PENDING_MAX`].
    #[serde(default)]
    pub pending: BTreeMap<GateId, PendingGate>,
    /// How the newest gate of this turn ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<EndedGate>,
}

impl Gates {
    /// How many pending gates keep the turn waiting.
    #[must_use]
    pub fn blocking_count(&self) -> usize {
        if self.pending.is_empty() {
            return 0;
        }
        self.pending.values().filter(|gate| gate.blocking).count()
    }
}

/// A gate nobody has answered yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PendingGate {
    /// What is asked.
    pub kind: GateKind,
    /// The call that waits for the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<CallId>,
    /// Whether the turn waits for the answer. Absent reads as true, which is the strict reading.
    #[serde(default = "strictly_blocking")]
    pub blocking: bool,
    /// Where the question was seen.
    pub source: SourceId,
    /// Where it stands in that source.
    pub position: Position,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// How well it is known that a person is asked.
    pub evidence: Evidence,
}

fn strictly_blocking() -> bool {
    true
}

/// What is asked of the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateKind {
    /// May this call be made?
    Approval,
    /// A text, or a choice.
    Question,
    /// Look here; nobody waits.
    Notification,
}

/// How a gate ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndedGate {
    /// Which gate.
    pub gate: GateId,
    /// How it ended.
    pub outcome: GateOutcome,
    /// When.
    pub at: Timestamp,
}

/// The ways out of pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "detail")]
pub enum GateOutcome {
    /// The call may be made.
    Approved,
    /// The question was answered, the notification acknowledged.
    Answered,
    /// The call may not be made; the question gets no answer.
    Rejected,
    /// Nobody answered in time.
    Expired(OnTimeout),
    /// It lost its meaning.
    Invalidated(Invalidation),
    /// It was withdrawn as if it had never been.
    Discarded,
}

/// What follows from an expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnTimeout {
    /// The call is told no, and the turn goes on.
    Deny,
    /// The call is told no, and the session pauses.
    Pause,
}

/// Why a gate lost its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Invalidation {
    /// The provider withdrew or replaced it.
    Superseded,
    /// It was answered where the provider runs, and no event said so. It never counts as an approval.
    SettledElsewhere,
    /// Its turn is over.
    TurnOver,
    /// Its run ended.
    RunEnded,
    /// Its session ended.
    SessionEnded,
    /// The process it belonged to is gone.
    Restart,
    /// Its agent was deleted.
    AgentDeleted,
}

/// Whether the call that asked still waits for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Caller {
    /// A live call waits.
    Waits,
    /// Nobody waits: the run is parked, or its process gone.
    Gone,
}
