//! Reading rows and opening what is in them.

use std::sync::Arc;

use dormouse_filesystem::{ReadError, RecordError, Versioned};

use super::Secrets;
use crate::place::Place;
use crate::ring::{HasRing, Ring, RingRow};
use crate::row::{Live, SecretRow};
use crate::vault::{Opened, VaultEvent, VaultRow};
use crate::{Secret, SecretError, SecretRef};

/// What opens a tenant's values, as it was read once.
pub(crate) struct Keys {
    pub(crate) vault: Versioned<VaultRow>,
    pub(crate) open: Arc<Opened>,
    pub(crate) ring: HasRing,
}

impl Keys {
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
    /// The keys, when the event is to be applied: two reads.
    pub(crate) async fn keys(&self, event: VaultEvent) -> Result<Keys, SecretError> {
        let (vault, open) = self.vault().unlocked(event).await?;
        let ring = self.rings().get(&RingRow::the_id()).await?;
        Ok(Keys {
            vault,
            open,
            ring: ring.map_or(HasRing::No, HasRing::Yes),
        })
    }

    /// The row, if there is one; one that cannot be believed is unreadable.
    pub(crate) async fn row(&self, place: &Place) -> Result<Option<Versioned<SecretRow>>, SecretError> {
        self.rows().get(place).await.map_err(|error| of_row(error, place))
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
    match error {
        RecordError::Invalid(_)
        | RecordError::Misplaced { .. }
        | RecordError::TooNew { .. }
        | RecordError::Read(ReadError::Corrupt { .. }) => unreadable(place),
        other => other.into(),
    }
}

pub(crate) fn unreadable(place: &Place) -> SecretError {
    SecretError::Unreadable {
        refs: vec![place.to_ref()],
    }
}

pub(crate) fn not_found(at: &SecretRef) -> SecretError {
    SecretError::NotFound { at: at.clone() }
}
