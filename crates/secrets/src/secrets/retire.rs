//! What is over: found without listing tenants, taken away one row at a time. The sweep is the caller's.

use dormouse_filesystem::{IndexValue, Namespace, Query, RecordError, Segment, System, SystemIndex};
use jiff::Timestamp;

use super::Secrets;
use super::open::of_row;
use crate::attempts::is_conflict;
use crate::lease::{LEASE_KEPT, LeaseIndex, LeaseRow, SessionIndex, SessionRow};
use crate::migrate::{QuarantineIndex, QuarantineRow};
use crate::place::Place;
use crate::ring::{RingIndex, RingRow};
use crate::row::{SecretIndex, SecretRow};
use crate::{Call, LeaseId, QuarantineId, SecretError};

/// A row of which something is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// A secret's: retired values, a tombstone, a quarantine.
    Secret(Place),
    /// A lease.
    Lease(LeaseId),
    /// A credential session.
    Session(LeaseId),
    /// What a migration set aside.
    Quarantined(QuarantineId),
    /// The tenant's import, which did not end.
    Import,
}

/// The rows of which something is over at this time, with their tenants, at most `limit` (1 to 1,000) of each kind.
///
/// # Errors
/// As any list.
pub async fn due(
    system: &Namespace<System>,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<(Segment, Due)>, SecretError> {
    let end = || Some(IndexValue::instant(now));
    let secrets = Query::of(SecretIndex::Retire).range(None, end()).limit(limit);
    let secrets = SystemIndex::<SecretRow>::new(system).find(&secrets).await?;
    let leases = Query::of(LeaseIndex::Retire).range(None, end()).limit(limit);
    let leases = SystemIndex::<LeaseRow>::new(system).find(&leases).await?;
    let sessions = Query::of(SessionIndex::Retire).range(None, end()).limit(limit);
    let sessions = SystemIndex::<SessionRow>::new(system).find(&sessions).await?;
    let owner = |owner: Vec<Segment>| owner.into_iter().next().expect("a tenant's row has an owner");
    let secrets = secrets
        .rows
        .into_iter()
        .map(|row| (owner(row.owner), Due::Secret(row.id)));
    let leases = leases
        .rows
        .into_iter()
        .map(|row| (owner(row.owner), Due::Lease(row.id)));
    let sessions = sessions
        .rows
        .into_iter()
        .map(|row| (owner(row.owner), Due::Session(row.id)));
    let aside = Query::of(QuarantineIndex::Retire).range(None, end()).limit(limit);
    let aside = SystemIndex::<QuarantineRow>::new(system).find(&aside).await?;
    let aside = aside
        .rows
        .into_iter()
        .map(|row| (owner(row.owner), Due::Quarantined(row.id)));
    let imports = Query::of(RingIndex::Retire).range(None, end()).limit(limit);
    let imports = SystemIndex::<RingRow>::new(system).find(&imports).await?;
    let imports = imports
        .rows
        .into_iter()
        .map(|row| (owner(row.owner), Due::Import));
    Ok(secrets
        .chain(leases)
        .chain(sessions)
        .chain(aside)
        .chain(imports)
        .collect())
}

impl Secrets {
    /// Takes away what is over of a row; in any state of the vault. Who was first does not matter.
    ///
    /// # Errors
    /// As any write.
    pub async fn retire(&self, call: &Call, due: &Due) -> Result<(), SecretError> {
        let mut batch = self.namespace().batch();
        match due {
            Due::Secret(place) => {
                let read = self.rows().get(place).await;
                let Some(row) = read.map_err(|error| of_row(error, place))? else {
                    return Ok(());
                };
                match row.without_past(call.now) {
                    Some(rest) => self.rows().stage_replace(&mut batch, &row, &rest).await?,
                    None => {
                        self.rows().stage_remove(&mut batch, &row).await?;
                        self.stage_unused(&mut batch, place).await?;
                    }
                }
            }
            Due::Quarantined(id) => {
                let Some(row) = self.set_aside_rows().get(id).await? else {
                    return Ok(());
                };
                if row.until <= call.now {
                    self.set_aside_rows().stage_remove(&mut batch, &row).await?;
                }
            }
            Due::Import => {
                return match self.settle_import(call).await {
                    // Another one has begun since it was found: that is not over.
                    Err(SecretError::ImportOpen) => Ok(()),
                    settled => settled,
                };
            }
            Due::Lease(id) => {
                let Some(row) = self.leases().get(id).await? else {
                    return Ok(());
                };
                if row.ended_at.unwrap_or(row.expires_at) + LEASE_KEPT <= call.now {
                    self.leases().stage_remove(&mut batch, &row).await?;
                }
            }
            Due::Session(id) => {
                let Some(row) = self.sessions().get(id).await? else {
                    return Ok(());
                };
                if row.ended_at.unwrap_or(row.expires_at) + LEASE_KEPT <= call.now {
                    self.sessions().stage_remove(&mut batch, &row).await?;
                }
            }
        }
        if !batch.writes() {
            // It was due when it was found, and is not any more.
            return Ok(());
        }
        match self.namespace().commit(batch).await.map_err(RecordError::from) {
            Err(error) if !is_conflict(&error) => Err(error.into()),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}
