//! The row of a key.

use dormouse_filesystem::{Class, Digest, IndexEntry, IndexValue, Record, RecordKind, Tenant, indexes};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest_id::digest_id;
use crate::{OpId, Subject};

digest_id! {
    /// What names a key: the digest of tenant, principal, operation and the client's key.
    IdempotencyId,
    /// A text that names no key.
    InvalidIdempotencyId "the name of a key is 64 hex digits"
}

impl IdempotencyId {
    pub(super) fn of(digest: Digest) -> Self {
        Self(digest)
    }
}

/// What was done under a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdempotencyRow {
    /// The key.
    pub key: IdempotencyId,
    /// The digest of what was asked, mixed with the client's key.
    pub request: Digest,
    /// What was asked for, by its name.
    pub operation: String,
    /// What was made or changed, in the order it was told.
    pub results: Vec<Subject>,
    /// What was answered, as the edge encoded it; none before that, and for one over 64 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// When the key is forgotten.
    pub expires_at: Timestamp,
    /// When it was used first.
    pub created_at: Timestamp,
    /// The command that wrote the row.
    pub op: OpId,
}

indexes! {
    /// What finds keys.
    pub enum IdempotencyIndex {
        /// By when they were used first, over all tenants.
        Retire = system "retire",
    }
}

impl Record for IdempotencyRow {
    type Scope = Tenant;
    type Id = IdempotencyId;
    type Index = IdempotencyIndex;
    const KIND: RecordKind = RecordKind::of("idempotency");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> IdempotencyId {
        self.key
    }

    fn index_entries(&self) -> Vec<IndexEntry<IdempotencyIndex>> {
        let at = IndexValue::instant(self.created_at);
        vec![IndexEntry::new(IdempotencyIndex::Retire, [at])]
    }
}
