//! What a run does to accounts: its claim takes a slot and reserves, each end of its being at work gives all back.

use dormouse_filesystem::{Ahead, IndexValue, Query, Records, Tenant, Versioned};
use jiff::Timestamp;

use super::moves::{Move, Reservation};
use super::sheet::{Mover, Refused, Sheet};
use super::{Account, AccountPath, Amounts, Chain, Dimension, Hold, HoldIndex, Refusal};
use crate::agent::Agent;
use crate::command::CommandSpec;
use crate::core::Core;
use crate::draft::Draft;
use crate::rest::Rest;
use crate::run::{Run, RunState, Slot};
use crate::task::Task;
use crate::{CommandError, HoldId, OpId, PrefixedId, Principal, RunId};

/// Stages what a claim takes: a slot of its agent, and in every limited account of its chain what it may use.
pub(crate) fn stage_claim(core: &Core, draft: &mut Draft, task: &Task, run: &Run, slots: u32, slot: Slot) {
    let free_below = match slot {
        Slot::Free => Some(u64::from(slots)),
        Slot::Counted => None,
    };
    let hold = HoldId::make(draft.now(), &core.environment.random);
    let moves = claim_moves(hold, Chain::of_run(run), estimate(task, run.clock_ms), free_below);
    moves.into_iter().for_each(|one| draft.move_accounts(one));
}

/// What a claim does to accounts.
fn claim_moves(id: HoldId, chain: Chain, estimate: Amounts, free_below: Option<u64>) -> [Move; 2] {
    let slot = Move::TakeSlot {
        agent: chain.agent.clone(),
        incarnation: chain.agent_incarnation,
        free_below,
    };
    let reserve = Move::Reserve(Reservation {
        id,
        is_new: true,
        chain,
        estimate,
        is_in_flight: false,
    });
    [slot, reserve]
}

/// How many runs of an agent are at work, as its account counts them: a claim takes a slot there and is refused by it, so
/// this is no second truth beside the rows of runs. One that cannot be believed is full of nothing: the claim says why not.
pub(crate) async fn slots_taken(core: &Core, agent: &Agent) -> Result<usize, CommandError> {
    let path = AccountPath::Agent(agent.name.clone());
    let account = match Records::<Account>::new(&core.space)
        .get(&path)
        .await
        .map_err(CommandError::from)
    {
        Ok(account) => account,
        Err(CommandError::Corrupt(_) | CommandError::TooNew(_)) => None,
        Err(error) => return Err(error),
    };
    let own = account.filter(|account| account.agent_incarnation == Some(agent.incarnation));
    let taken = own.map_or(0, |account| account.reserved.get(Dimension::Concurrency));
    Ok(usize::try_from(taken).unwrap_or(usize::MAX))
}

/// What the accounts would say if this task were claimed by its agent's lane now, with so many slots: the refusal, if they
/// refused it. Nothing is taken, and nobody is asked.
pub(crate) async fn would_refuse(
    core: &Core,
    task: &Task,
    slots: u32,
) -> Result<Option<Refusal>, CommandError> {
    let (now, random) = (core.environment.clock.now(), &core.environment.random);
    let parked = match task.last_run.filter(|_| task.is_parked) {
        Some(run) => Records::<Run>::new(&core.space).get(&run).await?,
        None => None,
    };
    let chain = match &parked {
        Some(run) => Chain::of_run(run),
        None => Chain {
            task: Some(task.id),
            run: Some(RunId::make(now, random)),
            ..Chain::of_agent(&task.assignee, task.agent_incarnation)
        },
    };
    let estimate = estimate(task, parked.map_or(0, |run| run.clock_ms));
    let moves = claim_moves(HoldId::make(now, random), chain, estimate, Some(u64::from(slots)));
    let mover = Mover {
        by: Principal::engine(),
        op: OpId::make(now, random),
    };
    let mut sheet = Sheet::read(core, &moves.iter().collect::<Vec<_>>(), mover.clone()).await?;
    match sheet.apply(mover, &moves) {
        Ok(_) => Ok(None),
        Err(Refused::Limit { refusal, .. } | Refused::Ask(refusal)) => Ok(Some(*refusal)),
        Err(Refused::Error(error)) => Err(error),
    }
}

