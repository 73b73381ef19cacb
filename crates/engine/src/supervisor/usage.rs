//! A run's way to budgets: what its worker is about to use is reserved in the run's name, and what it used is reported.
//!
//! At a pause line a person is asked, and the worker waits for what is said, as it does for a gate: the run's clocks
//! stand, or the run parks, or the answer is no, as whoever started the run has it.

use tokio::time::sleep;

use super::asking::{AskError, Asking};
use super::{OnGate, asking};
use crate::budget::{Admission, Amounts, Chain, Metered, Reserve};
use crate::clock::until;
use crate::gate::Gate;
use crate::limits::{DUE_RETRY, WAIT_POLL};
use crate::{CommandError, GateId, HoldId};

impl Asking {
    /// Reserves for what the worker begins at once. Without a hold nothing is limited.
    ///
    /// # Errors
    /// `LimitExceeded`; `NeedsApproval` where the run parks for it is never answered. As any command.
    pub async fn reserve(&self, hold: Option<HoldId>, estimate: &Amounts) -> Result<Admission, AskError> {
        let wanted = Reserve {
            hold,
            chain: Chain::of_run(&self.parts().claimed.run),
            estimate: estimate.clone(),
            is_in_flight: true,
        };
        let budgets = &self.parts().tenant.budgets;
        // Ends when it is admitted or refused: each round waits for a decision.
        loop {
            match budgets.reserve(&self.principal(), &wanted).await {
                Err(CommandError::NeedsApproval(refusal)) => self.asked(refusal.gate).await?,
                answered => return Ok(answered?),
            }
        }
    }

    /// Reserves more under a hold of this run.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve); `NotFound` for another's hold.
    pub async fn grow(&self, hold: HoldId, more: &Amounts) -> Result<Admission, AskError> {
        self.own(hold).await?;
        let budgets = &self.parts().tenant.budgets;
        // Ends when it is admitted or refused: each round waits for a decision.
        loop {
            match budgets.grow(&self.principal(), hold, more).await {
                Err(CommandError::NeedsApproval(refusal)) => self.asked(refusal.gate).await?,
                answered => return Ok(answered?),
            }
        }
    }

    /// Says what is used by now under a hold of this run, and whether to go on.
    ///
    /// # Errors
    /// `NotFound` for another's hold, `Rejected` for one that is closed.
    pub async fn meter(&self, hold: HoldId, actual: &Amounts) -> Result<Metered, AskError> {
        self.own(hold).await?;
        let budgets = &self.parts().tenant.budgets;
        Ok(budgets.meter(&self.principal(), hold, actual).await?)
    }

    /// Closes a hold of this run with what was used.
    ///
    /// # Errors
    /// As [`meter`](Self::meter).
    pub async fn reconcile(&self, hold: HoldId, actual: &Amounts) -> Result<(), AskError> {
        self.own(hold).await?;
        let budgets = &self.parts().tenant.budgets;
        Ok(budgets.reconcile(&self.principal(), hold, actual).await?)
    }

    /// Gives a hold of this run back.
    ///
    /// # Errors
    /// As [`meter`](Self::meter).
    pub async fn release(&self, hold: HoldId) -> Result<(), AskError> {
        self.own(hold).await?;
        let budgets = &self.parts().tenant.budgets;
        Ok(budgets.release(&self.principal(), hold).await?)
    }

    /// Another run's hold is as one that is not there.
    async fn own(&self, id: HoldId) -> Result<(), CommandError> {
        let hold = self.parts().tenant.budgets.hold(id).await?;
        if hold.chain.run == Some(self.run()) {
            Ok(())
        } else {
            Err(CommandError::not_found("hold", &id))
        }
    }

    /// Does about the gate of an account what the run does about gates, until it is decided.
    async fn asked(&self, gate: Option<GateId>) -> Result<(), AskError> {
        let Some(gate) = gate else {
            return Err(CommandError::LOST_RACE.into());
        };
        match self.parts().on_gate {
            OnGate::Wait => self.heard(gate).await,
            // The run leaves for it: nothing is begun any more.
            OnGate::Park => {
                self.may_park()?;
                self.parts().asks.park(gate);
                std::future::pending().await
            }
            OnGate::Reject => {
                let gates = &self.parts().tenant.gates;
                gates.reject(gate, asking::rejects()).await?;
                Ok(())
            }
        }
    }

    /// Waits until the gate of an account is decided: any number of runs may.
    async fn heard(&self, id: GateId) -> Result<(), AskError> {
        let parts = self.parts();
        let gates = &parts.tenant.gates;
        let _awaited = parts.asks.enter();
        let mut rings = parts.tenant.core.freed.subscribe();
        // Ends with the decision, or with the expiry that is one.
        loop {
            let gate = gates.get(id).await?;
            if !gate.is_pending() {
                return Ok(());
            }
            tokio::select! {
                // Its sender lives as long as the engine.
                _ = rings.changed() => {}
                () = sleep(WAIT_POLL.min(self.left(&gate))) => self.expire(&gate).await,
            }
        }
    }

    fn left(&self, gate: &Gate) -> std::time::Duration {
        let now = self.parts().clock.now();
        gate.expires_at
            .map_or(WAIT_POLL, |at| until(at, now).max(DUE_RETRY))
    }

    async fn expire(&self, gate: &Gate) {
        if gate.is_due(self.parts().clock.now())
            && let Err(error) = self.parts().tenant.gates.expire(gate.id).await
        {
            tracing::warn!(gate = %gate.id, %error, "an expiry was not written; it is tried again");
        }
    }
}
