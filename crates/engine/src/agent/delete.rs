//! The beginning and the end of an agent's deletion: it is durable before anything goes, and a tombstone when all has gone.

use std::sync::Arc;

use dormouse_filesystem::{Records, Version, Versioned};

use super::removing::begin_removal;
use super::service::{at_version, refused};
use super::stop::live_runs;
use super::{Agent, AgentEvent, AgentState, decide};
use crate::core::Core;
use crate::draft::Verdict;
use crate::event::Change;
use crate::{AgentName, CommandError, Decision, Incarnation, Principal, Reason};

/// What becomes of the runs of an agent that is to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtWork {
    /// While it has some, it is not deleted.
    Refuse,
    /// They are told to stop.
    Stop,
}

/// Makes the deletion of an agent durable, and begins to remove what is its.
pub(super) async fn delete(
    core: &Arc<Core>,
    by: &Principal,
    name: &AgentName,
    at_work: AtWork,
    expected: Option<Version>,
) -> Result<Versioned<Agent>, CommandError> {
    let rows = &Records::<Agent>::new(&core.space);
    let done = core.command(by, |mut draft| async move {
        let Some(read) = rows.get(name).await? else {
            return Err(CommandError::not_found("agent", name));
        };
        let event = AgentEvent::Delete;
        let state = match decide(Some(read.state), event) {
            Decision::Apply(state) => state,
            Decision::Ignore(_) => {
                let version = read.version();
                return Ok(Verdict::Nothing((read.into_inner(), Some(version))));
            }
            Decision::Reject(reason) => return Err(refused(name, Some(&read), event, reason)),
            Decision::Same => unreachable!("no cell of delete says so"),
        };
        at_version(&read, expected)?;
        // A run that is claimed from here on has the agent's row as a precondition, or is stopped by the deletion.
        if at_work == AtWork::Refuse && !live_runs(core, &read).await?.is_empty() {
            return Err(refused(name, Some(&read), event, Reason::Run));
        }
        let agent = Agent {
            state,
            updated_at: draft.now(),
            op: draft.op(),
            ..Agent::clone(&read)
        };
        rows.stage_replace(draft.batch(), &read, &agent).await?;
        draft.tell(&agent.about(), &Change::AgentDeleting {})?;
        Ok(Verdict::Commit(draft, (agent, None)))
    });
    let done = done.await;
    if let Err(CommandError::Indeterminate { .. }) = &done
        && let Ok(Some(agent)) = deleting(core, name).await
    {
        // It was done, though whoever asked is not told so.
        begin_removal(core, &agent);
    }
    let done = done?;
    let (agent, version) = done.answer;
    begin_removal(core, &agent);
    Ok(rows.written(&agent, done.version.or(version))?)
}

/// The agent, while it is being deleted.
pub(super) async fn deleting(core: &Core, name: &AgentName) -> Result<Option<Agent>, CommandError> {
    let row = Records::<Agent>::new(&core.space).get(name).await?;
    let agent = row.filter(|agent| agent.state == AgentState::Deleting);
    Ok(agent.map(Versioned::into_inner))
}

/// All that was the agent's has gone: its row becomes its tombstone.
pub(super) async fn torn_down(
    core: &Core,
    name: &AgentName,
    incarnation: Incarnation,
) -> Result<(), CommandError> {
    let rows = &Records::<Agent>::new(&core.space);
    let by = Principal::engine();
    let done = core.command(&by, |mut draft| async move {
        let read = rows
            .get(name)
            .await?
            .filter(|agent| agent.incarnation == incarnation);
        let event = AgentEvent::TornDown;
        match decide(read.as_ref().map(|agent| agent.state), event) {
            Decision::Apply(_) => {}
            Decision::Ignore(_) => return Ok(Verdict::Nothing(())),
            Decision::Reject(reason) => return Err(refused(name, read.as_deref(), event, reason)),
            Decision::Same => unreachable!("no cell of being torn down says so"),
        }
        let read = read.expect("only a row is torn down");
        let tombstone = read.tombstone(draft.now(), draft.op());
        rows.stage_replace(draft.batch(), &read, &tombstone).await?;
        draft.tell(&tombstone.about(), &Change::AgentDeleted {})?;
        Ok(Verdict::Commit(draft, ()))
    });
    done.await.map(drop)
}
