//! Slots: adding one, confirming it, removing another. Three small commits, and at each point a key that somebody
//! holds opens the vault.

use dormouse_filesystem::{RecordError, Versioned};
use jiff::Timestamp;

use super::{
    Key, Others, SLOTS_MAX, Slot, SlotDecision, SlotEvent, SlotState, Vault, VaultEvent, VaultRow,
    decide_slot,
};
use crate::attempts::{ATTEMPTS, is_conflict};
use crate::{Call, Ensured, FileKeyring, KeyError, KeySource, Keyring, VaultChange};

/// What is known of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotInfo {
    /// Its number.
    pub id: u32,
    /// Where its key comes from.
    pub source: KeySource,
    /// How it is.
    pub state: SlotState,
    /// Since when it is there.
    pub added_at: Timestamp,
}

impl Vault {
    /// The slots, in any state of the vault.
    ///
    /// # Errors
    /// As any read.
    pub async fn slots(&self, now: Timestamp) -> Result<Vec<SlotInfo>, KeyError> {
        let row = self.rows().get(&VaultRow::the_id()).await?;
        let info = |slot: &Slot| SlotInfo {
            id: slot.id,
            source: slot.source,
            state: slot.state(now),
            added_at: slot.added_at,
        };
        let slots = row.iter().flat_map(|row| row.slots.iter().map(info));
        Ok(slots.filter(|slot| slot.state != SlotState::Removed).collect())
    }

    /// Adds a slot for this key, which opens nothing until it is confirmed. Returns its number.
    ///
    /// # Errors
    /// `State` when the vault is not unlocked, `SlotsFull`; as of the source.
    pub async fn add_slot(&self, call: &Call, keyring: &dyn Keyring) -> Result<u32, KeyError> {
        self.add_slot_for(call, keyring, None).await
    }

    async fn add_slot_for(
        &self,
        call: &Call,
        keyring: &dyn Keyring,
        replaces: Option<u32>,
    ) -> Result<u32, KeyError> {
        for _ in 0..ATTEMPTS {
            let (row, open) = self.unlocked(VaultEvent::Keys).await?;
            let mut new = VaultRow::clone(&row);
            new.slots
                .retain(|slot| slot.state(call.now) != SlotState::Removed);
            if new.slots.len() >= SLOTS_MAX {
                return Err(KeyError::SlotsFull);
            }
            let id = new.next_slot;
            new.next_slot += 1;
            let slot = self.wrapped(&new, id, &open.root, keyring, call.now).await?;
            new.slots.push(Slot {
                pending: true,
                replaces,
                ..slot
            });
            let change = VaultChange::SlotAdded {
                slot: id,
                source: keyring.source(),
            };
            if self.store(call, &row, &new, Some(change)).await? {
                return Ok(id);
            }
        }
        Err(KeyError::Conflict)
    }

    /// Makes a pending slot active, when it opens with the key read again from its source.
    ///
    /// # Errors
    /// `UnknownSlot`, `WrongKey`, `State`; as of the source.
    pub async fn confirm_slot(&self, call: &Call, id: u32, keyring: &dyn Keyring) -> Result<(), KeyError> {
        for _ in 0..ATTEMPTS {
            let (row, open) = self.unlocked(VaultEvent::Keys).await?;
            let state = row
                .slot(id)
                .map_or(SlotState::Removed, |slot| slot.state(call.now));
            let fits = match row.slot(id) {
                Some(slot) if state == SlotState::Pending => {
                    let bound = row.slot_bound(id, slot.source);
                    match keyring.unwrap(&slot.wrapped, &bound).await {
                        Ok(root) if root.expose() == open.root.expose() => Key::Fits,
                        Ok(_) | Err(KeyError::WrongKey) => Key::Wrong,
                        Err(error) => return Err(error),
                    }
                }
                Some(_) | None => Key::Fits,
            };
            match decide_slot(state, SlotEvent::Confirm(fits)) {
                SlotDecision::Become(_) => {}
                SlotDecision::Ignore(_) => return Ok(()),
                SlotDecision::Reject("unknown") => return Err(KeyError::UnknownSlot),
                SlotDecision::Reject(_) => return Err(KeyError::WrongKey),
            }
            let mut new = VaultRow::clone(&row);
            for slot in new.slots.iter_mut().filter(|slot| slot.id == id) {
                slot.pending = false;
            }
            if self.store(call, &row, &new, None).await? {
                return Ok(());
            }
        }
        Err(KeyError::Conflict)
    }

