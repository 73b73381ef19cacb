//! The key of a gate: the same call asked again, after a crash, a reconnect or a resume, finds its gate and decision.

use dormouse_filesystem::{Class, Digest, IndexEntry, IndexValue, Record, RecordKind, Tenant, indexes};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Caller;
use super::call::Parts;
use crate::digest_id::digest_id;
use crate::{GateId, OpId, Subject};

digest_id! {
    /// What names a key: the digest of origin, call and the call's digest, or of a session's life and a digest.
    KeyId,
    /// A text that is no key.
    InvalidKey "a key is 64 hex digits"
}

impl KeyId {
    /// The key of a call that the provider names so.
    #[must_use]
    pub fn of(origin: &Subject, call: &str, digest: &Digest) -> Self {
        Self::of_parts(&["call", &origin.to_string(), call, &digest.to_string()])
    }

    pub(crate) fn of_parts(parts: &[&str]) -> Self {
        let mut key = Parts::default();
        for part in parts {
            key.add(part);
        }
        Self(key.digest())
    }
}

/// Which gate a call found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateKey {
    /// The key.
    pub key: KeyId,
    /// What the call belongs to, whichever attempt makes it.
    pub origin: Subject,
    /// The digest of the call.
    pub digest: Digest,
    /// Its gate.
    pub gate: GateId,
    /// Who made the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<Caller>,
    /// Whether a later call took the gate over.
    #[serde(default)]
    pub is_adopted: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// The command that wrote the row.
    pub op: OpId,
}

indexes! {
    /// What finds keys.
    pub enum GateKeyIndex {
        /// All, by their gate.
        Gate = own "gate",
    }
}

impl Record for GateKey {
    type Scope = Tenant;
    type Id = KeyId;
    type Index = GateKeyIndex;
    const KIND: RecordKind = RecordKind::of("gate_key");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> KeyId {
        self.key
    }

    fn index_entries(&self) -> Vec<IndexEntry<GateKeyIndex>> {
        let gate = IndexValue::name(&self.gate.to_string());
        vec![IndexEntry::new(GateKeyIndex::Gate, [gate])]
    }
}
