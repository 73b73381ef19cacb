//! Index entries: keys without a value, derived from a record and written in its batches.

use super::{Record, RecordError, RecordId};
use crate::namespace::{Namespace, fixed};
use crate::{Key, Prefix, Segment};

/// Whose namespace an index's entries are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexScope {
    /// The record's own.
    Own,
    /// The system's: for what must be found without listing tenants. An entry ends in the tenant and the id.
    System,
}

/// An index a record declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Index {
    /// Its name in keys.
    pub name: &'static str,
    /// Where its entries are.
    pub scope: IndexScope,
}

impl Index {
    /// An index in the record's own namespace.
    #[must_use]
    pub const fn own(name: &'static str) -> Self {
        Self {
            name,
            scope: IndexScope::Own,
        }
    }

    /// An index in the system's namespace.
    #[must_use]
    pub const fn system(name: &'static str) -> Self {
        Self {
            name,
            scope: IndexScope::System,
        }
    }
}

/// One value of an index entry, in an encoding that keeps order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct IndexValue(Segment);

impl IndexValue {
    /// A name fixed in code.
    ///
    /// # Panics
    /// When it is no segment.
    #[must_use]
    pub fn name(name: &str) -> Self {
        Self(Segment::parse(name).expect("index names fixed in code are legal"))
    }

    /// A segment as it is.
    #[must_use]
    pub fn segment(segment: Segment) -> Self {
        Self(segment)
    }

    /// A number: 20 digits, so that order is numeric.
    #[must_use]
    pub fn number(number: u64) -> Self {
        Self(Segment::number(number))
    }

    /// A number whose order is turned round: the largest first.
    #[must_use]
    pub fn number_down(number: u64) -> Self {
        Self(Segment::number(u64::MAX - number))
    }

    /// An instant: nanoseconds since 1970, which end in 2554; earlier ones count as 1970.
    #[must_use]
    pub fn instant(at: jiff::Timestamp) -> Self {
        Self::number(u64::try_from(at.as_nanosecond()).unwrap_or(0))
    }

    /// Any bytes, in order of their first 40; up to 64 of them in full order among themselves.
    #[must_use]
    pub fn bytes(bytes: &[u8]) -> Self {
        Self(Segment::ordered(bytes))
    }

    pub(crate) fn as_segment(&self) -> &Segment {
        &self.0
    }
}

/// Where one index finds a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    /// The index, one of [`Record::INDEXES`].
    pub index: &'static str,
    /// Its values, at most 6.
    pub values: Vec<IndexValue>,
}

impl IndexEntry {
    /// An entry of this index.
    #[must_use]
    pub fn new(index: &'static str, values: impl IntoIterator<Item = IndexValue>) -> Self {
        Self {
            index,
            values: values.into_iter().collect(),
        }
    }
}

pub(crate) fn declared<R: Record>(name: &str) -> Result<Index, RecordError> {
    R::INDEXES
        .iter()
        .find(|index| index.name == name)
        .copied()
        .ok_or_else(|| RecordError::NoIndex {
            kind: R::KIND,
            index: name.to_owned(),
        })
}

/// Where the entries of one index are: the record's own namespace.
pub(crate) fn own_prefix<R: Record>(namespace: &Namespace<R::Scope>, name: &str) -> Prefix {
    namespace.at(&["i", R::KIND.as_str(), name])
}

/// Where the entries of one index are: the system's namespace. The one sealed way out of a tenant's.
pub(crate) fn system_prefix<R: Record>(name: &str) -> Prefix {
    fixed(&["s", "i", R::KIND.as_str(), name])
}

pub(crate) fn key_of<R: Record>(
    namespace: &Namespace<R::Scope>,
    entry: &IndexEntry,
    id: &R::Id,
) -> Result<Key, RecordError> {
    let index = declared::<R>(entry.index)?;
    let values = entry.values.iter().map(IndexValue::as_segment).cloned();
    let (prefix, segments) = match index.scope {
        IndexScope::Own => (
            own_prefix::<R>(namespace, index.name),
            values.chain(id.segments()).collect::<Vec<_>>(),
        ),
        IndexScope::System => {
            let owner = namespace
                .name()
                .map(|name| Segment::parse(name).expect("a root is made of segments"));
            (
                system_prefix::<R>(index.name),
                values.chain(owner).chain(id.segments()).collect(),
            )
        }
    };
    prefix
        .key(&segments)
        .map_err(|cause| RecordError::invalid::<R>(&id.to_string(), index.name, &cause.to_string()))
}
