//! The end of a call: what came of it in one commit, under the token of the run's lease.

use std::time::Duration;

use dormouse_filesystem::Tenant;
use dormouse_filesystem::blob::{BlobId, Blobs, StagedBlob};
use dormouse_filesystem::{Records, Versioned};
use dormouse_secrets::Scrubbed;
use serde::Serialize;
use tokio::time::sleep;

use super::begin::Running;
use super::context::Hand;
use super::row::stage_gone;
use super::value::{clean, of_blob};
use super::{EndCell, Leave, Step, StepEnd, StepError, StepFault, StepResult, StepState, decide_end};
use crate::draft::{Draft, Verdict};
use crate::lease::{LeaseEvent, check};
use crate::limits::{STEP_BLOB_OVER, STEP_MESSAGE_MAX, STEP_RESULT_MAX};
use crate::run::{Checkpoint, stage_checkpoint};
use crate::{CommandError, OpId, PrefixedId, Principal};

/// How long after a commit that was not done the next one is tried.
const RETRY: Duration = Duration::from_secs(1);

/// How a call ended, as whoever did it says.
#[derive(Debug, Clone, PartialEq)]
pub enum StepReport {
    /// With this result.
    Result(serde_json::Value),
    /// With a result of so many bytes, which was not even read whole.
    TooLarge(u64),
    /// Without one.
    Fault(StepFault),
}

impl StepReport {
    /// The end of a call that succeeded. A result that is no JSON cannot be kept, and the call is not repeated for it.
    pub(super) fn of<T: Serialize>(result: &T) -> Self {
        match serde_json::to_value(result) {
            Ok(value) => Self::Result(value),
            Err(error) => Self::Fault(StepFault::Permanent(format!("its result is no JSON: {error}"))),
        }
    }
}

impl From<StepFault> for StepReport {
    fn from(fault: StepFault) -> Self {
        Self::Fault(fault)
    }
}

/// An end that is stored.
#[derive(Debug)]
pub(super) enum Kept {
    Result(StepResult),
    Permanent(Scrubbed),
    TooLarge(u64),
}

/// What is to be written of an end.
struct Written {
    end: StepEnd,
    /// None where nothing is kept.
    state: Option<StepState>,
    /// The blob that its result is in.
    blob: Option<StagedBlob<Tenant>>,
    /// The message of an end without a result.
    message: Scrubbed,
    /// The result, as JSON.
    json: Option<Scrubbed>,
}

impl Hand {
    /// Writes what came of a call, and answers with what is stored.
    pub(super) async fn conclude(&self, mut running: Running, end: StepReport) -> Result<String, StepError> {
        let name = running.id.name.clone();
        let written = self.written(end).await?;
        let cell = decide_end(running.effect, written.end);
        match cell {
            EndCell::Keep | EndCell::KeepSafe => {
                self.persist(&running, written.state.as_ref(), written.blob.as_ref())
                    .await?;
                (running.holds_place, running.is_spent) = (false, true);
            }
            EndCell::FreeSafe => {
                self.persist(&running, None, None).await?;
                running.holds_place = true;
            }
            EndCell::Free => {}
            EndCell::Lose => {
                self.books.leave(Leave::Lose(name.clone()));
                return Err(StepError::Lost { name });
            }
        }
        self.books.close(&running.id);
        match (written.json, written.state) {
            (Some(json), _) => Ok(json.into_string()),
            (None, Some(StepState::TooLarge { bytes })) => Err(StepError::TooLarge { name, bytes }),
            (None, Some(StepState::Permanent { message })) => Err(StepError::Permanent { name, message }),
            (None, Some(StepState::Begun | StepState::Done { .. }) | None) => Err(StepError::NotDone {
                name,
                message: written.message,
            }),
        }
    }

    async fn written(&self, end: StepReport) -> Result<Written, CommandError> {
        let empty = Written {
            end: StepEnd::NotDone,
            state: None,
            blob: None,
            message: Scrubbed::default(),
            json: None,
        };
        let fault = match end {
            StepReport::Result(value) => return self.result(value, empty).await,
            StepReport::TooLarge(bytes) => {
                return Ok(Written {
                    end: StepEnd::TooLarge,
                    state: Some(StepState::TooLarge { bytes }),
                    ..empty
                });
            }
            StepReport::Fault(fault) => fault,
        };
        let (end, text) = match fault {
            StepFault::NotDone(text) => (StepEnd::NotDone, text),
            StepFault::Permanent(text) => (StepEnd::Permanent, text),
            StepFault::Unknown(text) => (StepEnd::Unknown, text),
        };
        let message = self.clean(&text).await?.truncate_to(STEP_MESSAGE_MAX);
        let state = (end == StepEnd::Permanent).then(|| StepState::Permanent {
            message: message.clone(),
        });
        Ok(Written {
            end,
            state,
            message,
            ..empty
        })
    }

    async fn result(&self, value: serde_json::Value, empty: Written) -> Result<Written, CommandError> {
        let json = clean(&self.scrubber().await?, value);
        if json.len() > STEP_RESULT_MAX {
            let bytes = json.len() as u64;
            return Ok(Written {
                end: StepEnd::TooLarge,
                state: Some(StepState::TooLarge { bytes }),
                ..empty
            });
        }
        let blob = match json.len() > STEP_BLOB_OVER {
            true => Some(self.blob(&json).await?),
            false => None,
        };
        let result = match &blob {
            Some(blob) => StepResult::Blob(*blob.id()),
            None => StepResult::Json(json.clone()),
        };
        Ok(Written {
            end: StepEnd::Result,
            state: Some(StepState::Done { result }),
            blob,
            json: Some(json),
            ..empty
        })
    }

