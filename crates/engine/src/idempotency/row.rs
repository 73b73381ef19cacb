//! The row of a key.

use std::fmt;
use std::str::FromStr;

use dormouse_filesystem::{
    Class, Digest, IndexEntry, IndexValue, Record, RecordId, RecordKind, Segment, Tenant, indexes,
};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::segment;
use crate::{OpId, Subject};

/// What names a key: the digest of tenant, principal, operation and the client's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdempotencyId(Digest);

impl IdempotencyId {
    pub(super) fn of(digest: Digest) -> Self {
        Self(digest)
    }
}

impl fmt::Display for IdempotencyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A text that names no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name of a key is 64 hex digits")]
pub struct InvalidIdempotencyId;

impl FromStr for IdempotencyId {
    type Err = InvalidIdempotencyId;

    fn from_str(text: &str) -> Result<Self, InvalidIdempotencyId> {
        let value = serde_json::Value::from(text);
        serde_json::from_value(value)
            .map(Self)
            .map_err(|_| InvalidIdempotencyId)
    }
}

impl Serialize for IdempotencyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for IdempotencyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Digest::deserialize(deserializer).map(Self)
    }
}

impl RecordId for IdempotencyId {
    fn segments(&self) -> Vec<Segment> {
        vec![segment(&self.to_string())]
    }

    fn from_segments(segments: &[&str]) -> Option<Self> {
        match segments {
            [one] => one.parse().ok(),
            _ => None,
        }
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
