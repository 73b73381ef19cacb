//! A secret and the vault, without any value.

use dormouse_secrets::{
    Effective, Origin, SecretCategory, SecretMeta, SecretName, SecretRef, SecretScope, SlotInfo, SlotState,
    Usable,
};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// What is known of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretView {
    /// What names it in every command: `shared:NAME` or `agent:ID:NAME`.
    #[serde(rename = "ref")]
    pub at: SecretRef,
    /// Whose it is.
    pub scope: SecretScope,
    /// Its name.
    pub name: SecretName,
    /// Whom it serves.
    pub category: SecretCategory,
    /// The counter of its values.
    pub generation: u64,
    /// What equal values of a tenant have in common.
    pub fingerprint: String,
    /// Where its value may be typed in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<Origin>,
    /// What somebody noted.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Whether its value is too short to be taken out of texts.
    pub unscrubbed: bool,
    /// When it was first put.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Whether those two are known.
    pub times_known: bool,
    /// The day on which its value was last handed out, in UTC; none where that is not known, nor in the answer of a put.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_on: Option<Date>,
}

impl SecretView {
    /// The view of what is known.
    #[must_use]
    pub fn of(meta: &SecretMeta) -> Self {
        Self {
            at: meta.at.clone(),
            scope: meta.at.scope.clone(),
            name: meta.at.name.clone(),
            category: meta.category,
            generation: meta.generation,
            fingerprint: meta.fingerprint.to_string(),
            origins: meta.origins.clone(),
            note: meta.note.clone(),
            unscrubbed: meta.unscrubbed,
            created_at: meta.created_at,
            updated_at: meta.updated_at,
            times_known: meta.times_known,
            used_on: meta.used_on,
        }
    }
}

/// A name that an agent sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectiveView {
    /// The row that wins.
    #[serde(rename = "ref")]
    pub at: SecretRef,
    /// Its name.
    pub name: SecretName,
    /// Whom it serves; none of a row that cannot be believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<SecretCategory>,
    /// Whether it hides one of the tenant of that name.
    pub shadows: bool,
    /// Whether a worker gets it: `yes`, `system_only`, `unreadable`, `not_unlocked`.
    pub usable: String,
}

impl EffectiveView {
    /// The view of what an agent sees.
    #[must_use]
    pub fn of(effective: &Effective) -> Self {
        let usable = match effective.usable {
            Usable::Yes => "yes",
            Usable::SystemOnly => "system_only",
            Usable::Unreadable => "unreadable",
            Usable::NotUnlocked => "not_unlocked",
        };
        Self {
            at: effective.at.clone(),
            name: effective.at.name.clone(),
            category: effective.category,
            shadows: effective.shadows,
            usable: usable.to_owned(),
        }
    }
}

/// A key that opens the vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotView {
    /// Its number.
    pub id: u32,
    /// Where its key comes from.
    pub source: String,
    /// `pending` or `active`.
    pub state: String,
    /// Since when it is there.
    pub added_at: Timestamp,
    /// How its key is derived, where it is of a passphrase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derivation: Option<DerivationView>,
}

/// How a key is derived of a passphrase, by Argon2id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DerivationView {
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// Passes over it.
    pub passes: u32,
}

impl SlotView {
    /// The view of a slot.
    #[must_use]
    pub fn of(slot: &SlotInfo) -> Self {
        let state = match slot.state {
            SlotState::Pending => "pending",
            SlotState::Active => "active",
            SlotState::Removed => "removed",
        };
        Self {
            id: slot.id,
            source: slot.source.word().to_owned(),
            state: state.to_owned(),
            added_at: slot.added_at,
            derivation: slot.derivation.map(|params| DerivationView {
                memory_bytes: u64::from(params.memory_kib) * 1024,
                passes: params.passes,
            }),
        }
    }
}

/// How the vault is, and how many secrets there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultView {
    /// `absent`, `sealed`, `unlocked` or `locked`.
    pub vault: String,
    /// Secrets of the tenant.
    pub shared: usize,
    /// Secrets of its agents.
    pub of_agents: usize,
    /// Those whose value is too short to be taken out of texts.
    pub unscrubbed: usize,
    /// Workers that were not started because a secret of theirs did not open, since the owner came up.
    pub refused_spawns: u64,
    /// Whether new keys are under way.
    pub is_rekeying: bool,
    /// Whether the key in memory is kept out of swap; none where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_locked_in_memory: Option<bool>,
    /// Whether the next process that starts finds a key that opens it; none where there is no vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens_by_itself: Option<bool>,
    /// Whether the key file of the settings is there and opens it; none where there is no vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file_opens: Option<bool>,
    /// The keys that open it.
    pub slots: Vec<SlotView>,
}
