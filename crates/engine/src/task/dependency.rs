//! What becomes of a task when one that it waits for ends: a pure table.

use serde::{Deserialize, Serialize};

use super::table::row;
use super::{TaskState, Wait};

/// What becomes of a task when one that it waits for is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailed {
    /// It fails, and no attempt at it is made.
    #[default]
    Fail,
    /// It is done all the same.
    Run,
    /// It is called off.
    Cancel,
}

impl OnFailed {
    /// Every one of them.
    pub const ALL: [Self; 3] = [Self::Fail, Self::Run, Self::Cancel];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Run => "run",
            Self::Cancel => "cancel",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How a task ended that others wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DependencyEnd {
    /// It was done, wholly or in part.
    Done,
    /// It was not.
    NotDone,
}

impl DependencyEnd {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Done, Self::NotDone];

    /// How a task of this state ended; none while it has not.
    #[must_use]
    pub fn of(state: &TaskState) -> Option<Self> {
        match state {
            TaskState::Done { .. } => Some(Self::Done),
            TaskState::Failed { .. } | TaskState::Quarantined | TaskState::Cancelled => Some(Self::NotDone),
            TaskState::PendingApproval
            | TaskState::Backlog
            | TaskState::Ready
            | TaskState::Running
            | TaskState::Waiting { .. } => None,
        }
    }

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NotDone => "not done",
        }
    }
}

/// What an end is for a task that waited for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It waits for one task fewer, and stays where it is.
    OneFewer,
    /// The same, and if it was the last, its time has come.
    Due,
    /// It fails.
    Failed,
    /// It is called off.
    Cancelled,
}

impl Effect {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::OneFewer => "·",
            Self::Due => "due",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What becomes of it: `TABLE[row][column]`, its columns what lets it go on, and what `fail` and `cancel` make of the rest.
#[rustfmt::skip]
const TABLE: [[Effect; 3]; 6] = {
    use Effect::{Cancelled as C, Due, Failed as F, OneFewer as Less};
    [
        //          goes on, fail,  cancel
        /* P */    [Less,    F,     C],
        /* B */    [Less,    F,     C],
        // Ready and running ones wait for no task; and what has ended is not ended again.
        /* R */    [Less,    Less,  Less],
        /* N */    [Less,    Less,  Less],
        /* W */    [Due,     F,     C],
        /* E */    [Less,    Less,  Less],
    ]
};

/// What becomes of a task of this state when one that it waits for ended so.
#[must_use]
pub fn decide_dependent(state: &TaskState, on_failed: OnFailed, end: DependencyEnd) -> Effect {
    if matches!(state, TaskState::Waiting { on } if *on != Wait::Tasks) {
        return Effect::OneFewer;
    }
    let column = match (end, on_failed) {
        (DependencyEnd::Done, _) | (DependencyEnd::NotDone, OnFailed::Run) => 0,
        (DependencyEnd::NotDone, OnFailed::Fail) => 1,
        (DependencyEnd::NotDone, OnFailed::Cancel) => 2,
    };
    TABLE[row(state) as usize][column]
}
