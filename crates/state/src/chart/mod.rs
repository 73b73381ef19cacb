//! The table of transitions, as two charts that are asked one after the other.
//!
//! [`decide`] is total: each chart answers each input in each state by name, so a handler that is
//! missing does not compile. The charts are values. They are driven through statig's `StateExt` and keep
//! nothing between two inputs, since a session is restored at any state and must not run entry actions
//! again, and since an input nobody handles has to be an answer.

mod execution;
mod lifecycle;
mod step;

use statig::{Outcome, blocking::StateExt};

pub(crate) use self::{
    execution::Doing,
    step::{Binding, Facts, Input, Refusal, Resolution, RunEnding, Step},
};
use self::{execution::ExecutionChart, lifecycle::LifecycleChart};
use crate::{Answer, Lifecycle};

/// Where an input leads, and what happens on the way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decision {
    pub(crate) lifecycle: Lifecycle,
    pub(crate) doing: Doing,
    pub(crate) step: Step,
}

/// The cell of the table for this state and input.
pub(crate) fn decide(
    mut lifecycle: Lifecycle,
    mut doing: Doing,
    input: Input,
    facts: Facts,
) -> Result<Decision, Refusal> {
    let mut step = Step::new(Facts {
        is_compacting: doing == Doing::Compacting,
        ..facts
    });
    let (next, asks_execution) = match lifecycle.handle(&mut LifecycleChart, &input, &mut step) {
        Outcome::Transition(next) => (next, next == Lifecycle::Active),
        Outcome::Super => (lifecycle, true),
        Outcome::Handled => (lifecycle, false),
    };
    if next != Lifecycle::Active {
        // Leaving Active halts what was done in it, in the same step.
        doing = Doing::Off;
    } else if asks_execution
        && let Outcome::Transition(to) = doing.handle(&mut ExecutionChart, &input, &mut step)
    {
        doing = to;
    }
    match step.refusal {
        Some(refusal) => Err(refusal),
        None => Ok(Decision {
            lifecycle: next,
            doing,
            step,
        }),
    }
}

impl Decision {
    /// The same, and a turn begins.
    pub(crate) fn with_next_turn(mut self) -> Decision {
        self.step.begins = true;
        self
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Answer {
        match refusal {
            Refusal::Ignored(why) => Answer::Ignored(why),
            Refusal::Rejected(why) => Answer::Rejected(why),
        }
    }
}
