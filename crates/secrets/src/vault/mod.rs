//! The vault: the root key of a store, and the slots that open it.
//!
//! What is stored says whether the vault is there and whether an operator locked it; memory says whether this process
//! has its root key. Every verb looks first: who missed a lock wipes its keys then.

mod open;
mod record;
mod rekey;
mod rotate;
mod slots;
mod table;
mod unlock;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dormouse_filesystem::{Namespace, Records, System, Version, Versioned};
use jiff::Timestamp;

pub(crate) use open::Opened;
pub(crate) use record::{RETIRING_MIN, Retiring, Slot, VaultRow};
pub use record::{SLOT_PENDING, SLOTS_MAX};
pub use rekey::RekeyUnderWay;
pub use slots::SlotInfo;
pub use table::{
    Key, Others, SlotDecision, SlotEvent, SlotState, VaultDecision, VaultEvent, VaultState, decide_slot,
    decide_vault,
};
pub use unlock::UNLOCK_PER_MINUTE;

use crate::{FileKeyring, KeyError, Keyring, Random};

/// The vault of a store, as one process has it. A clone is the same.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

/// Where a vault's keys come from.
#[derive(Debug, Clone, Default)]
pub struct VaultOptions {
    /// What is tried, in this order, at a start and when a vault is seen that is open elsewhere: sources that need
    /// nobody's hand.
    pub sources: Vec<Arc<dyn Keyring>>,
    /// The key file with which the first put makes a vault where there is none; without it such a put is refused.
    pub first_key: Option<FileKeyring>,
}

struct Inner {
    rows: Records<VaultRow>,
    random: Arc<dyn Random>,
    options: VaultOptions,
    memory: Mutex<Memory>,
}

/// What this process knows. The lock is held for a few instructions and never across an await.
#[derive(Default)]
struct Memory {
    open: Option<Arc<Opened>>,
    /// The version of the vault at which the sources were tried last.
    tried: Option<Version>,
    /// When keys were tried within the last minute.
    attempts: VecDeque<Timestamp>,
}

/// The vault as it was seen once.
pub(crate) struct Seen {
    pub(crate) state: VaultState,
    pub(crate) row: Option<Versioned<VaultRow>>,
    pub(crate) open: Option<Arc<Opened>>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({:?})", self.0.rows.namespace())
    }
}

impl Vault {
    /// The vault of this store.
    #[must_use]
    pub fn new(system: &Namespace<System>, options: VaultOptions, random: Arc<dyn Random>) -> Self {
        let memory = Mutex::default();
        Self(Arc::new(Inner {
            rows: Records::new(system),
            random,
            options,
            memory,
        }))
    }

    /// How it is for this process.
    ///
    /// # Errors
    /// As any read.
    pub async fn state(&self) -> Result<VaultState, KeyError> {
        Ok(self.look().await?.state)
    }

    /// Whether the root key in memory is kept out of swap; `None` when there is none.
    #[must_use]
    pub fn is_locked_in_memory(&self) -> Option<bool> {
        self.memory().open.as_ref().map(|open| open.root.is_locked())
    }

    pub(crate) fn random(&self) -> &dyn Random {
        &*self.0.random
    }

    pub(crate) fn rows(&self) -> &Records<VaultRow> {
        &self.0.rows
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The vault as it is now: one read. A key that no longer fits is wiped; sources are tried once for each version
    /// of the vault.
    pub(crate) async fn look(&self) -> Result<Seen, KeyError> {
        let row = self.rows().get(&VaultRow::the_id()).await?;
        let Some(row) = row else {
            self.memory().open = None;
            return Ok(Seen {
                state: VaultState::Absent,
                row: None,
                open: None,
            });
        };
        if row.locked {
            self.memory().open = None;
            return Ok(Seen {
                state: VaultState::Locked,
                row: Some(row),
                open: None,
            });
        }
        let is_new = {
            let mut memory = self.memory();
            memory.open = memory.open.take().filter(|open| open.is_of(&row));
            memory.open.is_none() && memory.tried != Some(row.version())
        };
        if is_new {
            self.try_sources(&row).await?;
        }
        let open = self.memory().open.clone();
        let state = if open.is_some() {
            VaultState::Unlocked
        } else {
            VaultState::Sealed
        };
        Ok(Seen {
            state,
            row: Some(row),
            open,
        })
    }

    /// The vault and its root key, when the event is to be applied.
    pub(crate) async fn unlocked(
        &self,
        event: VaultEvent,
    ) -> Result<(Versioned<VaultRow>, Arc<Opened>), KeyError> {
        let seen = self.look().await?;
        match (decide_vault(seen.state, event), seen.row, seen.open) {
            (VaultDecision::Apply, Some(row), Some(open)) => Ok((row, open)),
            _ => Err(KeyError::State { now: seen.state }),
        }
    }
}
