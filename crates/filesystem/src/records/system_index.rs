//! Reading the system-scope index entries of tenants' records: what must be found without listing tenants.

use std::fmt;
use std::marker::PhantomData;

use super::find::{is_built, tail_of};
use super::index::prefix_in;
use super::{Cursor, IndexScope, Query, Record, RecordError, RecordId};
use crate::Segment;
use crate::namespace::{Namespace, Scope, System};

/// The system-scope indexes of one kind. Only the system's namespace reads them.
pub struct SystemIndex<R: Record> {
    system: Namespace<System>,
    record: PhantomData<fn() -> R>,
}

impl<R: Record> fmt::Debug for SystemIndex<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SystemIndex<{}>", R::KIND)
    }
}

/// A record found by a system index. It may be gone by the time it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned<Id> {
    /// Whose it is: nobody's of the system's own records, the tenant, or the tenant and the agent.
    pub owner: Vec<Segment>,
    /// Which.
    pub id: Id,
}

/// One page of what a system index found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundSystem<Id> {
    /// Whose records, and which.
    pub rows: Vec<Owned<Id>>,
    /// For the next page; none only at the end.
    pub next: Option<Cursor>,
}

impl<R: Record> SystemIndex<R> {
    /// The system-scope indexes of this kind.
    #[must_use]
    pub fn new(system: &Namespace<System>) -> Self {
        Self {
            system: system.clone(),
            record: PhantomData,
        }
    }

    /// Hints that entries of an index came or went.
    ///
    /// # Errors
    /// `NoIndex` for one declared in the record's own scope; else as [`RecordStore::watch`](crate::RecordStore::watch).
    pub async fn watch(&self, index: R::Index) -> Result<crate::Watch, RecordError> {
        let prefix = prefix_in::<R>(index, IndexScope::System, self.system.root())?;
        Ok(self.system.backend().watch(&prefix).await?)
    }

    /// One page of owners and ids.
    ///
    /// # Errors
    /// `NoIndex` for one declared in the record's own scope; else as [`Records::find`](super::Records::find).
    pub async fn find(&self, query: &Query<R::Index>) -> Result<FoundSystem<R::Id>, RecordError> {
        let prefix = prefix_in::<R>(query.index, IndexScope::System, self.system.root())?;
        is_built::<R>(self.system.combiner(), query.index).await?;
        let (keys, next) = query.keys(self.system.backend(), &prefix).await?;
        let rows = keys
            .iter()
            .filter_map(|key| owned::<R>(&tail_of(key, &prefix)))
            .collect();
        Ok(FoundSystem { rows, next })
    }
}

/// The owner and the id at the end of a system index key, behind the values: the longest id that reads back wins.
fn owned<R: Record>(tail: &[&str]) -> Option<Owned<R::Id>> {
    let names = R::Scope::OWNER_SEGMENTS;
    (names..tail.len()).find_map(|from| {
        let id = R::Id::from_segments(&tail[from..])?;
        let owner = tail[from - names..from].iter().map(|name| Segment::parse(name));
        let owner = owner.collect::<Result<_, _>>().ok()?;
        Some(Owned { owner, id })
    })
}
