//! The two stores of rows that could not be believed: moved aside, or copied. They are emptied by command only.

use std::fmt;
use std::marker::PhantomData;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Class, IndexEntry, IndexValue, Record, RecordId};
use crate::namespace::Scope;
use crate::{RecordKind, Segment, Version};

/// What is kept of a row that could not be believed, beside its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BadRow {
    /// Its name among bad rows.
    pub id: BadRowId,
    /// Its id, as its key had it.
    pub of: String,
    /// The field that could not be believed, or `record`.
    pub field: String,
    /// What was wrong with it.
    pub cause: String,
    /// How many bytes it had; they are kept beside this.
    pub bytes: u64,
    /// When it was found.
    pub at: Timestamp,
}

/// The kind, the id and the version of a row that could not be believed: one name for each time it was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BadRowId {
    kind: Segment,
    row: Segment,
    version: Version,
}

impl BadRowId {
    /// The name of the row of this kind whose key ends so, at this version.
    pub(super) fn of(kind: &RecordKind, tail: &[&str], version: Version) -> Self {
        let kind = Segment::parse(kind.as_str()).expect("a kind is a segment");
        let row = match tail {
            [only] => Segment::parse(only).expect("it was a segment of a key"),
            several => Segment::ordered(several.join("/").as_bytes()),
        };
        Self { kind, row, version }
    }

    /// The kind of the row.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.kind.as_str()
    }

    /// The commit that wrote the row.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }
}

impl fmt::Display for BadRowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.kind, self.row, self.version)
    }
}

/// A text that names no bad row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a bad row is named kind/id/version, as it is listed")]
pub struct InvalidBadRowId;

impl std::str::FromStr for BadRowId {
    type Err = InvalidBadRowId;

    fn from_str(text: &str) -> Result<Self, InvalidBadRowId> {
        let parts: Vec<&str> = text.split('/').collect();
        Self::from_segments(&parts).ok_or(InvalidBadRowId)
    }
}

impl RecordId for BadRowId {
    fn segments(&self) -> Vec<Segment> {
        vec![
            self.kind.clone(),
            self.row.clone(),
            Segment::number(self.version.get()),
        ]
    }

    fn from_segments(segments: &[&str]) -> Option<Self> {
        let [kind, row, version] = segments else {
            return None;
        };
        Some(Self {
            kind: Segment::parse(kind).ok()?,
            row: Segment::parse(row).ok()?,
            version: Version::new(version.parse().ok()?),
        })
    }
}

impl Serialize for BadRowId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BadRowId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

crate::indexes! {
    /// What finds bad rows.
    pub enum BadRowIndex {
        /// By when they were found.
        At = own "at",
    }
}

/// Which of the two stores a bad row is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BadStore {
    /// What was moved aside: the row is gone from its place.
    DeadLetter,
    /// What was copied: the row is where it was.
    Quarantine,
}

impl BadStore {
    /// Both.
    pub const ALL: [Self; 2] = [Self::DeadLetter, Self::Quarantine];

    /// The store's word, which is the kind of its rows.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::DeadLetter => "dead_letter",
            Self::Quarantine => "quarantine",
        }
    }

    /// Where the bytes of its rows are.
    pub(super) const fn place(self) -> &'static str {
        match self {
            Self::DeadLetter => "dead_letter_bytes",
            Self::Quarantine => "quarantine_bytes",
        }
    }
}

/// One of the two stores, as a type.
pub(super) trait Kept: Send + Sync + 'static {
    const STORE: BadStore;
}

/// Rows that were moved aside.
#[derive(Debug)]
pub(super) enum Moved {}

/// Rows that were copied.
#[derive(Debug)]
pub(super) enum Copied {}

impl Kept for Moved {
    const STORE: BadStore = BadStore::DeadLetter;
}

impl Kept for Copied {
    const STORE: BadStore = BadStore::Quarantine;
}

/// The row of one of the stores, in a namespace of any scope.
#[derive(Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub(super) struct KeptRow<S, K> {
    pub(super) row: BadRow,
    #[serde(skip)]
    is: PhantomData<fn() -> (S, K)>,
}

impl<S, K> KeptRow<S, K> {
    pub(super) fn new(row: BadRow) -> Self {
        Self { row, is: PhantomData }
    }
}

impl<S, K> Clone for KeptRow<S, K> {
    fn clone(&self) -> Self {
        Self::new(self.row.clone())
    }
}

impl<S, K> PartialEq for KeptRow<S, K> {
    fn eq(&self, other: &Self) -> bool {
        self.row == other.row
    }
}

impl<S, K> fmt::Debug for KeptRow<S, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.row.fmt(f)
    }
}

impl<S: Scope, K: Kept> Record for KeptRow<S, K> {
    type Scope = S;
    type Id = BadRowId;
    type Index = BadRowIndex;
    const KIND: RecordKind = RecordKind::of(K::STORE.word());
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> BadRowId {
        self.row.id.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry<BadRowIndex>> {
        vec![IndexEntry::new(
            BadRowIndex::At,
            [IndexValue::instant(self.row.at)],
        )]
    }
}
