//! What a type says of itself to be kept as a record.

use std::fmt;
use std::hash::Hash;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{IndexEntry, Indexes};
use crate::namespace::Scope;
use crate::{RecordKind, Segment};

/// What happens to a row that cannot be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Its absence would authorise something: it stays, and each use is refused.
    Authority,
    /// It may be moved aside and be missing.
    Advisory,
}

/// An id that makes part of a key.
pub trait RecordId: Clone + Eq + Ord + Hash + fmt::Debug + fmt::Display + Send + Sync + 'static {
    /// The id as 1 to 4 segments.
    fn segments(&self) -> Vec<Segment>;
    /// Reads them back; none when they are no such id.
    fn from_segments(segments: &[&str]) -> Option<Self>;
}

impl RecordId for Segment {
    fn segments(&self) -> Vec<Segment> {
        vec![self.clone()]
    }

    fn from_segments(segments: &[&str]) -> Option<Self> {
        match segments {
            [one] => Self::parse(one).ok(),
            _ => None,
        }
    }
}

/// A persisted type: its kind, schema, id, scope and indexes are fixed here and nowhere else.
///
/// The stored form is JSON and carries kind, schema, id and scope, which are compared with the key on every read.
pub trait Record:
    Serialize + DeserializeOwned + Clone + PartialEq + fmt::Debug + Send + Sync + 'static
{
    /// Whose namespace it lives in; opening it elsewhere does not compile.
    type Scope: Scope;
    /// The number of its index declarations, raised by every build that adds an index or drops one: a build that knows
    /// an older number does not write such records any more. How the values of an index are derived may
    /// not change under one name and scope: give the index another name.
    const INDEX_GENERATION: u32 = 1;

    /// What names it.
    type Id: RecordId;
    /// What finds it; [`NoIndexes`](super::NoIndexes) for none.
    type Index: Indexes;
    /// What it is, in keys and beside its bytes.
    const KIND: RecordKind;
    /// The number of its form, raised by every change an older build could not read.
    const SCHEMA: u32;
    /// What happens to a row that cannot be believed.
    const CLASS: Class;

    /// What names it.
    fn id(&self) -> Self::Id;

    /// Where its indexes find it, derived from its fields alone.
    fn index_entries(&self) -> Vec<IndexEntry<Self::Index>>;

    /// Brings an older form up by one schema; none when that form is not known.
    #[must_use]
    fn upgrade(_from: u32, _value: serde_json::Value) -> Option<serde_json::Value> {
        None
    }
}
