//! Its time has come: the row goes and a task comes, in one commit.

use dormouse_filesystem::Records;

use super::TimedWake;
use crate::agent::Agent;
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::event::Change;
use crate::limits::TITLE_MAX;
use crate::task::{Clean, Grounds, NewTask, Numbers, numbered};
use crate::wake::WakeCause;
use crate::{CommandError, Principal, WakeId};

/// Makes the task of a timed wake. Early, late or twice, it does nothing. Whether there is a task by it.
pub(crate) async fn fire(core: &Core, id: WakeId) -> Result<bool, CommandError> {
    let by = Principal::engine();
    let done = core.command(&by, |draft| fired(core, draft, id));
    Ok(done.await?.answer)
}

async fn fired(core: &Core, mut draft: Draft, id: WakeId) -> Result<Verdict<bool>, CommandError> {
    let rows = Records::<TimedWake>::new(&core.space);
    let Some(read) = rows.get(&id).await? else {
        return Ok(Verdict::Nothing(false));
    };
    if draft.now() < read.due {
        return Ok(Verdict::Nothing(false));
    }
    rows.stage_remove(draft.batch(), &read).await?;
    let agent = core.agent_if_there(&read.agent).await?;
    let Some(agent) = agent.filter(|agent| agent.incarnation == read.agent_incarnation) else {
        // Its agent goes, and takes it along.
        draft.tell(&read.about(), &Change::WakeCancelled {})?;
        return Ok(Verdict::Commit(draft, false));
    };
    Records::<Agent>::new(&core.space).stage_check(draft.batch(), &agent);
    // What is a secret by now was none when it was added, perhaps: it goes before anything is cut.
    let new = task_of(&read, core.scrubber.scrub(read.reason.as_ref()).into_string());
    let clean = Clean::of(&new, &core.scrubber);
    let mut numbers = Numbers::read(core).await?;
    let grounds = Grounds::of(agent);
    let task = numbered(core, &mut draft, &grounds, (&new, &clean), numbers.take())?;
    numbers.stage(core, &mut draft).await?;
    draft.tell(&read.about(), &Change::WakeFired { task: task.id })?;
    draft.ring(&read.agent, WakeCause::Timed);
    Ok(Verdict::Commit(draft, true))
}

/// The task that it becomes.
fn task_of(wake: &TimedWake, reason: String) -> NewTask {
    let title = title_of(&reason);
    NewTask {
        body: reason,
        command: wake.command.clone(),
        ..NewTask::new(wake.agent.clone(), title)
    }
}

/// A reason as a title: one line, cut where it is long.
fn title_of(reason: &str) -> String {
    let line = reason.chars().map(|c| if c.is_control() { ' ' } else { c });
    line.take(TITLE_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_one_line_that_is_not_too_long() {
        assert_eq!(title_of("look\nagain"), "look again");
        assert_eq!(title_of(&"ä".repeat(TITLE_MAX + 1)), "ä".repeat(TITLE_MAX));
    }
}