/// What a run may use: of most it is not known, so nothing is held, and yet it is judged.
fn estimate(task: &Task, clock_ms: u64) -> Amounts {
    let mut estimate: Amounts = Dimension::FLOWS.into_iter().map(|flow| (flow, 0)).collect();
    let wall_clock = task
        .command
        .as_ref()
        .map(CommandSpec::wall_clock)
        .unwrap_or_default();
    let wall_ms = u64::try_from(wall_clock.as_millis()).unwrap_or(u64::MAX);
    estimate.set(Dimension::WallMs, wall_ms.saturating_sub(clock_ms));
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
    let now = draft.now();
    if let Some(next) = stage_close(core, draft, run.id, now).await? {
        draft.leave(Rest::Holds(next));
    }
    Ok(())
}

/// Stages that what a run holds is closed, which was not at work any more at this time: as much as fits a commit. The first
/// hold that does not is due at once, so that it is found by its time should nobody go on with it; it is answered.
pub(super) async fn stage_close(
    core: &Core,
    draft: &mut Draft,
    run: RunId,
    left_at: Timestamp,
) -> Result<Option<HoldId>, CommandError> {
    let open = open_holds(core, run).await?;
    for hold in open.iter().take(HOLDS_OF_COMMIT) {
        // Not reconciled: who is quicker to close it is in nobody's way.
        draft.move_accounts(Move::Sweep(hold.id, known(hold, left_at)));
    }
    let next = open.get(HOLDS_OF_COMMIT).map(|hold| hold.id);
    if let Some(next) = next {
        draft.move_accounts(Move::Hasten(next));
    }
    Ok(next)
}

/// What is known to be used of a hold that is closed at this time: the clock ran, at most as long as it was given.
fn known(hold: &Hold, now: Timestamp) -> Amounts {
    let ran = u64::try_from(now.duration_since(hold.opened_at).as_millis()).unwrap_or(0);
    let given = hold.estimate.get(Dimension::WallMs);
    Amounts::none().with(Dimension::WallMs, ran.min(given))
}

pub(super) fn is_at_work(run: &Run) -> bool {
    match run.state {
        RunState::Starting | RunState::Running | RunState::Stopping => true,
        RunState::Waiting | RunState::Ended => false,
    }
}

/// The first of what a run holds still, and one more than a commit closes. Rows that cannot be believed are passed over.
async fn open_holds(core: &Core, run: RunId) -> Result<Vec<Versioned<Hold>>, CommandError> {
    let rows = Records::<Hold>::new(&core.space);
    let (mut open, mut after) = (Vec::new(), None);
    // Ends with the last page, or with as many as are wanted.
    loop {
        let page = rows.find(&open_holds_query(run).after(after)).await?;
        open.extend(page.rows.into_iter().filter(|hold| hold.is_open()));
        after = page.next;
        if after.is_none() || open.len() > HOLDS_OF_COMMIT {
            return Ok(open);
        }
    }
}

fn open_holds_query(run: RunId) -> Query<HoldIndex> {
    let values = [IndexValue::name(&run.to_string()), IndexValue::number(0)];
    Query::of(HoldIndex::Run)
        .equals(values)
        .limit(HOLDS_OF_COMMIT + 1)
}

/// What the end of a run is going to ask for.
pub(crate) fn ahead_of_end(ahead: Ahead<Tenant>, run: &Run) -> Ahead<Tenant> {
    ahead.found::<Hold>(&open_holds_query(run.id))
}

/// Most holds that are closed in one commit.
const HOLDS_OF_COMMIT: usize = 32;
