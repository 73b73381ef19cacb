//! Making, starting, unlocking and locking a vault.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use dormouse_filesystem::{RecordError, Versioned};
use jiff::{SignedDuration, Timestamp};

use super::{
    Opened, Slot, SlotState, Vault, VaultDecision, VaultEvent, VaultRow, VaultState, decide_vault, table,
};
use crate::attempts::{ATTEMPTS, is_conflict};
use crate::seal::RootKey;
use crate::{Call, KeyError, Keyring, VaultChange, random};

/// Most keys tried within a minute: beyond, none is derived.
pub const UNLOCK_PER_MINUTE: usize = 5;

impl Vault {
    /// Makes the vault: the key is at its source already, and is read back before anything is stored. Where another
    /// process was first, its vault is opened instead.
    ///
    /// # Errors
    /// `State` when there is a vault; `MayVanish` for a key of a source that may be empty at the next start; `Malformed` and `Unavailable` of the source; `WrongKey` when another process
    /// was first and this key does not open its vault. After `Indeterminate` look at the state.
    pub async fn enable(&self, call: &Call, keyring: &dyn Keyring) -> Result<(), KeyError> {
        let seen = self.look().await?;
        if decide_vault(seen.state, VaultEvent::Enable) != VaultDecision::Become(VaultState::Unlocked) {
            return Err(KeyError::State { now: seen.state });
        }
        if keyring.source().may_vanish() {
            return Err(KeyError::MayVanish);
        }
        let (row, root) = self.make(call, keyring).await?;
        let mut batch = self.rows().namespace().batch();
        self.rows().stage_create(&mut batch, &row)?;
        call.journal.system(
            &mut batch,
            &VaultChange::Enabled {
                source: keyring.source(),
            },
        );
        match self
            .rows()
            .namespace()
            .commit(batch)
            .await
            .map_err(RecordError::from)
        {
            Ok(_) => {
                self.hold(&row, root, 1);
                Ok(())
            }
            Err(error) if is_conflict(&error) => self.open_found(keyring).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the vault with its own key file, made now or found.
    pub(crate) async fn enable_by_itself(&self, call: &Call) -> Result<(), KeyError> {
        let Some(file) = &self.0.options.first_key else {
            return Err(KeyError::State {
                now: VaultState::Absent,
            });
        };
        file.ensure().await?;
        match self.enable(call, file).await {
            // Somebody was first between the look and this.
            Err(KeyError::State {
                now: VaultState::Unlocked,
            }) => Ok(()),
            other => other,
        }
    }

    async fn make(&self, call: &Call, keyring: &dyn Keyring) -> Result<(VaultRow, RootKey), KeyError> {
        let root = RootKey::make(self.random());
        let mut row = VaultRow {
            vault: HEXLOWER.encode(&random::bytes::<16>(self.random())),
            locked: false,
            root: 1,
            slots: Vec::new(),
            next_slot: 2,
            retiring: None,
            created_at: call.now,
        };
        let slot = self.wrapped(&row, 1, &root, keyring, call.now).await?;
        row.slots.push(slot);
        Ok((row, root))
    }

    /// A slot of this root key, which was proven to open with the key read again from its source.
    pub(super) async fn wrapped(
        &self,
        row: &VaultRow,
        id: u32,
        root: &RootKey,
        keyring: &dyn Keyring,
        now: Timestamp,
    ) -> Result<Slot, KeyError> {
        let source = keyring.source();
        let bound = row.slot_bound(id, source);
        let wrapped = keyring.wrap(root, &bound).await?;
        let read_back = keyring.unwrap(&wrapped, &bound).await?;
        if read_back.expose() != root.expose() {
            return Err(KeyError::Unavailable {
                reason: "the source gives another key than it took",
            });
        }
        Ok(Slot {
            id,
            source,
            wrapped,
            pending: false,
            replaces: None,
            added_at: now,
        })
    }

    async fn open_found(&self, keyring: &dyn Keyring) -> Result<(), KeyError> {
        let row = self
            .rows()
            .get(&VaultRow::the_id())
            .await?
            .ok_or(KeyError::Conflict)?;
        let (root, slot) = opened_by(&row, keyring).await?;
        self.hold(&row, root, slot);
        Ok(())
    }

    /// Tries the sources: at a start, and when the configuration was read again. `Ok` says how the vault is then.
    ///
    /// # Errors
    /// As any read; a source that has no key, or another, is passed over.
    pub async fn start(&self, call: &Call) -> Result<VaultState, KeyError> {
        self.memory().tried = None;
        let before = self.memory().open.is_some();
        let seen = self.look().await?;
        if let (Some(open), Some(row), false) = (&seen.open, &seen.row, before) {
            self.tell_unlocked(call, row, open.slot).await?;
        }
        Ok(seen.state)
    }

    async fn tell_unlocked(&self, call: &Call, row: &VaultRow, slot: u32) -> Result<(), KeyError> {
        let Some(source) = row.slot(slot).map(|slot| slot.source) else {
            return Ok(());
        };
        let mut batch = self.rows().namespace().batch();
        call.journal
            .system(&mut batch, &VaultChange::Unlocked { slot, source });
        if batch.writes() {
            self.rows()
                .namespace()
                .commit(batch)
                .await
                .map_err(RecordError::from)?;
        }
        Ok(())
    }

    pub(super) async fn try_sources(&self, row: &Versioned<VaultRow>) -> Result<(), KeyError> {
        self.memory().tried = Some(row.version());
        for source in &self.0.options.sources {
            match opened_by(row, &**source).await {
                Ok((root, slot)) => {
                    self.hold(row, root, slot);
                    return Ok(());
                }
                Err(KeyError::WrongKey | KeyError::Unavailable { .. } | KeyError::Malformed { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Opens the vault with a key that somebody gives, and takes an operator's lock away.
    ///
    /// # Errors
    /// `State` when there is none or it is open; `TooMany` beyond [`UNLOCK_PER_MINUTE`]; `WrongKey`, `Malformed`.
    pub async fn unlock(&self, call: &Call, keyring: &dyn Keyring) -> Result<(), KeyError> {
        for _ in 0..ATTEMPTS {
            let seen = self.look().await?;
            let fits = decide_vault(seen.state, VaultEvent::Unlock(table::Key::Fits));
            let (VaultDecision::Become(_), Some(row)) = (fits, seen.row) else {
                return Err(KeyError::State { now: seen.state });
            };
            self.count_attempt(call.now)?;
            let (root, slot) = opened_by(&row, keyring).await?;
            let open = VaultRow {
                locked: false,
                ..VaultRow::clone(&row)
            };
            let mut batch = self.rows().namespace().batch();
            self.rows().stage_replace(&mut batch, &row, &open).await?;
            let source = keyring.source();
            call.journal
                .system(&mut batch, &VaultChange::Unlocked { slot, source });
            match self
                .rows()
                .namespace()
                .commit(batch)
                .await
                .map_err(RecordError::from)
            {
                Ok(_) => {
                    self.hold(&open, root, slot);
                    return Ok(());
                }
                Err(error) if is_conflict(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(KeyError::Conflict)
    }

    fn count_attempt(&self, now: Timestamp) -> Result<(), KeyError> {
        let minute = SignedDuration::from_mins(1);
        let mut memory = self.memory();
        // A clock that was set back forgets what lies ahead of it.
        memory
            .attempts
            .retain(|at| *at <= now && now.duration_since(*at) < minute);
        if memory.attempts.len() >= UNLOCK_PER_MINUTE {
            return Err(KeyError::TooMany {
                at: memory.attempts[0] + minute,
            });
        }
        memory.attempts.push_back(now);
        Ok(())
    }

    /// Locks it for every process: commits, then wipes. When the commit fails it wipes all the same.
    ///
    /// # Errors
    /// `State` when there is none or it is locked; `OthersNotTold`.
    pub async fn lock(&self, call: &Call) -> Result<(), KeyError> {
        for _ in 0..ATTEMPTS {
            let seen = match self.look().await {
                Ok(seen) => seen,
                Err(KeyError::Store(error)) => return Err(self.wipe_alone(*error)),
                Err(error) => return Err(error),
            };
            let decided = decide_vault(seen.state, VaultEvent::Lock);
            let (VaultDecision::Become(_), Some(row)) = (decided, seen.row) else {
                return Err(KeyError::State { now: seen.state });
            };
            let locked = VaultRow {
                locked: true,
                ..VaultRow::clone(&row)
            };
            let mut batch = self.rows().namespace().batch();
            if let Err(error) = self.rows().stage_replace(&mut batch, &row, &locked).await {
                return Err(self.wipe_alone(error));
            }
            call.journal.system(&mut batch, &VaultChange::Locked);
            match self
                .rows()
                .namespace()
                .commit(batch)
                .await
                .map_err(RecordError::from)
            {
                Ok(_) => {
                    self.memory().open = None;
                    return Ok(());
                }
                Err(error) if is_conflict(&error) => {}
                Err(error) => return Err(self.wipe_alone(error)),
            }
        }
        self.memory().open = None;
        Err(KeyError::Conflict)
    }

    fn wipe_alone(&self, error: RecordError) -> KeyError {
        self.memory().open = None;
        KeyError::OthersNotTold(Box::new(error))
    }

    pub(super) fn hold(&self, row: &VaultRow, root: RootKey, slot: u32) {
        let open = Opened {
            vault: row.vault.clone(),
            root_id: row.root,
            root,
            slot,
        };
        self.memory().open = Some(Arc::new(open));
    }
}

/// The root key and the slot that this key opens: active ones of its source alone.
pub(super) async fn opened_by(row: &VaultRow, keyring: &dyn Keyring) -> Result<(RootKey, u32), KeyError> {
    let source = keyring.source();
    // Whether a pending one is over does not matter: none of them opens.
    let slots = row
        .slots
        .iter()
        .filter(|slot| !slot.pending && slot.source == source);
    for slot in slots {
        match keyring
            .unwrap(&slot.wrapped, &row.slot_bound(slot.id, source))
            .await
        {
            Ok(root) => return Ok((root, slot.id)),
            Err(KeyError::WrongKey) => {}
            Err(error) => return Err(error),
        }
    }
    Err(KeyError::WrongKey)
}

impl Slot {
    pub(super) fn is_active(&self, now: Timestamp) -> bool {
        self.state(now) == SlotState::Active
    }
}
