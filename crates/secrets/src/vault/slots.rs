//! Slots: adding one, confirming it, removing another. Three small commits, and at each point a key that somebody
//! holds opens the vault.

use dormouse_filesystem::{RecordError, Versioned};
use jiff::Timestamp;

use super::unlock::opened_by;
use super::{
    Key, Others, SLOTS_MAX, Slot, SlotDecision, SlotEvent, SlotState, Vault, VaultEvent, VaultRow,
    decide_slot,
};
use crate::attempts::{ATTEMPTS, is_conflict};
use crate::{Argon2Params, Call, KeyError, KeySource, Keyring, VaultChange};

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
    /// How its key is derived, where it is of a passphrase.
    pub derivation: Option<Argon2Params>,
}

impl SlotInfo {
    fn of(slot: &Slot, now: Timestamp) -> Self {
        Self {
            id: slot.id,
            source: slot.source,
            state: slot.state(now),
            added_at: slot.added_at,
            derivation: slot.wrapped.argon2(),
        }
    }
}

/// Who removes a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remover {
    /// Whoever names it.
    Anybody,
    /// The rotation that replaced it, at its end.
    Rotation,
}

/// Whether a rotation has this slot for its old or its new one, and is not at its end.
fn is_rotating(row: &VaultRow, id: u32) -> bool {
    let replaced = row.slot(id).filter(|slot| !slot.pending);
    let replaced = replaced.and_then(|slot| slot.replaces);
    let is_new = replaced.is_some_and(|old| row.slot(old).is_some());
    is_new || row.successor_of(id).is_some()
}

impl Vault {
    /// The slots, in any state of the vault.
    ///
    /// # Errors
    /// As any read.
    pub async fn slots(&self, now: Timestamp) -> Result<Vec<SlotInfo>, KeyError> {
        let row = self.rows().get(&VaultRow::the_id()).await?;
        let info = |slot: &Slot| SlotInfo::of(slot, now);
        let slots = row.iter().flat_map(|row| row.slots.iter().map(info));
        Ok(slots.filter(|slot| slot.state != SlotState::Removed).collect())
    }

    /// The slot of this key, in any state of the vault. It is looked for and not counted as an attempt to unlock.
    ///
    /// # Errors
    /// `Unavailable`, `Malformed` of the source; as any read.
    pub async fn slot_for(
        &self,
        keyring: &dyn Keyring,
        now: Timestamp,
    ) -> Result<Option<SlotInfo>, KeyError> {
        let Some(row) = self.rows().get(&VaultRow::the_id()).await? else {
            return Ok(None);
        };
        let id = self.slot_of(&row, keyring, now).await?;
        Ok(id.and_then(|id| row.slot(id)).map(|slot| SlotInfo::of(slot, now)))
    }

    /// Whether a source that needs nobody's hand opens the vault: if not, it is sealed in every process that starts.
    /// None where there is no vault.
    ///
    /// # Errors
    /// As any read.
    pub async fn opens_by_itself(&self) -> Result<Option<bool>, KeyError> {
        let Some(row) = self.rows().get(&VaultRow::the_id()).await? else {
            return Ok(None);
        };
        for source in &self.0.options.sources {
            match opened_by(&row, &**source).await {
                Ok(_) => return Ok(Some(true)),
                Err(KeyError::WrongKey | KeyError::Unavailable { .. } | KeyError::Malformed { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some(false))
    }

    /// Adds a slot for this key, which opens nothing until it is confirmed. Returns its number: of a key that has a slot,
    /// that of this one.
    ///
    /// # Errors
    /// `State` when the vault is not unlocked, `SlotsFull`; as of the source.
    pub async fn add_slot(&self, call: &Call, keyring: &dyn Keyring) -> Result<u32, KeyError> {
        self.add_slot_for(call, keyring, None).await
    }

    pub(super) async fn add_slot_for(
        &self,
        call: &Call,
        keyring: &dyn Keyring,
        replaces: Option<u32>,
    ) -> Result<u32, KeyError> {
        for _ in 0..ATTEMPTS {
            let (row, open) = self.unlocked(VaultEvent::Keys).await?;
            // A key with two slots would open the vault after one of them is removed.
            if let Some(id) = self.slot_of(&row, keyring, call.now).await? {
                return Ok(id);
            }
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
    /// `UnknownSlot`, `State`; `LastSlot` when no other is active whose key stays; `Rotating` while it is being replaced, or replaces another: the file may have
    /// the key of either.
    pub async fn remove_slot(&self, call: &Call, id: u32) -> Result<(), KeyError> {
        self.remove(call, id, Remover::Anybody).await
    }

    pub(super) async fn remove(&self, call: &Call, id: u32, by: Remover) -> Result<(), KeyError> {
        for _ in 0..ATTEMPTS {
            let (row, _) = self.unlocked(VaultEvent::Keys).await?;
            if by == Remover::Anybody && is_rotating(&row, id) {
                return Err(KeyError::Rotating);
            }
            let state = row
                .slot(id)
                .map_or(SlotState::Removed, |slot| slot.state(call.now));
            let has_other = row
                .slots
                .iter()
                .any(|slot| slot.id != id && slot.is_active(call.now) && !slot.source.may_vanish());
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

    /// The slot that this key opens, pending or not.
    pub(super) async fn slot_of(
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
