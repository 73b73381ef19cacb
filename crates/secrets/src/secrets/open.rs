//! Reading rows and opening what is in them.

use std::sync::Arc;

use dormouse_filesystem::{ReadError, RecordError, Versioned};

use super::Secrets;
use super::rows::Under;
use crate::attempts::ATTEMPTS;
use crate::place::Place;
use crate::ring::{HasRing, OpenImport, Ring, RingRow};
use crate::row::Live;
use crate::vault::{Opened, VaultEvent, VaultRow};
use crate::{Secret, SecretError, SecretRef};

/// What opens a tenant's values, as it was read once.
pub(crate) struct Keys {
    pub(crate) vault: Versioned<VaultRow>,
    pub(crate) open: Arc<Opened>,
    pub(crate) ring: HasRing,
}

impl Keys {
    /// The import that is under way.
    pub(crate) fn import(&self) -> Option<&OpenImport> {
        match &self.ring {
            HasRing::No => None,
            HasRing::Yes(row) => row.import.as_ref(),
        }
    }

    /// What rows are read under.
    pub(crate) fn under(&self) -> Under {
        Under::of(match &self.ring {
            HasRing::No => None,
            HasRing::Yes(row) => Some(row.clone()),
        })
    }

    /// The ring; `None` when the tenant has none, so that none of its rows opens.
    pub(crate) fn ring(&self, tenant: &str) -> Result<Option<Ring>, SecretError> {
        match &self.ring {
            HasRing::No => Ok(None),
            HasRing::Yes(row) => Ok(Some(Ring::of(
                tenant,
                &self.vault,
                &self.open,
                RingRow::clone(row),
            )?)),
        }
    }
}

impl Secrets {
    /// The keys, when the event is to be applied: two reads. A rekey that came between the two is read again, as its
    /// ring would open with nothing of the vault before.
    pub(crate) async fn keys(&self, event: VaultEvent) -> Result<Keys, SecretError> {
        let mut tries = 0;
        loop {
            let (vault, open) = self.vault().unlocked(event).await?;
            let ring = self.rings().get(&RingRow::the_id()).await?;
            let is_newer = ring.as_ref().is_some_and(|ring| ring.root > open.root_id);
            tries += 1;
            // One that stays newer is beside a vault that was put back to an older day: it opens nothing.
            if is_newer && tries < ATTEMPTS {
                continue;
            }
            return Ok(Keys {
                vault,
                open,
                ring: ring.map_or(HasRing::No, HasRing::Yes),
            });
        }
    }

    /// Whether what did not open may open with the keys of now: they are others than those that were tried.
    pub(crate) async fn may_open_now(&self, keys: &Keys, error: &SecretError) -> Result<bool, SecretError> {
        Ok(matches!(error, SecretError::Unreadable { .. }) && !self.is_still(&keys.under()).await?)
    }

    /// The value in force of a row.
    pub(crate) fn open_live(&self, ring: Option<&Ring>, place: &Place, live: &Live) -> Option<Secret> {
        let value = ring?.open(place, &live.body).ok()?;
        self.registrar().opened(place.name(), &value);
        Some(value)
    }
}

/// A row that cannot be believed is unreadable; anything else is the store's.
pub(crate) fn of_row(error: RecordError, place: &Place) -> SecretError {
    if is_unbelievable(&error) {
        unreadable(place)
    } else {
        error.into()
    }
}

/// Whether the row is there, and cannot be believed.
pub(crate) fn is_unbelievable(error: &RecordError) -> bool {
    matches!(
        error,
        RecordError::Invalid(_)
            | RecordError::Misplaced { .. }
            | RecordError::TooNew { .. }
            | RecordError::UnknownKind { .. }
            | RecordError::Read(ReadError::Corrupt { .. })
    )
}

pub(crate) fn unreadable(place: &Place) -> SecretError {
    SecretError::Unreadable {
        refs: vec![place.to_ref()],
    }
}

pub(crate) fn not_found(at: &SecretRef) -> SecretError {
    SecretError::NotFound { at: at.clone() }
}
