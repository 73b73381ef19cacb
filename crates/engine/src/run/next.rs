//! Claiming what is next in a lane, for whoever does the work of tasks without a supervisor.

use std::collections::HashSet;
use std::sync::Arc;

use super::claim::claim;
use super::{ClaimOptions, Claimed, Slot};
use crate::agent::Agents;
use crate::core::Core;
use crate::limits::CANDIDATES_MAX;
use crate::wake::{Found, look};
use crate::{AgentName, CommandError, Principal, SessionId, TaskId};

/// What a claim of the next task came to.
#[derive(Debug)]
pub enum Next {
    /// It is held.
    Claimed(Box<Claimed>),
    /// Nothing is ready.
    Empty,
    /// The agent runs as much at once as it may.
    Full,
}

/// What came of the tasks that were read.
enum Tried {
    Claimed(Box<Claimed>),
    /// Others of this process are at all of them.
    Awaited,
    /// Some were another's by then.
    Lost,
    /// The agent runs as much at once as it may.
    Full,
}

pub(super) async fn claim_next(
    core: &Arc<Core>,
    agents: &Agents,
    by: &Principal,
    agent: &AgentName,
    session: Option<SessionId>,
) -> Result<Next, CommandError> {
    let options = ClaimOptions {
        session,
        slot: Slot::Free,
        ..ClaimOptions::default()
    };
    let (mut lost, mut doubted) = (HashSet::new(), None);
    // Ends when so many races were lost: each pass over the lane claims, loses or waits for another's claim to be over.
    while lost.len() < CANDIDATES_MAX {
        let over = core.claiming.over();
        let looking = core.claiming.look();
        let found = look(core, agent, &lost, looking.wanted()).await?;
        drop(looking);
        let tasks = match found {
            Found::Ready { tasks, .. } => tasks,
            Found::NoPlace => return Ok(Next::Full),
            // Those that were lost are others', unless nobody can have them.
            Found::Nothing { .. } => return doubted.map_or(Ok(Next::Empty), Err),
            Found::Paused => return Err(CommandError::AgentPaused { agent: agent.clone() }),
            Found::Gone => return Err(CommandError::not_found("agent", agent)),
        };
        match first_of(core, agents, by, options, &tasks, (&mut lost, &mut doubted)).await? {
            Tried::Claimed(claimed) => return Ok(Next::Claimed(claimed)),
            Tried::Full => return Ok(Next::Full),
            Tried::Lost => {}
            Tried::Awaited => over.await,
        }
    }
    Err(CommandError::Contended {
        attempts: u32::try_from(lost.len()).unwrap_or(u32::MAX),
    })
}

async fn first_of(
    core: &Arc<Core>,
    agents: &Agents,
    by: &Principal,
    options: ClaimOptions,
    tasks: &[TaskId],
    (lost, doubted): (&mut HashSet<TaskId>, &mut Option<CommandError>),
) -> Result<Tried, CommandError> {
    let mut tried = Tried::Awaited;
    for task in tasks {
        let Some(_claim) = core.claiming.begin(*task) else {
            continue;
        };
        match claim(core, agents, by, *task, options).await {
            Ok(claimed) => return Ok(Tried::Claimed(Box::new(claimed))),
            // The last: another turn of its thread is under way.
            Err(
                CommandError::Rejected { .. } | CommandError::NotFound { .. } | CommandError::Busy { .. },
            ) => {
                lost.insert(*task);
                tried = Tried::Lost;
            }
            // What it stands on cannot be believed: it is in no other's way.
            Err(error @ (CommandError::Corrupt(_) | CommandError::TooNew(_))) => {
                lost.insert(*task);
                doubted.get_or_insert(error);
                tried = Tried::Lost;
            }
            // Another took the last place meanwhile.
            Err(CommandError::LimitExceeded(refusal)) if refusal.is_of_slots() => return Ok(Tried::Full),
            Err(error) => return Err(error),
        }
    }
    Ok(tried)
}
