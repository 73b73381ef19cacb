//! What the worker of a run saves for the next attempt at its task.

use dormouse_secrets::Scrubbed;

use super::service::{get, rejected, stage_run};
use super::{Claimed, Run, RunEvent, RunFilter, RunState, Runs, decide};
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::lease::{LeaseEvent, check};
use crate::worker::report::REPORT_LINE_MAX;
use crate::{CommandError, Decision, Principal};

impl Runs {
    /// Keeps what the worker of a run saves, in place of what it saved before: for its next process, or the next attempt.
    ///
    /// # Errors
    /// `Invalid` for more than 64 KiB; `Fenced` and `LeaseExpired`: stop at once. `Rejected` when it has ended.
    pub async fn save(&self, claimed: &Claimed, saved: &Scrubbed) -> Result<(), CommandError> {
        if saved.as_str().len() > REPORT_LINE_MAX {
            let most = format!("at most {REPORT_LINE_MAX} bytes are kept");
            return Err(CommandError::invalid("checkpoint", most));
        }
        let by = Principal::engine();
        let done = self
            .core
            .command(&by, |draft| save(&self.core, draft, claimed, saved));
        done.await.map(|done| done.answer)
    }

    /// What was saved by the last attempt before this one that saved anything, or by this one's former process.
    ///
    /// # Errors
    /// As any read.
    pub async fn saved_before(&self, claimed: &Claimed) -> Result<Option<Scrubbed>, CommandError> {
        let run = &claimed.run;
        if run.saved.is_some() || run.attempt <= 1 {
            return Ok(run.saved.clone());
        }
        let Some(task) = run.task else { return Ok(None) };
        let page = self.list(&RunFilter::Task(task), None, FORMER_MAX).await?;
        Ok(page.rows.into_iter().find_map(|row| row.run.into_inner().saved))
    }
}

/// Most former attempts that are looked through: the fifth that fails is the last.
const FORMER_MAX: usize = 10;

async fn save(
    core: &Core,
    mut draft: Draft,
    claimed: &Claimed,
    saved: &Scrubbed,
) -> Result<Verdict<()>, CommandError> {
    let held = check(core, &claimed.guard, LeaseEvent::Write, draft.now()).await?;
    held.stage_check(core, &mut draft);
    let read = get(core, claimed.run.id).await?;
    // What may be written of its effects may be written of its work.
    match decide(read.state, RunEvent::Checkpoint) {
        Decision::Same => {}
        Decision::Reject(reason) => return Err(rejected(&read, RunEvent::Checkpoint, reason)),
        cell @ (Decision::Apply(_) | Decision::Ignore(_)) => {
            unreachable!("no cell of checkpoint is {cell:?}")
        }
    }
    debug_assert!(read.state != RunState::Ended, "an ended run takes no checkpoint");
    if read.saved.as_ref() == Some(saved) {
        return Ok(Verdict::Nothing(()));
    }
    let run = Run {
        saved: Some(saved.clone()),
        updated_at: draft.now(),
        op: draft.op(),
        ..Run::clone(&read)
    };
    stage_run(core, &mut draft, Some(&read), &run, None).await?;
    Ok(Verdict::Commit(draft, ()))
}
