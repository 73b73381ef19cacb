//! What is kept of a run for its next process, or the next attempt at its task: what its worker saved, and the session of its
//! provider.

use dormouse_secrets::Scrubbed;

use super::checkpoint::held;
use super::service::stage_run;
use super::{Claimed, Run, RunFilter, RunState, Runs};
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::worker::report::REPORT_LINE_MAX;
use crate::{CommandError, Principal};

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
        let kept = Kept::Saved(saved);
        let done = self
            .core
            .command(&by, |draft| keep(&self.core, draft, claimed, kept));
        done.await.map(|done| done.answer)
    }

    /// Keeps by which session of its provider a run goes on.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    pub async fn bind(&self, claimed: &Claimed, session: &Scrubbed) -> Result<(), CommandError> {
        let by = Principal::engine();
        let kept = Kept::Session(session);
        let done = self
            .core
            .command(&by, |draft| keep(&self.core, draft, claimed, kept));
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

/// What is kept.
#[derive(Debug, Clone, Copy)]
enum Kept<'a> {
    Saved(&'a Scrubbed),
    Session(&'a Scrubbed),
}

async fn keep(
    core: &Core,
    mut draft: Draft,
    claimed: &Claimed,
    kept: Kept<'_>,
) -> Result<Verdict<()>, CommandError> {
    let read = held(core, &mut draft, claimed).await?;
    debug_assert!(read.state != RunState::Ended, "an ended run takes no checkpoint");
    let mut run = Run {
        updated_at: draft.now(),
        op: draft.op(),
        ..Run::clone(&read)
    };
    match kept {
        Kept::Saved(saved) => run.saved = Some(saved.clone()),
        Kept::Session(session) => run.provider_session = Some(session.clone()),
    }
    if (&run.saved, &run.provider_session) == (&read.saved, &read.provider_session) {
        return Ok(Verdict::Nothing(()));
    }
    stage_run(core, &mut draft, Some(&read), &run, None).await?;
    Ok(Verdict::Commit(draft, ()))
}