    /// Puts a result where large ones are. Nobody's until the step's row names it; what is nobody's is swept.
    async fn blob(&self, json: &Scrubbed) -> Result<StagedBlob<Tenant>, CommandError> {
        let blobs = Blobs::new(&self.core.space);
        // Ends when it is staged, refused, or the lease's time is up.
        loop {
            let now = self.core.environment.clock.now();
            let id = BlobId::new(OpId::make(now, &self.core.environment.random).uuid().as_u128());
            let staged = blobs.stage(id, json.as_str().to_owned(), now).await;
            match staged.map_err(of_blob) {
                Ok(staged) => return Ok(staged),
                Err(error) => self.may_try_again(error).await?,
            }
        }
    }

    /// Commits the row of a step, or that it is gone; again until it is known to be done, as long as the lease lives.
    pub(super) async fn persist(
        &self,
        running: &Running,
        state: Option<&StepState>,
        blob: Option<&StagedBlob<Tenant>>,
    ) -> Result<(), CommandError> {
        let by = Principal::engine();
        // What an external step leaves as checkpoint is scrubbed before the commit is decided.
        let label = self.clean(&format!("step {}", running.id.name)).await?;
        // Ends when it is done, refused, or the lease's time is up.
        loop {
            let done = self
                .core
                .command(&by, |draft| self.staged(draft, running, state, blob, &label));
            match done.await {
                Ok(_) => return Ok(()),
                Err(error) => self.may_try_again(error).await?,
            }
        }
    }

    /// Waits a little after an error that may pass; any other is the answer.
    async fn may_try_again(&self, error: CommandError) -> Result<(), CommandError> {
        let run = self.claimed.run.id;
        match error {
            // The machine was asleep for longer than the lease lives: nobody else could take it meanwhile.
            error @ CommandError::LeaseExpired { .. } => {
                let renewed = self.runs().heartbeat(&self.claimed, None).await;
                renewed.map(drop).map_err(|_| error)
            }
            error
                if (error.is_congestion() || matches!(error, CommandError::Indeterminate { .. }))
                    && !self.claimed.guard.left().is_zero() =>
            {
                tracing::warn!(%run, %error, "a step was not written; it is tried again");
                sleep(RETRY).await;
                Ok(())
            }
            error => Err(error),
        }
    }

    async fn staged(
        &self,
        mut draft: Draft,
        running: &Running,
        state: Option<&StepState>,
        blob: Option<&StagedBlob<Tenant>>,
        label: &Scrubbed,
    ) -> Result<Verdict<()>, CommandError> {
        let rows = Records::<Step>::new(&self.core.space);
        let read = rows.get(&running.id).await?;
        if is_written(read.as_ref(), running, state) {
            return Ok(Verdict::Nothing(()));
        }
        let held = check(&self.core, &self.claimed.guard, LeaseEvent::Write, draft.now()).await?;
        held.stage_check(&self.core, &mut draft);
        match (state, &read) {
            (Some(state), _) => {
                let row = running.row(&draft, read.as_deref(), state.clone());
                match &read {
                    None => rows.stage_create(draft.batch(), &row)?,
                    Some(read) => rows.stage_replace(draft.batch(), read, &row).await?,
                }
            }
            (None, Some(read)) => stage_gone(&self.core, &mut draft, read).await?,
            (None, None) => unreachable!("what is gone is written"),
        }
        if let Some(blob) = blob {
            let blobs = Blobs::new(&self.core.space);
            blobs.attach(draft.batch(), blob).await.map_err(of_blob)?;
        }
        if running.effect == super::Effect::External {
            let begins = state == Some(&StepState::Begun);
            let next = self.checkpoint(running, begins, label);
            stage_checkpoint(&self.core, &mut draft, self.claimed.run.id, next).await?;
        }
        Ok(Verdict::Commit(draft, ()))
    }

    /// What is known of the run's effects with this: nothing is safe while another step's effect is open, be it one that
    /// was open when the run was parked.
    fn checkpoint(&self, running: &Running, begins: bool, label: &Scrubbed) -> Checkpoint {
        if begins || self.books.another_open(&running.id).is_some() {
            return Checkpoint::SideEffect {
                what: Some(label.clone()),
            };
        }
        if let open @ Checkpoint::SideEffect { .. } = &self.claimed.run.checkpoint {
            return open.clone();
        }
        Checkpoint::Safe {
            label: Some(label.clone()),
        }
    }
}

/// Whether this very end is stored: the answer to its commit was lost.
fn is_written(read: Option<&Versioned<Step>>, running: &Running, state: Option<&StepState>) -> bool {
    match (read, state) {
        (None, None) => true,
        (Some(read), Some(state)) => {
            read.state == *state && read.input == running.input && read.run == running.hand.claimed.run.id
        }
        (None, Some(_)) | (Some(_), None) => false,
    }
}

impl Running {
    fn row(&self, draft: &Draft, read: Option<&Step>, state: StepState) -> Step {
        let run = &self.hand.claimed.run;
        Step {
            step: self.id.clone(),
            agent: run.agent.clone(),
            agent_incarnation: run.agent_incarnation,
            run: run.id,
            effect: self.effect,
            input: self.input,
            state,
            retires_from: None,
            created_at: read.map_or(draft.now(), |read| read.created_at),
            updated_at: draft.now(),
            op: draft.op(),
        }
    }
}
