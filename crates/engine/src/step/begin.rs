//! The beginning of a call: what is stored decides, and an external step is durable before it happens.

use std::fmt;
use std::sync::Arc;

use dormouse_filesystem::{Digest, Records, Versioned, WriteOnce};

use super::conclude::Kept;
use super::context::Hand;
use super::{
    CallCell, Effect, Leave, Step, StepError, StepId, StepName, StepPlace, StepRow, StepState, decide_call,
};
use crate::outcome::{CancelledBy, Outcome};
use crate::run::{Checkpoint, OutcomeRow, Run};
use crate::{CommandError, RunId};

/// Where a call goes on.
pub(super) enum Began {
    /// The closure is called.
    Run(Running),
    /// This is stored; its number is this call's once it was told.
    Kept(Running, Kept),
}

/// A call that goes on: until it is dropped no other call of its key does. One that is dropped before its caller has what
/// is kept of it gives its number back: the next call is that one again, and finds what there is of it.
pub(super) struct Running {
    pub(super) hand: Arc<Hand>,
    pub(super) id: StepId,
    pub(super) input: Digest,
    pub(super) effect: Effect,
    /// Whether it holds a place among those that may be, with no row yet.
    pub(super) holds_place: bool,
    /// Whether its caller has what is kept of it: its number is no other call's.
    pub(super) is_spent: bool,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Running({})", self.id)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.holds_place {
            self.hand.release();
        }
        self.hand.books.exit(&self.id, self.is_spent);
    }
}

impl Hand {
    pub(super) async fn begin(
        self: &Arc<Self>,
        name: &StepName,
        place: StepPlace,
        input: Digest,
        effect: Effect,
    ) -> Result<Began, StepError> {
        let id = self.id(name, place);
        if !self.books.enter(&id) {
            return Err(StepError::StepInProgress { name: name.clone() });
        }
        let mut running = Running {
            hand: Arc::clone(self),
            id,
            input,
            effect,
            holds_place: false,
            is_spent: false,
        };
        let rows = Records::<Step>::new(&self.core.space);
        let read = rows.get(&running.id).await.map_err(CommandError::from)?;
        let is_changed = read.as_ref().is_some_and(|step| step.input != input);
        match decide_call(self.row(read.as_ref()).await?, effect, is_changed) {
            CallCell::Call => {
                self.reserve().await?;
                running.holds_place = true;
                self.runway(effect).await?;
                Ok(Began::Run(running))
            }
            CallCell::Begin => {
                if read.is_none() {
                    self.reserve().await?;
                    running.holds_place = true;
                }
                // One that was begun by an external call is external, whatever it is called now.
                running.effect = Effect::External;
                self.begun(&running).await?;
                running.holds_place = false;
                Ok(Began::Run(running))
            }
            CallCell::Return => {
                let read = read.expect("only what is stored is returned").into_inner();
                let kept = match read.state {
                    StepState::Done { result } => Kept::Result(result),
                    StepState::Permanent { message } => Kept::Permanent(message),
                    StepState::TooLarge { bytes } => Kept::TooLarge(bytes),
                    StepState::Begun => unreachable!("a begun step has no result"),
                };
                Ok(Began::Kept(running, kept))
            }
            CallCell::Lose => {
                // It is this run's now: once that has ended so, a retry is a person's word on it.
                running.effect = Effect::External;
                self.begun(&running).await?;
                self.books.leave(Leave::Lose(name.clone()));
                Err(StepError::Lost { name: name.clone() })
            }
            CallCell::Changed => Err(StepError::StepChanged { name: name.clone() }),
        }
    }

    /// What is stored of a step, as the table has it.
    async fn row(&self, read: Option<&Versioned<Step>>) -> Result<StepRow, CommandError> {
        let Some(step) = read else {
            return Ok(StepRow::Free);
        };
        match step.state.row() {
            StepRow::Begun if self.was_asked(step).await? => Ok(StepRow::BegunAsked),
            row => Ok(row),
        }
    }

    /// Whether a person was asked since a step was begun: the run that began it ended so that its task is not tried
    /// again by itself, and yet here it is.
    async fn was_asked(&self, step: &Step) -> Result<bool, CommandError> {
        if step.run == self.claimed.run.id {
            return Ok(false);
        }
        let outcomes = WriteOnce::<OutcomeRow>::new(&self.core.space);
        let Some(row) = outcomes.get(&step.run).await? else {
            return Ok(false);
        };
        match &row.outcome {
            Outcome::Failed { permanent: false, .. } => Ok(false),
            // Ready by itself, unless an effect was known to be open.
            Outcome::Lost { .. }
            | Outcome::Cancelled {
                by: CancelledBy::Shutdown | CancelledBy::AgentPause,
                ..
            } => self.was_open(step.run).await,
            Outcome::Success { .. }
            | Outcome::Partial { .. }
            | Outcome::Blocked { .. }
            | Outcome::Timeout { .. }
            | Outcome::Failed { permanent: true, .. }
            | Outcome::Cancelled {
                by: CancelledBy::Principal,
                ..
            } => Ok(true),
        }
    }

    /// Whether a run that has ended left an effect open, as it is stored: its task waited for a person.
    async fn was_open(&self, run: RunId) -> Result<bool, CommandError> {
        let run = Records::<Run>::new(&self.core.space).get(&run).await?;
        Ok(run.is_some_and(|run| matches!(run.checkpoint, Checkpoint::SideEffect { .. })))
    }

    /// Makes durable that an external step begins.
    async fn begun(&self, running: &Running) -> Result<(), StepError> {
        self.runway(Effect::External).await?;
        let is_new = self.books.open(&running.id);
        let begun = self.persist(running, Some(&StepState::Begun), None).await;
        if let Err(error) = begun {
            // Nothing happened yet. A row whose answer was lost is found by the next call, which loses it.
            if is_new && !matches!(error, CommandError::Indeterminate { .. }) {
                self.books.close(&running.id);
            }
            return Err(error.into());
        }
        Ok(())
    }

    /// Before a side effect enough of the lease is left, or it is renewed first.
    async fn runway(&self, effect: Effect) -> Result<(), CommandError> {
        let has_effect = match effect {
            Effect::Pure => false,
            Effect::Idempotent | Effect::External => true,
        };
        if has_effect && !self.claimed.guard.has_runway() {
            self.runs().heartbeat(&self.claimed, None).await?;
        }
        Ok(())
    }
}
