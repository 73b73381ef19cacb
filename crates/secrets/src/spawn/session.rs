//! What the engine commits with a worker's start: the run's credential session.

use dormouse_filesystem::{ScopedBatch, Tenant, Versioned};
use jiff::Timestamp;

use super::SpawnFor;
use crate::lease::{LeaseDecision, LeaseEvent, LeaseStatus, SessionRow, decide_lease};
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
    /// The run's credential session, when it has one by now and this spawn may use it.
    pub(super) async fn good_session(
        &self,
        call: &Call,
        run: &SpawnFor,
    ) -> Result<Option<Versioned<SessionRow>>, SpawnError> {
        let Some(id) = run.session else {
            return Ok(None);
        };
        let row = self.sessions().get(&id).await?;
        let row = row.filter(|row| row.run == run.run).ok_or(LeaseError::Unknown)?;
        match decide_lease(row.status, row.use_at(call.now)) {
            LeaseDecision::HandOut(_) | LeaseDecision::HandOutUnwritten => Ok(Some(row)),
            LeaseDecision::Become(..) => Err(self.expired_session(call, id).await?.into()),
            LeaseDecision::Refuse(_) | LeaseDecision::Ignore(_) | LeaseDecision::Remove => {
                Err(row.refusal().into())
            }
        }
    }

    /// Writes once that a session has expired; what who wanted to use it is told.
    async fn expired_session(&self, call: &Call, id: LeaseId) -> Result<LeaseError, LeaseError> {
        let now = call.now;
        let update = move |row: &SessionRow, _: &mut _| {
            let decided = decide_lease(row.status, LeaseEvent::UseLate);
            let LeaseDecision::Become(status, cause) = decided else {
                return Ok::<_, LeaseError>((row.clone(), row.refusal()));
            };
            let ended = row.ended(status, cause, now);
            let refusal = ended.refusal();
            Ok((ended, refusal))
        };
        let changed = self.sessions().update(&id, update).await?;
        Ok(changed.map_or(LeaseError::Unknown, |changed| changed.outcome))
    }

    /// The session as it is with this spawn: the one that was read, or another that begins.
    pub(super) fn session_for(
        &self,
        call: &Call,
        agent: &AgentAt,
        run: &SpawnFor,
        read: Option<Versioned<SessionRow>>,
        names: Vec<(SecretName, u64)>,
    ) -> SpawnWrites {
        let row = match &read {
            Some(read) => used(read, names, call.now),
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
        SpawnWrites {
            secrets: self.clone(),
            read,
            row,
        }
    }
}

/// The session with one use more, of these names; its last one ends it.
fn used(read: &SessionRow, names: Vec<(SecretName, u64)>, now: Timestamp) -> SessionRow {
    let row = SessionRow {
        names,
        used: read.used + 1,
        ..read.clone()
    };
    let decided = decide_lease(read.status, read.use_at(now));
    if decided == LeaseDecision::HandOut(LeaseStatus::Consumed) {
        row.ended(LeaseStatus::Consumed, None, now)
    } else {
        row
    }
}
