//! What is stored of a kind's indexes: the catalogue's row, and how far a backfill got.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::namespace::System;
use crate::{RecordKind, Segment};

use super::super::{Class, IndexEntry, IndexScope, NoIndexes, Record, RecordId};

/// The row of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CatalogueRow {
    pub(crate) kind: Segment,
    /// [`Record::INDEX_GENERATION`] of the newest build that wrote it.
    pub(crate) generation: u32,
    pub(crate) indexes: Vec<ListedIndex>,
}

/// One index of a kind, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListedIndex {
    pub(crate) name: Segment,
    pub(crate) scope: ListedScope,
    pub(crate) digest: String,
    pub(crate) state: IndexState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ListedScope {
    Own,
    System,
}

impl From<IndexScope> for ListedScope {
    fn from(scope: IndexScope) -> Self {
        match scope {
            IndexScope::Own => Self::Own,
            IndexScope::System => Self::System,
        }
    }
}

/// How far an index is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexState {
    /// Writers maintain it; rows that were there before get their entries by and by.
    Building,
    /// Every row has its entries.
    Ready,
    /// No build declares it any more; its entries are being removed.
    Dropping,
}

impl CatalogueRow {
    pub(crate) fn find(&self, name: &str, scope: ListedScope) -> Option<&ListedIndex> {
        self.indexes
            .iter()
            .find(|index| index.name.as_str() == name && index.scope == scope)
    }

    /// Whether those who write by these declarations write what this row asks for, and no less.
    pub(crate) fn is_known_to(&self, generation: u32, declared: &[Declared]) -> bool {
        let asked = self
            .indexes
            .iter()
            .filter(|index| index.state != IndexState::Dropping);
        let asked: Vec<&str> = asked.map(|index| index.digest.as_str()).collect();
        self.generation == generation
            && asked.len() == declared.len()
            && declared.iter().all(|own| asked.contains(&own.digest.as_str()))
    }
}

/// An index as the code declares it.
#[derive(Debug, Clone)]
pub(crate) struct Declared {
    pub(crate) name: &'static str,
    pub(crate) scope: ListedScope,
    pub(crate) digest: String,
}

impl Declared {
    pub(crate) fn new(kind: &RecordKind, name: &'static str, scope: IndexScope) -> Self {
        let scope = scope.into();
        let word = match scope {
            ListedScope::Own => "own",
            ListedScope::System => "system",
        };
        let digest = Sha256::digest(format!("{kind}|{name}|{word}"));
        Self {
            name,
            scope,
            digest: data_encoding::HEXLOWER.encode(&digest[..16]),
        }
    }

    pub(crate) fn listed(&self, state: IndexState) -> ListedIndex {
        ListedIndex {
            name: Segment::parse(self.name).expect("index names fixed in code are legal"),
            scope: self.scope,
            digest: self.digest.clone(),
            state,
        }
    }
}

impl Record for CatalogueRow {
    type Scope = System;
    type Id = Segment;
    type Index = NoIndexes;
    const KIND: RecordKind = RecordKind::of("catalogue");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> Segment {
        self.kind.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry<NoIndexes>> {
        Vec::new()
    }
}

/// How far the backfill of one index got: a row of its own, so that a step of a backfill disturbs no writer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BackfillCursor {
    pub(crate) of: CursorId,
    /// The last row whose entries are there, by its stored key.
    pub(crate) after: String,
    /// How many rows were looked at.
    pub(crate) rows: u64,
}

/// The digest of an index's declaration, below its kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct CursorId(pub(crate) Segment, pub(crate) Segment);

impl std::fmt::Display for CursorId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.0, self.1)
    }
}

impl RecordId for CursorId {
    fn segments(&self) -> Vec<Segment> {
        vec![self.0.clone(), self.1.clone()]
    }

    fn from_segments(segments: &[&str]) -> Option<Self> {
        match segments {
            [kind, digest] => Some(Self(Segment::parse(kind).ok()?, Segment::parse(digest).ok()?)),
            _ => None,
        }
    }
}

impl Record for BackfillCursor {
    type Scope = System;
    type Id = CursorId;
    type Index = NoIndexes;
    const KIND: RecordKind = RecordKind::of("catalogue_cursor");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> CursorId {
        self.of.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry<NoIndexes>> {
        Vec::new()
    }
}
