//! What is observed of a worker.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{CallId, Evidence, GateId, GateKind, Position, RunId, SourceId, TodoItem};

/// An event, with all that decides whether it is believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observed {
    /// The life of the session it was seen in.
    pub incarnation: u32,
    /// The run it was seen in.
    #[serde(default)]
    pub run: Option<RunId>,
    /// Where it was seen.
    pub source: SourceId,
    /// Where it stands in its source.
    pub position: Position,
    /// Whether a subagent did it.
    #[serde(default)]
    pub subagent: bool,
    /// Whether the source announces a new turn with it.
    #[serde(default)]
    pub starts_turn: bool,
    /// How well it is known.
    pub evidence: Evidence,
    /// When it happened; later than now counts as now.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// What happened.
///
/// That a person answered a gate is none of these: a source cannot say so. It is a
/// [command](crate::Command::ResolveGate) of the engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "data")]
pub enum Event {
    /// The provider's process is ready.
    SessionStarted,
    /// The model generates.
    Thinking,
    /// A tool is at work.
    Working {
        /// Which call.
        call: Option<CallId>,
        /// How far it is. A tool that fails is finished, nothing more.
        step: Step,
    },
    /// A person is asked.
    AwaitingHuman {
        /// The gate.
        gate: GateId,
        /// What is asked.
        kind: GateKind,
        /// The call that waits.
        call: Option<CallId>,
        /// Whether the turn waits for the answer.
        blocking: bool,
    },
    /// The provider shortens its context. The end of that is not the end of a turn.
    Compaction(Step),
    /// The main agent is done with the turn.
    TurnCompleted(Completion),
    /// It failed for good. Warnings and retries are none.
    Errored {
        /// A word for the kind of failure.
        reason: String,
        /// What was said, scrubbed.
        text: String,
    },
    /// Nothing was heard for long. Always inferred.
    Stalled {
        /// For how long, in milliseconds.
        silent_for_ms: u64,
    },
    /// The provider says that the conversation is over. A worker's exit does not.
    Ended,
    /// The plan changed.
    TodoUpdated {
        /// The whole plan.
        items: Vec<TodoItem>,
    },
    /// A call was refused without asking anybody.
    PermissionDenied {
        /// The tool.
        tool: String,
        /// The call.
        call: Option<CallId>,
    },
}

/// Two ends of something that takes time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// It began.
    Started,
    /// It ended, well or not.
    Finished,
}

/// How a turn was completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Completion {
    /// The work was done, or a limit reached.
    Completed,
    /// A person stopped it.
    Interrupted,
}
