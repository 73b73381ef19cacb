//! A new key file in the place of the one in use.

use std::sync::Arc;

use super::slots::Remover;
use super::unlock::opened_by;
use super::{Opened, Vault, VaultEvent};
use crate::seal::RootKey;
use crate::{Call, Ensured, FileKeyring, KeyError};

impl Vault {
    /// Gives the vault a new key of a file in the place of the one in use: the new one is durable beside the old one,
    /// its slot pending, then confirmed; the new file takes the old one's place; the slot of the old key is removed.
    /// Killed at any point, the file in place opens the vault, and the same call goes on.
    ///
    /// # Errors
    /// As [`add_slot`](Self::add_slot), [`confirm_slot`](Self::confirm_slot) and [`remove_slot`](Self::remove_slot).
    pub async fn rotate_file(&self, call: &Call, file: &FileKeyring) -> Result<u32, KeyError> {
        let (row, _) = self.unlocked(VaultEvent::Keys).await?;
        let (_, old) = opened_by(&row, file).await?;
        let replaced = row.slot(old).and_then(|slot| slot.replaces);
        if let Some(replaced) = replaced.filter(|replaced| row.slot(*replaced).is_some()) {
            // The rotation before this one was cut behind the change of files: its end is all that is left.
            self.remove_replaced(call, replaced).await?;
            return Ok(old);
        }
        let new = file.successor();
        let id = match (new.ensure().await?, self.slot_of(&row, &new, call.now).await?) {
            (Ensured::Found, Some(id)) => id,
            (Ensured::Made | Ensured::Found, _) => self.add_slot_for(call, &new, Some(old)).await?,
        };
        self.confirm_slot(call, id, &new).await?;
        new.take_place_of(file).await?;
        self.use_slot(id);
        self.remove_replaced(call, old).await?;
        Ok(id)
    }

    /// The end of a rotation. A rekey by the new key, right behind the change of files, dropped the old slot already.
    async fn remove_replaced(&self, call: &Call, old: u32) -> Result<(), KeyError> {
        match self.remove(call, old, Remover::Rotation).await {
            Err(KeyError::UnknownSlot) => Ok(()),
            other => other,
        }
    }

    /// The slot in use from here on.
    fn use_slot(&self, id: u32) {
        let mut memory = self.memory();
        if let Some(open) = memory.open.take() {
            let root = RootKey::from_bytes(open.root.expose());
            let (vault, root_id) = (open.vault.clone(), open.root_id);
            memory.open = Some(Arc::new(Opened {
                vault,
                root_id,
                root,
                slot: id,
            }));
        }
    }
}
