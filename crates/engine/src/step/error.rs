//! Why a step has no result.

use dormouse_secrets::Scrubbed;

use super::{InvalidStepName, StepName};
use crate::CommandError;
use crate::gate::{GateError, InvalidInput};
use crate::limits::{STEP_RESULT_MAX, STEPS_MAX};

/// What a step's closure says went wrong. Which it is decides whether it is done again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepFault {
    /// Certainly not done: it is not remembered, and the step is free again.
    #[error("not done: {0}")]
    NotDone(String),
    /// It failed and would fail again: remembered, and returned to later attempts.
    #[error("failed for good: {0}")]
    Permanent(String),
    /// Whether it was done is not known. In an external step the attempt ends; elsewhere it counts as not done.
    #[error("not known whether it was done: {0}")]
    Unknown(String),
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "`map_err(StepFault::not_done)` hands over the error"
)]
impl StepFault {
    /// Not done, because of this error.
    pub fn not_done(error: impl ToString) -> Self {
        Self::NotDone(error.to_string())
    }

    /// Failed for good, because of this error.
    pub fn permanent(error: impl ToString) -> Self {
        Self::Permanent(error.to_string())
    }

    /// Not known, because of this error.
    pub fn unknown(error: impl ToString) -> Self {
        Self::Unknown(error.to_string())
    }
}

/// A step without a result. Each variant says whether its closure was called.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// Not called: its name or key is none. Correct it.
    #[error(transparent)]
    Name(#[from] InvalidStepName),
    /// Not called: its input is no JSON, or too much of it. Correct it.
    #[error("the input of step {name}: {source}")]
    Input {
        /// Which step.
        name: StepName,
        /// What is wrong.
        #[source]
        source: InvalidInput,
    },
    /// Not called: it was done with another input or version. Give it another name or key, or retry the task afresh.
    #[error("step {name} was done with another input")]
    StepChanged {
        /// Which step.
        name: StepName,
    },
    /// Not called: another call of the same key goes on; of a script, also another one of the name where neither has a key.
    #[error("step {name} is in progress already")]
    StepInProgress {
        /// Which step.
        name: StepName,
    },
    /// Not called: it would park the run, and the external step that calls it cannot be left in the middle of its effect.
    /// Call it before or behind that one.
    #[error(
        "step {name} would park the run in the middle of the external step {within}: call it before that one"
    )]
    WithinStep {
        /// Which step.
        name: StepName,
        /// The one that calls it.
        within: StepName,
    },
    /// Not called: there are as many steps as may be.
    #[error("there are {STEPS_MAX} steps already, steps.count_max")]
    StepsExhausted,
    /// Called, now or in a former attempt: its result was larger than is kept. Its effect is not repeated.
    #[error("the result of step {name} has {bytes} bytes, steps.result_max is {STEP_RESULT_MAX}")]
    TooLarge {
        /// Which step.
        name: StepName,
        /// The bytes of its JSON.
        bytes: u64,
    },
    /// Called, and not done. Nothing is remembered: call it again, or let the attempt fail.
    #[error("step {name} was not done: {message}")]
    NotDone {
        /// Which step.
        name: StepName,
        /// What was said.
        message: Scrubbed,
    },
    /// Called, now or in a former attempt, and failed for good.
    #[error("step {name} failed for good: {message}")]
    Permanent {
        /// Which step.
        name: StepName,
        /// What was said.
        message: Scrubbed,
    },
    /// Whether its effect happened is not known: the attempt is being ended, and a person decides.
    #[error("whether step {name} happened is not known; the attempt ends, and a person decides")]
    Lost {
        /// Which step.
        name: StepName,
    },
    /// Done, and what is stored of it, scrubbed, is not what the caller takes.
    #[error("the stored result of step {name} cannot be read as what is wanted")]
    Unreadable {
        /// Which step.
        name: StepName,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The gate it asks by was not opened, or cannot be read.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// As of any command. `Fenced` and `LeaseExpired`: stop working at once.
    #[error(transparent)]
    Command(#[from] CommandError),
}

impl StepError {
    /// Whether the run is another's, or nobody's, by now: whoever gets this stops at once and writes nothing.
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        matches!(
            self,
            Self::Command(CommandError::Fenced { .. } | CommandError::LeaseExpired { .. })
        )
    }

    /// Whether every later attempt would be told the same.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Name(_)
            | Self::Input { .. }
            | Self::StepChanged { .. }
            | Self::WithinStep { .. }
            | Self::StepsExhausted
            | Self::TooLarge { .. }
            | Self::Permanent { .. }
            | Self::Unreadable { .. } => true,
            Self::StepInProgress { .. }
            | Self::NotDone { .. }
            | Self::Lost { .. }
            | Self::Gate(_)
            | Self::Command(_) => false,
        }
    }
}
