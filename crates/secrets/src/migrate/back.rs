//! What of a source came back from here: while a row did not, the source is needed.

use super::plan::{quarantine_id, shown, sorted, source_of};
use super::{Legacy, LegacyOwner, LegacyRow, MigrateError, QuarantineId};
use crate::ring::Ring;
use crate::secrets::{Secrets, is_unbelievable};
use crate::{Filter, Secret, SecretError, SecretRef, VaultEvent};

/// A row that is not where it belongs, and its value if another secret may have it.
type Sought<'a> = (&'a LegacyRow, Option<&'a Secret>);

impl Secrets {
    /// The keys of the source that have no lasting place here: when there are none, the source may go. A row has one when
    /// the secret that it leads to has its value, or, as somebody [placed](Self::place_quarantined) it, any other has. What
    /// is in quarantine has none: it goes after 7 days.
    ///
    /// # Errors
    /// As [`migrate`](Self::migrate); nothing is written.
    pub async fn not_taken_over(
        &self,
        legacy: &Legacy,
        owner: &LegacyOwner,
    ) -> Result<Vec<String>, MigrateError> {
        let rows = sorted(legacy, owner)?;
        let keys = self.keys(VaultEvent::Value).await?;
        let Some(ring) = keys.ring(self.tenant())? else {
            return Ok(rows.iter().map(|(row, _)| shown(&row.key)).collect());
        };
        let source = source_of(&ring, legacy, owner)?;
        let mut sought: Vec<Sought<'_>> = Vec::new();
        for (row, at) in &rows {
            let row: &LegacyRow = row;
            let Some(value) = &row.value else {
                sought.push((row, None));
                continue;
            };
            if self.is_aside(&quarantine_id(&source, row)).await? {
                sought.push((row, None));
                continue;
            }
            let there = match at {
                Ok(at) => self.value_at(&ring, at).await?,
                Err(_) => None,
            };
            if there.is_none_or(|there| there != *value) {
                sought.push((row, Some(value)));
            }
        }
        self.take_those_elsewhere(&ring, &mut sought).await?;
        Ok(sought.iter().map(|(row, _)| shown(&row.key)).collect())
    }

    /// Takes away the rows whose values some secret has. Each is opened once, and only where a row needs it.
    async fn take_those_elsewhere(
        &self,
        ring: &Ring,
        sought: &mut Vec<Sought<'_>>,
    ) -> Result<(), MigrateError> {
        if sought.iter().all(|(_, value)| value.is_none()) {
            return Ok(());
        }
        for known in self.list(&Filter::All).await? {
            if let Some(there) = self.value_at(ring, &known.at).await? {
                sought.retain(|(_, value)| value.is_none_or(|value| *value != there));
            }
        }
        Ok(())
    }

    /// The value of a secret; none of one that is not there, or cannot be read.
    async fn value_at(&self, ring: &Ring, at: &SecretRef) -> Result<Option<Secret>, MigrateError> {
        let place = match self.place(at).await {
            Err(SecretError::NotFound { .. }) => return Ok(None),
            place => place?,
        };
        let row = match self.row(&place, None).await {
            Err(SecretError::Unreadable { .. }) => return Ok(None),
            row => row?,
        };
        let live = row.as_ref().and_then(|row| row.usable());
        Ok(live.and_then(|live| ring.open(&place, &live.body).ok()))
    }

    /// Whether the row is in quarantine, whatever can be read of it there.
    async fn is_aside(&self, id: &QuarantineId) -> Result<bool, MigrateError> {
        match self.set_aside_rows().get(id).await {
            Ok(row) => Ok(row.is_some()),
            Err(error) if is_unbelievable(&error) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}
