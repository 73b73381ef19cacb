//! The end of a session, and the beginning of its next life.

use std::sync::Arc;

use dormouse_filesystem::{Namespace, Records, Tenant};
use dormouse_secrets::Scrubbed;
use dormouse_state::{Answer, Command, EndReason};

use super::apply::{Input, Moved, Whom, apply};
use super::live::Newest;
use crate::agent::Agents;
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::event::Change;
use crate::run::{Run, RunState, StopReason, Stopped, stage_stop};
use crate::task::{Cause, Task, TaskEvent, move_task};
use crate::{CommandError, Principal, RunId, SessionId};

/// What an end staged.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) answer: Answer,
    pub(super) incarnation: u32,
    pub(super) stopped: Option<Stopped>,
}

/// Ends a session: one commit with its gates, its grants and the stop of its run.
pub(super) async fn end(
    core: &Arc<Core>,
    by: &Principal,
    id: SessionId,
    reason: EndReason,
) -> Result<Answer, CommandError> {
    let done = core.command(by, |draft| staged(core, draft, id, reason)).await?;
    Ok(told(core, id, done.answer))
}

pub(super) async fn staged(
    core: &Core,
    mut draft: Draft,
    id: SessionId,
    reason: EndReason,
) -> Result<Verdict<Ended>, CommandError> {
    let command = Command::End { reason };
    let moved = apply(&core.space, &mut draft, Whom::any(id), Input::Command(&command)).await?;
    match moved {
        Moved::Unknown | Moved::Stale(_) => Err(CommandError::not_found("session", &id)),
        Moved::Not(answer, now) => Ok(Verdict::Nothing(Ended {
            answer,
            incarnation: now.incarnation,
            stopped: None,
        })),
        Moved::To(answer, now) => {
            let stopped = match now.run {
                Some(run) => stop(core, &mut draft, run).await?,
                None => None,
            };
            let ended = Ended {
                answer,
                incarnation: now.incarnation,
                stopped,
            };
            Ok(Verdict::Commit(draft, ended))
        }
    }
}

/// Tells this process what was committed: the run that is to stop, the contexts that are over.
pub(super) fn told(core: &Core, id: SessionId, ended: Ended) -> Answer {
    if let Some(Stopped { run, reason }) = ended.stopped {
        core.live.tell(run, reason);
    }
    core.switches.cancel(id, ended.incarnation);
    ended.answer
}

/// The run has nothing to go on with: its holder is told to stop; one that is parked ends at once, and its task with it.
async fn stop(core: &Core, draft: &mut Draft, run: RunId) -> Result<Option<Stopped>, CommandError> {
    let Some(row) = Records::<Run>::new(&core.space).get(&run).await? else {
        return Ok(None);
    };
    let said = Scrubbed::constant("its session has ended");
    match row.state {
        RunState::Ended => return Ok(None),
        RunState::Waiting => cancel_task(core, draft, &row, &said).await?,
        RunState::Starting | RunState::Running | RunState::Stopping => {}
    }
    let reason = StopReason::Cancel {
        by: draft.actor().clone(),
        reason: Some(said),
    };
    stage_stop(core, draft, run, reason).await
}

async fn cancel_task(core: &Core, draft: &mut Draft, run: &Run, said: &Scrubbed) -> Result<(), CommandError> {
    let Some(task) = run.task else { return Ok(()) };
    if let Some(task) = Records::<Task>::new(&core.space).get(&task).await? {
        let cause = Cause {
            reason: Some(said.clone()),
            ..Cause::default()
        };
        move_task(core, draft, &task, &TaskEvent::Cancel, cause).await?;
    }
    Ok(())
}

/// Begins the next life of an ended session, and answers which it is; that of a session that has not ended stays.
pub(super) async fn reopen(core: &Arc<Core>, by: &Principal, id: SessionId) -> Result<u32, CommandError> {
    let done = core.command(by, |mut draft| async move {
        let read = Newest::read(&core.space, id).await?;
        let read = read.ok_or_else(|| CommandError::not_found("session", &id))?;
        if read.row.state.lifecycle != dormouse_state::Lifecycle::Ended {
            return Ok(Verdict::Nothing(read.row.state.incarnation));
        }
        let agent = Agents::new(core).require(&mut draft, &read.row.agent).await?;
        if agent.incarnation != read.row.agent_incarnation {
            return Err(CommandError::not_found("agent", &read.row.agent));
        }
        let incarnation = stage_reopen(&core.space, &mut draft, &read).await?;
        Ok(Verdict::Commit(draft, incarnation))
    });
    Ok(done.await?.answer)
}

/// Stages the next life of a session that has ended.
pub(super) async fn stage_reopen(
    space: &Namespace<Tenant>,
    draft: &mut Draft,
    read: &Newest,
) -> Result<u32, CommandError> {
    let mut session = read.session(draft.session_options(), draft.now())?;
    session
        .reopen(draft.now())
        .map_err(|_| CommandError::Contended { attempts: 1 })?;
    let row = read.stage(space, draft, session.view()).await?;
    let incarnation = row.state.incarnation;
    draft.tell(&row.about(), &Change::SessionReopened { incarnation })?;
    Ok(incarnation)
}
