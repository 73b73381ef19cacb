//! The end of leases: somebody takes one back, or their holder ends.

use dormouse_filesystem::{Ahead, Namespace, Records, ScopedBatch, Tenant};

use super::grant::{leases_in, leases_query};
use super::session::sessions_query;
use super::{Holder, LeaseDecision, LeaseEvent, LeaseId, LeaseRow, SessionRow, decide_lease};
use crate::secrets::Secrets;
use crate::{Call, Cause, Change, LeaseError};

impl Secrets {
    /// Takes a lease back; in any state of the vault. One that ended stays as it is.
    ///
    /// # Errors
    /// `Unknown` for another's as for none; as any write.
    pub async fn revoke_lease(&self, call: &Call, id: LeaseId, by: &Holder) -> Result<(), LeaseError> {
        self.own_lease(id, by).await?;
        self.told(call, id, LeaseEvent::Revoke).await.map(drop)
    }

    /// Adds the end of all that a run holds to the commit that ends the run: its leases, its credential sessions. In
    /// any state of the vault.
    ///
    /// # Errors
    /// As any read. The commit meets a conflict when one of them was used meanwhile: stage again.
    pub async fn stage_run_ended(
        &self,
        call: &Call,
        batch: &mut ScopedBatch<Tenant>,
        run: &str,
    ) -> Result<(), LeaseError> {
        let space = self.leases().namespace().clone();
        self.stage_run_ended_in(call, &space, batch, run).await
    }

    /// The same, read through the tenant's namespace that is given, in which [some may be known](Self::ahead_of_run_ended).
    ///
    /// # Errors
    /// As [`stage_run_ended`](Self::stage_run_ended).
    pub async fn stage_run_ended_in(
        &self,
        call: &Call,
        space: &Namespace<Tenant>,
        batch: &mut ScopedBatch<Tenant>,
        run: &str,
    ) -> Result<(), LeaseError> {
        let (leases, sessions) = (Records::<LeaseRow>::new(space), Records::<SessionRow>::new(space));
        for row in leases_in(&leases, &Holder::Run(run.to_owned())).await? {
            if let LeaseDecision::Become(status, cause) = decide_lease(row.status, LeaseEvent::HolderEnded) {
                let ended: LeaseRow = row.ended(status, cause, call.now);
                leases.stage_replace(batch, &row, &ended).await?;
                let (lease, at) = (row.id, Some(row.place.to_ref()));
                let cause = cause.unwrap_or(Cause::Holder);
                call.journal
                    .tenant(batch, &Change::LeaseRevoked { lease, at, cause });
            }
        }
        for row in sessions.find(&sessions_query(run)).await?.rows {
            if let LeaseDecision::Become(status, cause) = decide_lease(row.status, LeaseEvent::HolderEnded) {
                let ended = row.ended(status, cause, call.now);
                sessions.stage_replace(batch, &row, &ended).await?;
                let change = Change::LeaseRevoked {
                    lease: row.id,
                    at: None,
                    cause: Cause::Holder,
                };
                call.journal.tenant(batch, &change);
            }
        }
        Ok(())
    }

    /// What the end of a run is going to ask for.
    #[must_use]
    pub fn ahead_of_run_ended(ahead: Ahead<Tenant>, run: &str) -> Ahead<Tenant> {
        ahead
            .found::<LeaseRow>(&leases_query(&Holder::Run(run.to_owned())))
            .found::<SessionRow>(&sessions_query(run))
    }
}
