//! A turn: from one prompt to the end of the work on it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::SourceId;

/// The newest turn of a session. Each turn begins once and ends once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// Its number: the first turn is 1. It never falls.
    pub number: u32,
    /// How far it is.
    pub phase: Phase,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<TurnResult>,
    /// Who ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<Party>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

impl Turn {
    /// What a session has before its first turn.
    pub(crate) fn none_yet() -> Turn {
        Turn {
            number: 0,
            phase: Phase::Over,
            result: None,
            ended_by: None,
            started_at: None,
            ended_at: None,
        }
    }

    /// The next turn has a number, and nothing of it was seen yet.
    pub(crate) fn allot(&mut self) {
        *self = Turn {
            number: self.number.saturating_add(1),
            phase: Phase::Allotted,
            ..Turn::none_yet()
        };
    }

    /// A turn begins: one with a number keeps it.
    pub(crate) fn begin(&mut self, at: Timestamp) {
        if self.phase != Phase::Allotted {
            self.allot();
        }
        self.phase = Phase::Running;
        self.started_at = Some(at);
    }

    pub(crate) fn end(&mut self, result: TurnResult, by: Party, at: Timestamp) {
        self.phase = Phase::Over;
        self.result = Some(result);
        self.ended_by = Some(by);
        self.ended_at = Some(self.started_at.map_or(at, |started| started.max(at)));
    }

    /// How long it ran, in milliseconds; 0 while it has not ended.
    pub(crate) fn duration_ms(&self) -> u64 {
        match (self.started_at, self.ended_at) {
            (Some(started), Some(ended)) => {
                u64::try_from(ended.as_millisecond() - started.as_millisecond()).unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// Whether it runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }
}

/// How far a turn is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The provider is ready; the number is taken, the turn has not begun.
    Allotted,
    /// It began and has not ended.
    Running,
    /// It ended, or there was none yet.
    Over,
}

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnResult {
    /// The work was done.
    Completed,
    /// A person stopped the provider in the middle.
    Interrupted,
    /// The provider, or its run, failed for good.
    Failed,
    /// It ended with its run, its session or a pause, without a result.
    Cancelled,
    /// The next turn began before it had ended.
    Superseded,
}

/// Who said something: the engine, or one of the sources.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    /// A command, or the clock.
    Engine,
    /// An observed event of this source.
    Source(SourceId),
}