    /// Removes a slot.
    ///
    /// # Errors
    /// `UnknownSlot`, `LastSlot`, `State`.
    pub async fn remove_slot(&self, call: &Call, id: u32) -> Result<(), KeyError> {
        for _ in 0..ATTEMPTS {
            let (row, _) = self.unlocked(VaultEvent::Keys).await?;
            let state = row
                .slot(id)
                .map_or(SlotState::Removed, |slot| slot.state(call.now));
            let has_other = row
                .slots
                .iter()
                .any(|slot| slot.id != id && slot.is_active(call.now));
            let others = if has_other { Others::Active } else { Others::None };
            match decide_slot(state, SlotEvent::Remove(others)) {
                SlotDecision::Become(_) => {}
                SlotDecision::Ignore(_) => return Ok(()),
                SlotDecision::Reject("last_slot") => return Err(KeyError::LastSlot),
                SlotDecision::Reject(_) => return Err(KeyError::UnknownSlot),
            }
            let mut new = VaultRow::clone(&row);
            new.slots.retain(|slot| slot.id != id);
            if self
                .store(call, &row, &new, Some(VaultChange::SlotRemoved { slot: id }))
                .await?
            {
                return Ok(());
            }
        }
        Err(KeyError::Conflict)
    }

    /// Gives the vault a new key of a file in the place of the one in use: the new one is durable beside the old one,
    /// its slot pending, then confirmed; the new file takes the old one's place; the slot of the old key is removed.
    /// Killed at any point, the file in place opens the vault, and the same call goes on.
    ///
    /// # Errors
    /// As [`add_slot`](Self::add_slot), [`confirm_slot`](Self::confirm_slot) and [`remove_slot`](Self::remove_slot).
    pub async fn rotate_file(&self, call: &Call, file: &FileKeyring) -> Result<u32, KeyError> {
        let (row, _) = self.unlocked(VaultEvent::Keys).await?;
        let (_, old) = super::unlock::opened_by(&row, file).await?;
        let replaced = row.slot(old).and_then(|slot| slot.replaces);
        if let Some(replaced) = replaced.filter(|replaced| row.slot(*replaced).is_some()) {
            // The rotation before this one was cut behind the change of files: its end is all that is left.
            self.remove_slot(call, replaced).await?;
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
        self.remove_slot(call, old).await?;
        Ok(id)
    }

    /// The slot that this key opens, pending or not.
    async fn slot_of(
        &self,
        row: &VaultRow,
        keyring: &dyn Keyring,
        now: Timestamp,
    ) -> Result<Option<u32>, KeyError> {
        let source = keyring.source();
        for slot in row.slots.iter().filter(|slot| slot.source == source) {
            if slot.state(now) == SlotState::Removed {
                continue;
            }
            match keyring
                .unwrap(&slot.wrapped, &row.slot_bound(slot.id, source))
                .await
            {
                Ok(_) => return Ok(Some(slot.id)),
                Err(KeyError::WrongKey) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The slot in use from here on.
    fn use_slot(&self, id: u32) {
        let mut memory = self.memory();
        if let Some(open) = memory.open.take() {
            let root = crate::seal::RootKey::from_bytes(open.root.expose());
            let (vault, root_id) = (open.vault.clone(), open.root_id);
            memory.open = Some(std::sync::Arc::new(super::Opened {
                vault,
                root_id,
                root,
                slot: id,
            }));
        }
    }

    /// Writes the vault over what was read; `false` when others were first.
    pub(super) async fn store(
        &self,
        call: &Call,
        read: &Versioned<VaultRow>,
        new: &VaultRow,
        change: Option<VaultChange>,
    ) -> Result<bool, KeyError> {
        let mut batch = self.rows().namespace().batch();
        self.rows().stage_replace(&mut batch, read, new).await?;
        if let Some(change) = change {
            call.journal.system(&mut batch, &change);
        }
        match self
            .rows()
            .namespace()
            .commit(batch)
            .await
            .map_err(RecordError::from)
        {
            Ok(_) => Ok(true),
            Err(error) if is_conflict(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
