//! Deadlines and restarts: what is due ends, what a restart made meaningless ends too, and no time is added.

use dormouse_filesystem::Records;
use dormouse_state::Invalidation;

use super::resolve::caller;
use super::{Gate, GateIndex, author};
use crate::core::Core;
use crate::draft::Verdict;
use crate::due::{LeftLately, Pass};
use crate::engine::Engine;
use crate::run::RunState;
use crate::{CommandError, GateId, Principal, TenantId};

/// `gates.restart`: what becomes of pending gates when the engine starts again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Restart {
    /// They stay, with the time they had left.
    #[default]
    Keep,
    /// Those of runs that died with the process lose their meaning.
    Invalidate,
}

/// What recovery did with pending gates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GatesRecovered {
    /// Their time was up.
    pub expired: usize,
    /// The restart made them meaningless.
    pub invalidated: usize,
    /// Their deadline was further away than they were given, since the clock went back, and was pulled in.
    pub pulled_in: usize,
    /// They could not be read or written.
    pub left: usize,
}

/// What was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DueEnded {
    /// Gates that expired.
    pub gates: usize,
    /// Capabilities that did.
    pub capabilities: usize,
    /// Those of both that cannot be read or written, and are as they were.
    pub left: usize,
}

impl Engine {
    /// Ends the gates and capabilities whose time is up, of all tenants: a commit each. For whoever serves deadlines; it
    /// reads the index of what is due and nothing else. A row that cannot be believed is left as it is, counted and
    /// told in the log.
    ///
    /// # Errors
    /// A store that does not answer: the first error. All were tried, unless it answered nothing for
    /// [`DUE_UNANSWERED_MAX`](crate::limits::DUE_UNANSWERED_MAX): then the rest is for the next time.
    pub async fn expire_due(&self) -> Result<DueEnded, CommandError> {
        let mut lately = LeftLately::default();
        let mut pass = Pass::new(&mut lately);
        let rows = self.due_gates(self.environment().clock.now()).await;
        let (served, found) = self.serve_rows(rows, &mut pass).await;
        found?;
        Ok(DueEnded {
            gates: served.gates,
            capabilities: served.capabilities,
            left: pass.told()?,
        })
    }

    /// What a start does with pending gates: to be called once, after [`recover`](Self::recover). A gate that cannot be
    /// read, or whose session, run or task cannot, is left as it is, counted and told in the log.
    ///
    /// # Errors
    /// As any read.
    pub async fn recover_gates(&self, restart: Restart) -> Result<GatesRecovered, CommandError> {
        let mut recovered = GatesRecovered::default();
        for (tenant, id) in self.found::<Gate>(GateIndex::Due, None).await? {
            if let Err(error) = self.recover_gate(&tenant, id, restart, &mut recovered).await {
                tracing::warn!(%tenant, gate = %id, %error, "a pending gate was left as it is");
                recovered.left += 1;
            }
        }
        Ok(recovered)
    }

    async fn recover_gate(
        &self,
        tenant: &TenantId,
        id: GateId,
        restart: Restart,
        recovered: &mut GatesRecovered,
    ) -> Result<(), CommandError> {
        let gates = self.handle(tenant).gates;
        let core = &gates.core;
        if gates.expire(id).await? {
            recovered.expired += 1;
        } else if restart == Restart::Invalidate && self.died(core, id).await? {
            let ended = gates.invalidate(id, Invalidation::Restart).await?;
            recovered.invalidated += usize::from(ended);
        } else {
            recovered.pulled_in += usize::from(pull_in(core, id).await?);
        }
        Ok(())
    }

    /// Whether a gate's run died with its process: in a store of this process alone all have, in a shared one those
    /// that have ended. It is the run that waits for it now, which need not be the one that opened it.
    async fn died(&self, core: &Core, id: GateId) -> Result<bool, CommandError> {
        if self.is_exclusive() {
            return Ok(true);
        }
        let gate = Records::<Gate>::new(&core.space).get(&id).await?;
        let Some(gate) = gate.filter(|gate| gate.caller.is_some()) else {
            return Ok(false);
        };
        let run = caller(core, &gate).await?;
        Ok(run.is_none_or(|run| run.state == RunState::Ended))
    }
}

/// A deadline is never further away than the time that was given.
async fn pull_in(core: &Core, id: GateId) -> Result<bool, CommandError> {
    let by = Principal::engine();
    let done = core.command(&by, |mut draft| async move {
        let rows = Records::<Gate>::new(&core.space);
        let Some(read) = rows.get(&id).await? else {
            return Ok(Verdict::Nothing(false));
        };
        let latest = read.timeout_ms.map(|given| author::expiry(draft.now(), given));
        let (Some(latest), Some(at), true) = (latest, read.expires_at, read.is_pending()) else {
            return Ok(Verdict::Nothing(false));
        };
        if at <= latest {
            return Ok(Verdict::Nothing(false));
        }
        let gate = Gate {
            expires_at: Some(latest),
            updated_at: draft.now(),
            op: draft.op(),
            ..Gate::clone(&read)
        };
        rows.stage_replace(draft.batch(), &read, &gate).await?;
        Ok(Verdict::Commit(draft, true))
    });
    Ok(done.await?.answer)
}
