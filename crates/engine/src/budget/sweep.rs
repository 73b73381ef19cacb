//! Sweeping: holds that nobody closes any more are closed when they are old and their runs have ended.

use dormouse_filesystem::Records;

use super::moves::Move;
use super::{Amounts, Hold, HoldIndex};
use crate::core::Core;
use crate::draft::Verdict;
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
                let was_swept = sweep(&self.handle(&tenant).core, id).await;
                swept += usize::from(pass.note(row, was_swept));
            }
        }
        Ok(swept)
    }
}

async fn sweep(core: &Core, id: HoldId) -> Result<bool, CommandError> {
    let by = Principal::engine();
    let done = core.command(&by, |mut draft| async move {
        let holds = Records::<Hold>::new(&core.space);
        let Some(hold) = holds.get(&id).await? else {
            return Ok(Verdict::Nothing(false));
        };
        if !hold.is_open() || hold.expires_at > draft.now() {
            return Ok(Verdict::Nothing(false));
        }
        if is_at_work(core, &hold).await? {
            let age = jiff::SignedDuration::try_from(core.budgets.hold_age_max);
            let age = age.unwrap_or(jiff::SignedDuration::MAX);
            let later = Hold {
                expires_at: draft.now().checked_add(age).unwrap_or(jiff::Timestamp::MAX),
                updated_at: draft.now(),
                op: draft.op(),
                ..Hold::clone(&hold)
            };
            holds.stage_replace(draft.batch(), &hold, &later).await?;
            return Ok(Verdict::Commit(draft, false));
        }
        draft.move_accounts(Move::Sweep(id, Amounts::none()));
        Ok(Verdict::Commit(draft, true))
    });
    Ok(done.await?.answer)
}

async fn is_at_work(core: &Core, hold: &Hold) -> Result<bool, CommandError> {
    let Some(run) = hold.chain.run else {
        return Ok(false);
    };
    let run = Records::<Run>::new(&core.space).get(&run).await?;
    Ok(run.is_some_and(|run| match run.state {
        RunState::Starting | RunState::Running | RunState::Stopping => true,
        RunState::Waiting | RunState::Ended => false,
    }))
}
