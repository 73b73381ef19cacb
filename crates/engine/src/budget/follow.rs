//! What a run does to accounts: its claim takes a slot and reserves, each end of its being at work gives all back.

use dormouse_filesystem::{Ahead, IndexValue, Query, Records, Tenant, Versioned};
use jiff::Timestamp;

use super::moves::{Move, Reservation};
use super::{AccountPath, Amounts, Chain, Dimension, Hold, HoldIndex};
use crate::core::Core;
use crate::draft::Draft;
use crate::limits::PAGE_MAX;
use crate::run::{Run, RunState, Slot};
use crate::task::Task;
use crate::{CommandError, HoldId, PrefixedId, RunId};

/// Stages what a claim takes: a slot of its agent, and in every limited account of its chain what it may use.
pub(crate) fn stage_claim(core: &Core, draft: &mut Draft, task: &Task, run: &Run, slots: u32, slot: Slot) {
    draft.move_accounts(Move::TakeSlot {
        agent: run.agent.clone(),
        incarnation: run.agent_incarnation,
        free_below: match slot {
            Slot::Free => Some(u64::from(slots)),
            Slot::Counted => None,
        },
    });
    draft.move_accounts(Move::Reserve(Reservation {
        id: HoldId::make(draft.now(), &core.environment.random),
        is_new: true,
        chain: Chain::of_run(run),
        estimate: estimate(task, run),
        is_in_flight: false,
    }));
}

/// What a run may use: of most it is not known, so nothing is held, and yet it is judged.
fn estimate(task: &Task, run: &Run) -> Amounts {
    let mut estimate: Amounts = Dimension::FLOWS.into_iter().map(|flow| (flow, 0)).collect();
    let wall_ms = task.command.as_ref().map_or(0, |command| command.wall_clock_ms);
    estimate.set(Dimension::WallMs, wall_ms.saturating_sub(run.clock_ms));
    estimate.set(Dimension::Processes, u64::from(task.command.is_some()));
    estimate.set(Dimension::Concurrency, 1);
    estimate
}

/// Stages what the change of a run means for accounts: one that is no longer at work holds nothing.
pub(crate) async fn follow_run(
    core: &Core,
    draft: &mut Draft,
    before: Option<&Run>,
    after: &Run,
) -> Result<(), CommandError> {
    if let Some(before) = before.filter(|before| is_at_work(before) && !is_at_work(after)) {
        stage_leave(core, draft, before).await?;
    }
    if after.state == RunState::Ended {
        // Its own account ends with it; what it used is in those above, and in its days.
        draft.move_accounts(Move::Forget(AccountPath::Run(after.id)));
    }
    Ok(())
}

/// Stages that a run leaves its work: its slot and all that it holds are given back.
async fn stage_leave(core: &Core, draft: &mut Draft, run: &Run) -> Result<(), CommandError> {
    draft.move_accounts(Move::FreeSlot {
        agent: run.agent.clone(),
        incarnation: run.agent_incarnation,
    });
    for hold in open_holds(core, run.id).await? {
        // Not reconciled: who is quicker to close it is in nobody's way.
        let known = known(&hold, draft.now());
        draft.move_accounts(Move::Sweep(hold.id, known));
    }
    Ok(())
}

/// What is known to be used of a hold that is closed at this time: the clock ran, at most as long as it was given.
fn known(hold: &Hold, now: Timestamp) -> Amounts {
    let ran = u64::try_from(now.duration_since(hold.opened_at).as_millis()).unwrap_or(0);
    let given = hold.estimate.get(Dimension::WallMs);
    Amounts::none().with(Dimension::WallMs, ran.min(given))
}

fn is_at_work(run: &Run) -> bool {
    match run.state {
        RunState::Starting | RunState::Running | RunState::Stopping => true,
        RunState::Waiting | RunState::Ended => false,
    }
}

/// What a run holds still.
pub(super) async fn open_holds(core: &Core, run: RunId) -> Result<Vec<Versioned<Hold>>, CommandError> {
    let mut rows = Records::<Hold>::new(&core.space)
        .find(&open_holds_query(run))
        .await?
        .rows;
    rows.retain(|hold| hold.is_open());
    // More than fit a commit are swept later.
    rows.truncate(HOLDS_OF_COMMIT);
    Ok(rows)
}

fn open_holds_query(run: RunId) -> Query<HoldIndex> {
    let values = [IndexValue::name(&run.to_string()), IndexValue::number(0)];
    Query::of(HoldIndex::Run).equals(values).limit(PAGE_MAX)
}

/// What the end of a run is going to ask for.
pub(crate) fn ahead_of_end(ahead: Ahead<Tenant>, run: &Run) -> Ahead<Tenant> {
    ahead.found::<Hold>(&open_holds_query(run.id))
}

/// Most holds that the end of a run closes in its own commit.
const HOLDS_OF_COMMIT: usize = 32;
