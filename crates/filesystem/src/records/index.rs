//! Index entries: keys without a value, derived from a record and written in its batches.

use std::fmt;

use super::{Record, RecordError, RecordId};
use crate::namespace::{Namespace, fixed};
use crate::{Key, Prefix, Segment};

/// Whose namespace an index's entries are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexScope {
    /// The record's own.
    Own,
    /// The system's: for what must be found without listing tenants. An entry ends in its owner's names, the tenant's
    /// and then the agent's, and the id.
    System,
}

impl fmt::Display for IndexScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Own => "its own",
            Self::System => "system",
        })
    }
}

/// The indexes of a record: one value for each, so that one that is not declared cannot be named.
///
/// [`indexes!`](crate::indexes) makes the type; a record without any uses [`NoIndexes`].
pub trait Indexes: Copy + Eq + Ord + fmt::Debug + Send + Sync + 'static {
    /// Every one of them.
    const ALL: &'static [Self];
    /// Its name in keys.
    fn name(self) -> &'static str;
    /// Where its entries are.
    fn scope(self) -> IndexScope;
}

/// The indexes of a record that has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoIndexes {}

impl Indexes for NoIndexes {
    const ALL: &'static [Self] = &[];

    fn name(self) -> &'static str {
        match self {}
    }

    fn scope(self) -> IndexScope {
        match self {}
    }
}

/// Declares the indexes of a record: an enum of [`Indexes`], each `own` or `system` with its name in
/// keys.
///
/// ```
/// dormouse_filesystem::indexes! {
///     /// Where notes are found.
///     pub enum NoteIndex {
///         /// By colour.
///         Colour = own "colour",
///         /// By when they are due, over all tenants.
///         Due = system "due",
///     }
/// }
/// ```
#[macro_export]
macro_rules! indexes {
    ($(#[$about:meta])* $seen:vis enum $name:ident {
        $($(#[$doc:meta])* $index:ident = $scope:ident $text:literal),+ $(,)?
    }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        $seen enum $name { $($(#[$doc])* $index),+ }

        impl $crate::Indexes for $name {
            const ALL: &'static [Self] = &[$(Self::$index),+];

            fn name(self) -> &'static str {
                match self { $(Self::$index => $text),+ }
            }

            fn scope(self) -> $crate::IndexScope {
                match self { $(Self::$index => $crate::indexes!(@scope $scope)),+ }
            }
        }
    };
    (@scope own) => { $crate::IndexScope::Own };
    (@scope system) => { $crate::IndexScope::System };
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

    /// What is missing: `None`, null and an absent field alike. It sorts before every number, and is equal to no value
    /// but the name `0`. An index that shall not find what is unset has no entry instead.
    #[must_use]
    pub fn unset() -> Self {
        Self::name("0")
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
pub struct IndexEntry<I: Indexes> {
    /// The index.
    pub index: I,
    /// Its values, at most 6.
    pub values: Vec<IndexValue>,
}

impl<I: Indexes> IndexEntry<I> {
    /// An entry of this index.
    #[must_use]
    pub fn new(index: I, values: impl IntoIterator<Item = IndexValue>) -> Self {
        Self {
            index,
            values: values.into_iter().collect(),
        }
    }
}

/// Where the entries of one index are, for an index of this scope.
pub(crate) fn prefix_in<R: Record>(
    index: R::Index,
    scope: IndexScope,
    own: &Prefix,
) -> Result<Prefix, RecordError> {
    if index.scope() != scope {
        return Err(RecordError::NoIndex {
            kind: R::KIND,
            index: index.name(),
            scope,
        });
    }
    let kind = R::KIND;
    let prefix = own.under(&["i", kind.as_str(), index.name()]);
    prefix.map_err(|cause| RecordError::invalid::<R>(index.name(), "index", &cause.to_string()))
}

/// Where the entries of one index are: the record's own namespace, or the system's, the one sealed way out of a
/// tenant's. There an entry ends in its owner's names and its id.
pub(crate) fn key_of<R: Record>(
    namespace: &Namespace<R::Scope>,
    entry: &IndexEntry<R::Index>,
    id: &R::Id,
) -> Result<Key, RecordError> {
    let owner = match entry.index.scope() {
        IndexScope::Own => Vec::new(),
        IndexScope::System => namespace.owner(),
    };
    key_in::<R>(namespace.root(), &owner, entry, id)
}

/// As [`key_of`], for the namespace with this root, of this owner.
pub(crate) fn key_in<R: Record>(
    root: &Prefix,
    owner: &[Segment],
    entry: &IndexEntry<R::Index>,
    id: &R::Id,
) -> Result<Key, RecordError> {
    let scope = entry.index.scope();
    let (root, owner) = match scope {
        IndexScope::Own => (root.clone(), &[][..]),
        IndexScope::System => (fixed(&["s"]), owner),
    };
    let (values, id_segments) = (entry.values.iter().map(IndexValue::as_segment), id.segments());
    let segments = values.chain(owner).chain(&id_segments);
    let key = prefix_in::<R>(entry.index, scope, &root)?.key(segments);
    key.map_err(|cause| RecordError::invalid::<R>(&id.to_string(), entry.index.name(), &cause.to_string()))
}
