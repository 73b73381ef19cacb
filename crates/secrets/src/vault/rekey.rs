//! A new root key: when the old one may be known. The tenants' rings follow it one by one.

use dormouse_filesystem::Versioned;
use jiff::Timestamp;

use super::unlock::opened_by;
use super::{Retiring, Vault, VaultEvent, VaultRow};
use crate::attempts::ATTEMPTS;
use crate::seal::{self, RootKey};
use crate::{Call, KeyError, Keyring, VaultChange};

/// A rekey that is not at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RekeyUnderWay {
    /// When it began: its keys are of then.
    pub since: Timestamp,
    /// The slots that it dropped.
    pub dropped: Vec<u32>,
}

impl Vault {
    /// Gives the vault a new root key, wrapped for the slot in use; the other slots are dropped and returned. The old
    /// root key stays, under the new one, until no ring is under it any more.
    ///
    /// # Errors
    /// `WrongKey` when this key opens no slot, before anything else; `MayVanish` when it may be gone soon; `Rekeying` while one is under way; `Rotating` while the
    /// slot of this key is being replaced; `State`.
    pub async fn begin_rekey(&self, call: &Call, keyring: &dyn Keyring) -> Result<Vec<u32>, KeyError> {
        for _ in 0..ATTEMPTS {
            let (row, open) = self.unlocked(VaultEvent::Keys).await?;
            let (_, used) = opened_by(&row, keyring).await?;
            if keyring.source().may_vanish() {
                return Err(KeyError::MayVanish);
            }
            if row.retiring.is_some() {
                return Err(KeyError::Rekeying);
            }
            if row.successor_of(used).is_some() {
                return Err(KeyError::Rotating);
            }
            let root = RootKey::make(self.random());
            let mut new = VaultRow {
                root: row.root + 1,
                ..VaultRow::clone(&row)
            };
            let id = new.next_slot;
            new.next_slot += 1;
            let slot = self.wrapped(&new, id, &root, keyring, call.now).await?;
            let dropped = row
                .slots
                .iter()
                .map(|slot| slot.id)
                .filter(|id| *id != used)
                .collect::<Vec<_>>();
            new.slots = vec![slot];
            let bound = new.retiring_bound(row.root);
            let sealed = seal::seal(root.expose(), &bound, open.root.expose(), self.random());
            new.retiring = Some(Retiring {
                root: row.root,
                since: call.now,
                dropped: dropped.clone(),
                sealed,
            });
            let change = VaultChange::Rekeyed {
                root: new.root,
                dropped: dropped.clone(),
            };
            if self.store(call, &row, &new, Some(change)).await? {
                self.hold(&new, root, id);
                return Ok(dropped);
            }
        }
        Err(KeyError::Conflict)
    }

    /// Forgets the old root key of this row. The caller has seen, after it read the row, that no ring is under that key
    /// any more. It is tried once: where others were first, another rekey may have begun, whose old root key is in use.
    /// Says whether it was done.
    ///
    /// # Errors
    /// As any write.
    pub(crate) async fn finish_rekey(
        &self,
        call: &Call,
        row: &Versioned<VaultRow>,
    ) -> Result<bool, KeyError> {
        let new = VaultRow {
            retiring: None,
            ..VaultRow::clone(row)
        };
        self.store(call, row, &new, None).await
    }

    /// Whether a rekey is under way.
    ///
    /// # Errors
    /// As any read.
    pub async fn is_rekeying(&self) -> Result<bool, KeyError> {
        Ok(self.rekey_under_way().await?.is_some())
    }

    /// The rekey that is under way, if one is.
    ///
    /// # Errors
    /// As any read.
    pub async fn rekey_under_way(&self) -> Result<Option<RekeyUnderWay>, KeyError> {
        let row = self.rows().get(&VaultRow::the_id()).await?;
        let retiring = row.and_then(|row| VaultRow::clone(&row).retiring);
        Ok(retiring.map(|Retiring { since, dropped, .. }| RekeyUnderWay { since, dropped }))
    }
}
