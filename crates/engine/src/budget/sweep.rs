//! Sweeping: holds that nobody closes any more are closed when they are old and their runs have ended.

use dormouse_filesystem::Records;

use super::follow::{is_at_work, stage_close};
use super::moves::{Move, Moved};
use super::{AccountPath, Amounts, Hold, HoldIndex};
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::due::{DueRow, Pass};
use crate::engine::Engine;
use crate::run::{Run, RunState};
use crate::{CommandError, HoldId, Principal};

impl Engine {
    /// Closes the holds that are past their age and whose runs are not at work, of all tenants: a commit each. One of a
    /// run at work is looked at again as much later.
    pub(crate) async fn sweep_holds(&self, pass: &mut Pass<'_>) -> Result<usize, CommandError> {
        let now = self.environment().clock.now();
        let mut swept = 0;
        for (tenant, id) in self.found::<Hold>(HoldIndex::Due, Some(now)).await? {
            let row = DueRow::of("hold", &tenant, &id);
            if !pass.skips(&row) {
                let (mut closed, core) = (0, self.handle(&tenant).core);
                let was_swept = sweep(&core, id, &mut closed).await.map(|()| true);
                pass.note(row, was_swept);
                swept += closed;
            }
        }
        Ok(swept)
    }
}

/// Closes a hold whose time is up, and with it what its run holds beside, if that is not at work: as many commits as that
/// needs. How many were closed is counted, whatever comes of the rest.
pub(crate) async fn sweep(core: &Core, id: HoldId, closed: &mut usize) -> Result<(), CommandError> {
    let mut left = Some(id);
    // Ends with the last hold of the run: none is opened of one that is not at work.
    while let Some(id) = left.take() {
        let by = Principal::engine();
        let done = core.command(&by, |draft| sweep_staged(core, draft, id)).await?;
        let are_done = |moved: &&Moved| **moved == Moved::Done(true);
        let Swept { sweeps, next } = done.answer;
        *closed += done.moved.iter().take(sweeps).filter(are_done).count();
        left = next;
    }
    Ok(())
}

/// What a commit closes, and with which hold the next goes on.
#[derive(Debug, Default)]
struct Swept {
    /// So many of its first moves close a hold.
    sweeps: usize,
    next: Option<HoldId>,
}

async fn sweep_staged(core: &Core, mut draft: Draft, id: HoldId) -> Result<Verdict<Swept>, CommandError> {
    let holds = Records::<Hold>::new(&core.space);
    let found = holds.get(&id).await?;
    let Some(hold) = found.filter(|hold| hold.is_open() && hold.expires_at <= draft.now()) else {
        return Ok(Verdict::Nothing(Swept::default()));
    };
    let runs = Records::<Run>::new(&core.space);
    let run = match hold.chain.run {
        Some(run) => runs.get(&run).await?,
        None => None,
    };
    let Some(run) = run else {
        draft.move_accounts(Move::Sweep(id, Amounts::none()));
        let swept = Swept {
            sweeps: 1,
            next: None,
        };
        return Ok(Verdict::Commit(draft, swept));
    };
    if is_at_work(&run) {
        let later = put_off(core, &draft, &hold);
        holds.stage_replace(draft.batch(), &hold, &later).await?;
        return Ok(Verdict::Commit(draft, Swept::default()));
    }
    // One that is resumed meanwhile may hold anew.
    runs.stage_check(draft.batch(), &run);
    let left_at = run.ended_at.unwrap_or(run.updated_at);
    let next = stage_close(core, &mut draft, run.id, left_at).await?;
    let sweeps = draft.moves_closing();
    if run.state == RunState::Ended {
        draft.move_accounts(Move::Forget(AccountPath::Run(run.id)));
    }
    Ok(Verdict::Commit(draft, Swept { sweeps, next }))
}

/// A hold of a run at work is looked at again as much later.
fn put_off(core: &Core, draft: &Draft, hold: &Hold) -> Hold {
    let age = jiff::SignedDuration::try_from(core.budgets.hold_age_max);
    let age = age.unwrap_or(jiff::SignedDuration::MAX);
    Hold {
        expires_at: draft.now().checked_add(age).unwrap_or(jiff::Timestamp::MAX),
        updated_at: draft.now(),
        op: draft.op(),
        ..hold.clone()
    }
}
