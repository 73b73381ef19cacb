//! What an event says of a thing that has many sides.

use dormouse_filesystem::Version;
use dormouse_secrets::Scrubbed;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::budget::Dimension;
use crate::gate::{AuthorKind, GateStatus, Scope};
use crate::outcome::{BlockReason, FailReason};
use crate::run::OutcomeKind;
use crate::{GateId, RunId, SessionId, Subject, ThreadId};

/// An account at the line from where a person is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetPause {
    /// In what.
    pub dimension: Dimension,
    /// What was used in the period, and held.
    pub used: u64,
    /// The limit.
    pub limit: u64,
    /// What the limit would have to be.
    pub needed: u64,
    /// By which gate.
    pub gate: GateId,
}

/// What an account refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetDenial {
    /// In what.
    pub dimension: Dimension,
    /// What was used in the period.
    pub used: u64,
    /// What is held.
    pub reserved: u64,
    /// What was asked for beside that.
    pub estimate: u64,
    /// The limit.
    pub limit: u64,
}

/// A gate that was opened: who waits, for what and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateOpening {
    /// The session that waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// The run that asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// What is asked.
    #[serde(rename = "type")]
    pub kind: dormouse_state::GateKind,
    /// Whether the turn waits.
    pub blocking: bool,
    /// Whether it can be decided here.
    pub decidable: bool,
    /// Until when; none is for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The gate of the same call that lost its meaning before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<GateId>,
}

/// A gate that left pending: how, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateEnding {
    /// What was asked.
    #[serde(rename = "type")]
    pub kind: dormouse_state::GateKind,
    /// How it left pending.
    pub status: GateStatus,
    /// Why it lost its meaning, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<dormouse_state::Invalidation>,
    /// By what kind of author.
    pub by: AuthorKind,
    /// Whether that is concluded, and nobody said it.
    pub inferred: bool,
    /// Whether the call may be made with another input than was asked for.
    pub edited: bool,
    /// How far an approval goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// How long it was pending, in milliseconds.
    pub waited_ms: u64,
}

/// A row that could not be believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadRecord {
    /// Its kind.
    pub kind: String,
    /// Its id, as its key has it.
    pub id: String,
    /// The commit that wrote it.
    pub version: Version,
    /// The field that could not be believed, or `record`.
    pub field: String,
    /// What was wrong with it.
    pub cause: String,
}

/// Settings that were read again and not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// How many things were wrong, at least 1. Which they are is told to whoever asked: they hold what people wrote.
    pub errors: usize,
}

/// Old events that went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truncation {
    /// The earliest position that is kept.
    pub first: u64,
    /// How many went.
    pub count: u64,
}

/// Where a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InThread {
    /// The thread.
    pub thread: ThreadId,
    /// Its place there.
    pub sequence: u64,
}

/// How a run ended, as far as a reader of its task's events wants to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// The run.
    pub run: RunId,
    /// Its outcome.
    pub outcome: OutcomeKind,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<FailReason>,
    /// What blocked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<BlockReason>,
    /// Where it was blocked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Scrubbed>,
    /// Where it is kept what shows it: the run whose outcome has it. None where the outcome says no more than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Subject>,
}
