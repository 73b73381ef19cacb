//! How far a migration is.

use dormouse_filesystem::{Class, IndexEntry, NoIndexes, Record, RecordKind, Segment, Tenant};
use serde::{Deserialize, Serialize};

/// One source, by what tells it from every other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MigrationRow {
    /// 32 hexadecimal digits, under a key of the tenant: nothing of a value can be guessed from it.
    pub(crate) source: String,
    /// Rows of the source, by key, that are taken over or set aside.
    pub(crate) done: u64,
    /// All there are.
    pub(crate) rows: u64,
}

impl MigrationRow {
    pub(crate) fn id_of(source: &str) -> Segment {
        Segment::parse(source).expect("hexadecimal digits are a segment")
    }
}

impl Record for MigrationRow {
    type Scope = Tenant;
    type Id = Segment;
    type Index = NoIndexes;
    const KIND: RecordKind = RecordKind::of("secret_migration");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> Segment {
        Self::id_of(&self.source)
    }

    fn index_entries(&self) -> Vec<IndexEntry<NoIndexes>> {
        Vec::new()
    }
}
