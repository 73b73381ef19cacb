//! Reading the system-scope index entries of tenants' records: what must be found without listing tenants.

use std::fmt;
use std::marker::PhantomData;

use super::find::{owner_and_id, tail_of};
use super::index::{declared, system_prefix};
use super::{Cursor, IndexScope, Query, Record, RecordError};
use crate::Segment;
use crate::namespace::{Namespace, System};

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

/// One page of what a system index found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundSystem<Id> {
    /// Whose record, and which. It may be gone by the time it is read.
    pub rows: Vec<(Segment, Id)>,
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

    /// One page of tenants and ids.
    ///
    /// # Errors
    /// `NoIndex` for one not declared in system scope; else as [`Records::find`](super::Records::find).
    pub async fn find(&self, query: &Query) -> Result<FoundSystem<R::Id>, RecordError> {
        if declared::<R>(query.index)?.scope != IndexScope::System {
            return Err(RecordError::NoIndex {
                kind: R::KIND,
                index: query.index.to_owned(),
            });
        }
        let prefix = system_prefix::<R>(query.index);
        let (keys, next) = query.keys(self.system.backend(), &prefix).await?;
        let rows = keys
            .iter()
            .filter_map(|key| owner_and_id::<R>(&tail_of(key, &prefix)))
            .collect();
        Ok(FoundSystem { rows, next })
    }
}
