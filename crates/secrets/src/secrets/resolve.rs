//! The one resolver: the agent's own row; the tenant's only when the first is missing.

use super::open::not_found;
use super::rows::Row;
use super::{Keys, Secrets};
use crate::attempts::ATTEMPTS;
use crate::category::{self, Unfit};
use crate::lease::{Granted, Holder, LeaseOptions};
use crate::place::Place;
use crate::ring::OpenImport;
use crate::vault::VaultEvent;
use crate::{AgentAt, Call, LeaseError, Purpose, SecretError, SecretName, SecretRef};

/// The row that a name leads to, which opens and serves the purpose.
pub(crate) struct Winner {
    pub(crate) row: Row,
}

impl Secrets {
    /// A lease on the value that this name has for an agent, or for none. An own row that cannot be read, or does
    /// not serve the purpose, is an error: it is never a reason to look further.
    ///
    /// # Errors
    /// `NotFound`, `PurposeRefused`, `OriginRefused`, `Unreadable`, `Sealed`, `Locked`; as [`lease`](Self::lease).
    pub async fn resolve(
        &self,
        call: &Call,
        agent: Option<&AgentAt>,
        name: &SecretName,
        purpose: &Purpose,
        holder: &Holder,
        options: LeaseOptions,
    ) -> Result<Granted, LeaseError> {
        let own = agent.map(|agent| Place::Agent(agent.clone(), name.clone()));
        let shared = Place::Shared(name.clone());
        let at = own.as_ref().unwrap_or(&shared).to_ref();
        for _ in 0..ATTEMPTS {
            let keys = self.keys_of_value(&at).await?;
            let mut winner = None;
            if let Some(own) = &own {
                winner = self.live_row(own, keys.import()).await?;
            }
            if winner.is_none() {
                winner = self.live_row(&shared, keys.import()).await?;
                if own.is_some() && !self.is_still(&keys.under()).await? {
                    // The agent's own may have been imported meanwhile.
                    continue;
                }
            }
            let row = winner.ok_or_else(|| not_found(&at))?;
            match self.winner(&keys, row, purpose) {
                Ok(winner) => return self.grant(call, winner, purpose, holder, options).await,
                Err(error) if self.may_open_now(&keys, &error).await? => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(SecretError::Conflict { at }.into())
    }

    /// The row of this place with a value in force.
    pub(crate) async fn live_row(
        &self,
        place: &Place,
        import: Option<&OpenImport>,
    ) -> Result<Option<Row>, SecretError> {
        let row = self.row(place, import).await?;
        Ok(row.filter(|row| row.usable().is_some()))
    }

    /// The keys to open a value; without a vault there can be none.
    pub(crate) async fn keys_of_value(&self, at: &SecretRef) -> Result<Keys, SecretError> {
        match self.keys(VaultEvent::Value).await {
            Err(SecretError::Key(_)) => Err(not_found(at)),
            other => other,
        }
    }

    /// The row, when it serves the purpose and opens.
    pub(crate) fn winner(&self, keys: &Keys, row: Row, purpose: &Purpose) -> Result<Winner, SecretError> {
        let at = row.place.to_ref();
        let live = row.usable().ok_or_else(|| not_found(&at))?;
        match category::serves(live.body.category, &live.body.origins, purpose) {
            Ok(()) => {}
            Err(Unfit::Purpose) => return Err(SecretError::PurposeRefused { at }),
            Err(Unfit::Origin) => return Err(SecretError::OriginRefused { at }),
        }
        let ring = keys.ring(self.tenant())?;
        match ring.is_some_and(|ring| ring.open(&row.place, &live.body).is_ok()) {
            true => Ok(Winner { row }),
            false => Err(SecretError::Unreadable { refs: vec![at] }),
        }
    }
}
