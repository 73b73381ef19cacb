//! What happened, as data: references, generations, holders; never a value, a key, a fingerprint or a length.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use dormouse_filesystem::{ScopedBatch, System, Tenant};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{AgentId, Cause, Holder, Incarnation, KeySource, LeaseId, SecretName, SecretRef};

/// A change of a tenant's secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
pub enum Change {
    /// A value was put.
    #[serde(rename = "secret.put")]
    Put {
        /// Which.
        at: SecretRef,
        /// Its generation now.
        generation: u64,
    },
    /// It was deleted.
    #[serde(rename = "secret.deleted")]
    Deleted {
        /// Which.
        at: SecretRef,
        /// The generation that went.
        generation: u64,
    },
    /// A lease was granted.
    #[serde(rename = "secret.leased")]
    Leased {
        /// Which lease.
        lease: LeaseId,
        /// On what.
        at: SecretRef,
        /// Whose.
        holder: Holder,
    },
    /// A lease was taken back.
    #[serde(rename = "secret.lease_revoked")]
    LeaseRevoked {
        /// Which lease.
        lease: LeaseId,
        /// On what; none for a credential session.
        at: Option<SecretRef>,
        /// Why.
        cause: Cause,
    },
    /// These of an agent's set do not open.
    #[serde(rename = "secret.unreadable")]
    Unreadable {
        /// The agent.
        agent: AgentId,
        /// Their names.
        names: Vec<SecretName>,
    },
    /// An import was applied.
    #[serde(rename = "secret.imported")]
    Imported {
        /// How many were written.
        written: u64,
        /// How many were there already.
        unchanged: u64,
    },
    /// An export was made.
    #[serde(rename = "secret.exported")]
    Exported {
        /// Whether it is in clear.
        plaintext: bool,
        /// How many secrets are in it.
        count: u64,
    },
    /// The rows of an ended incarnation were set aside.
    #[serde(rename = "secret.quarantined")]
    Quarantined {
        /// The agent.
        agent: AgentId,
        /// Which life of it.
        incarnation: Incarnation,
        /// How many.
        count: u64,
    },
    /// Rows of an ended incarnation were sealed anew for the living agent.
    #[serde(rename = "secret.restored")]
    Restored {
        /// The agent.
        agent: AgentId,
        /// The names that it has again.
        names: Vec<SecretName>,
    },
    /// Rows were sealed under new keys.
    #[serde(rename = "secret.resealed")]
    Resealed {
        /// How many.
        count: u64,
        /// Those that do not open, skipped.
        unreadable: Vec<SecretRef>,
    },
}

/// A change of the vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
pub enum VaultChange {
    /// It was made.
    #[serde(rename = "vault.enabled")]
    Enabled {
        /// Where its key comes from.
        source: KeySource,
    },
    /// A process opened it.
    #[serde(rename = "vault.unlocked")]
    Unlocked {
        /// Which slot opened it.
        slot: u32,
        /// Where its key came from.
        source: KeySource,
    },
    /// An operator locked it.
    #[serde(rename = "vault.locked")]
    Locked,
    /// A slot is there to be confirmed.
    #[serde(rename = "vault.slot_added")]
    SlotAdded {
        /// Which.
        slot: u32,
        /// Where its key comes from.
        source: KeySource,
    },
    /// A slot was removed.
    #[serde(rename = "vault.slot_removed")]
    SlotRemoved {
        /// Which.
        slot: u32,
    },
    /// It has a new root key.
    #[serde(rename = "vault.rekeyed")]
    Rekeyed {
        /// The number of the root key.
        root: u32,
        /// The slots that went with the old one.
        dropped: Vec<u32>,
    },
}

/// Takes changes into the commit that makes them: an append to a log of the caller's.
///
/// It is called once for each attempt to commit, has no effect but on the batch, and must not block.
pub trait Journal: fmt::Debug + Send + Sync + 'static {
    /// Adds a change of the tenant to the batch.
    fn tenant(&self, batch: &mut ScopedBatch<Tenant>, change: &Change);
    /// Adds a change of the vault to the batch.
    fn system(&self, batch: &mut ScopedBatch<System>, change: &VaultChange);
}

/// A journal that keeps nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoJournal;

impl Journal for NoJournal {
    fn tenant(&self, _batch: &mut ScopedBatch<Tenant>, _change: &Change) {}

    fn system(&self, _batch: &mut ScopedBatch<System>, _change: &VaultChange) {}
}

/// A journal that keeps in memory what was tried to commit: for tests, and callers that have no log.
#[derive(Debug, Default)]
pub struct Recorded(Mutex<(Vec<Change>, Vec<VaultChange>)>);

impl Recorded {
    /// What it kept, which it forgets.
    #[must_use]
    pub fn take(&self) -> (Vec<Change>, Vec<VaultChange>) {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Journal for Recorded {
    fn tenant(&self, _batch: &mut ScopedBatch<Tenant>, change: &Change) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .push(change.clone());
    }

    fn system(&self, _batch: &mut ScopedBatch<System>, change: &VaultChange) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .1
            .push(change.clone());
    }
}

/// One call of a verb: when it is made, and who is told in its commit.
#[derive(Debug, Clone)]
pub struct Call {
    /// The time.
    pub now: Timestamp,
    /// Who takes the changes.
    pub journal: Arc<dyn Journal>,
}

impl Call {
    /// A call at this time of which nobody is told.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self {
            now,
            journal: Arc::new(NoJournal),
        }
    }

    /// A call at this time.
    #[must_use]
    pub fn told(now: Timestamp, journal: Arc<dyn Journal>) -> Self {
        Self { now, journal }
    }
}
