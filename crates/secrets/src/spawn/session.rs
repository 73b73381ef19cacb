//! What the engine commits with a worker's start: the run's credential session.

use dormouse_filesystem::{ScopedBatch, Tenant, Versioned};

use super::SpawnFor;
use crate::lease::{LeaseStatus, SESSION_USES_MAX, SessionRow};
use crate::secrets::Secrets;
use crate::{AgentAt, Call, LeaseError, LeaseId, SecretName, SpawnError};

/// The writes of one spawn, for the commit that starts the run's worker.
#[derive(Debug)]
pub struct SpawnWrites {
    secrets: Secrets,
    read: Option<Versioned<SessionRow>>,
    row: SessionRow,
}

impl SpawnWrites {
    pub(super) fn session(&self) -> LeaseId {
        self.row.id
    }

    /// Adds them to a batch of the tenant.
    ///
    /// # Errors
    /// As any read, of the index entries that change.
    pub async fn stage(&self, batch: &mut ScopedBatch<Tenant>) -> Result<(), SpawnError> {
        let sessions = self.secrets.sessions();
        match &self.read {
            Some(read) => sessions.stage_replace(batch, read, &self.row).await?,
            None => sessions.stage_create(batch, &self.row)?,
        }
        Ok(())
    }
}

impl Secrets {
    pub(super) async fn session_for(
        &self,
        call: &Call,
        agent: &AgentAt,
        run: &SpawnFor,
        names: Vec<(SecretName, u64)>,
    ) -> Result<SpawnWrites, SpawnError> {
        let read = match run.session {
            None => None,
            Some(id) => Some(self.session_of(id, run).await?),
        };
        let row = match &read {
            Some(read) => {
                if read.status != LeaseStatus::Active || read.used >= SESSION_USES_MAX {
                    return Err(read.refusal().into());
                }
                if read.expires_at <= call.now {
                    return Err(LeaseError::Expired { at: read.expires_at }.into());
                }
                SessionRow {
                    names,
                    used: read.used + 1,
                    ..SessionRow::clone(read)
                }
            }
            None => SessionRow {
                id: LeaseId::make(call.now, self.vault().random()),
                run: run.run.clone(),
                agent: agent.clone(),
                names,
                used: 1,
                granted_at: call.now,
                expires_at: run.expires_at,
                status: LeaseStatus::Active,
                cause: None,
                ended_at: None,
            },
        };
        Ok(SpawnWrites {
            secrets: self.clone(),
            read,
            row,
        })
    }

    async fn session_of(&self, id: LeaseId, run: &SpawnFor) -> Result<Versioned<SessionRow>, SpawnError> {
        let row = self.sessions().get(&id).await?;
        row.filter(|row| row.run == run.run)
            .ok_or_else(|| LeaseError::Unknown.into())
    }
}
