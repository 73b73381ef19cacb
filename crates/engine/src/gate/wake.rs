//! Waking the tasks that wait for a gate that many may wait for: that of an account. One commit wakes some, and the
//! rest have commits of their own; the janitor finds what a crash left in between.

use dormouse_filesystem::{Cursor, IndexValue, Namespace, Query, Records, Tenant, Versioned};

use super::Gate;
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::limits::{GATE_WAKES_MAX, PAGE_MAX};
use crate::task::{Cause, Task, TaskEvent, TaskIndex, TaskState, Wait, move_task_in};
use crate::{CommandError, GateId, Principal, TaskId};

/// Stages that tasks which wait for a gate are ready: as many as fit a commit, the first of them. Whether more wait.
pub(super) async fn wake_waiting(
    space: &Namespace<Tenant>,
    draft: &mut Draft,
    gate: GateId,
) -> Result<bool, CommandError> {
    let page = wake_page(space, draft, gate, None).await?;
    Ok(page.next.is_some())
}

/// Tasks that wait for a gate, of which those that can be believed are staged to be ready.
struct Page {
    woken: usize,
    /// Behind these; none with the last.
    next: Option<Cursor>,
}

async fn wake_page(
    space: &Namespace<Tenant>,
    draft: &mut Draft,
    gate: GateId,
    after: Option<Cursor>,
) -> Result<Page, CommandError> {
    let query = Query::of(TaskIndex::Gate)
        .equals([IndexValue::name(&gate.to_string())])
        .after(after)
        .limit(GATE_WAKES_MAX);
    let waiting = Records::<Task>::new(space).find(&query).await?;
    for issue in &waiting.issues {
        tracing::warn!(%gate, %issue, "a task that waits cannot be believed; those behind it are woken");
    }
    for task in &waiting.rows {
        wake(space, draft, task).await?;
    }
    Ok(Page {
        woken: waiting.rows.len(),
        next: waiting.next,
    })
}

async fn wake(
    space: &Namespace<Tenant>,
    draft: &mut Draft,
    task: &Versioned<Task>,
) -> Result<(), CommandError> {
    // What is due waits for no spread delay.
    move_task_in(space, 0, draft, task, &TaskEvent::Due, Cause::default()).await?;
    Ok(())
}

/// Wakes those that the commit of the decision did not.
pub(crate) async fn wake_rest(core: &Core, gate: GateId) -> Result<(), CommandError> {
    let by = Principal::engine();
    let mut after = None;
    // Ends with the last page: what is decided is waited for by nobody anew, and what cannot be believed is left behind.
    loop {
        let from = &after;
        let done = core.command(&by, |mut draft| async move {
            let page = wake_page(&core.space, &mut draft, gate, from.clone()).await?;
            Ok(match page.woken {
                0 => Verdict::Nothing(page.next),
                _ => Verdict::Commit(draft, page.next),
            })
        });
        after = done.await?.answer;
        if after.is_none() {
            return Ok(());
        }
    }
}

/// Wakes all tasks of a tenant that wait for a gate which was decided. How many.
pub(crate) async fn wake_left(core: &Core) -> Result<usize, CommandError> {
    let (mut woken, mut after) = (0, None);
    // Ends with the last page.
    loop {
        let query = Query::of(TaskIndex::Gate).after(after).limit(PAGE_MAX);
        let page = Records::<Task>::new(&core.space).find(&query).await?;
        for task in &page.rows {
            woken += usize::from(wake_if_decided(core, task.id).await?);
        }
        after = page.next;
        if after.is_none() {
            return Ok(woken);
        }
    }
}

async fn wake_if_decided(core: &Core, id: TaskId) -> Result<bool, CommandError> {
    let by = Principal::engine();
    let done = core.command(&by, |mut draft| async move {
        let Some(task) = Records::<Task>::new(&core.space).get(&id).await? else {
            return Ok(Verdict::Nothing(false));
        };
        let TaskState::Waiting {
            on: Wait::Gate { gate },
        } = task.state
        else {
            return Ok(Verdict::Nothing(false));
        };
        let gate = Records::<Gate>::new(&core.space).get(&gate).await?;
        if gate.is_none_or(|gate| gate.is_pending()) {
            return Ok(Verdict::Nothing(false));
        }
        wake(&core.space, &mut draft, &task).await?;
        Ok(Verdict::Commit(draft, true))
    });
    Ok(done.await?.answer)
}
