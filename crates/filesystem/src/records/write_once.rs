//! Records that are created and read, and never changed: outcomes have no update call.

use super::{Record, RecordError, Records, Versioned};
use crate::namespace::{Namespace, ScopedBatch};

/// [`Records`] without replacement and removal.
#[derive(Debug)]
pub struct WriteOnce<R: Record>(Records<R>);

impl<R: Record> Clone for WriteOnce<R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<R: Record> WriteOnce<R> {
    /// The records of this kind in a namespace.
    #[must_use]
    pub fn new(namespace: &Namespace<R::Scope>) -> Self {
        Self(Records::new(namespace))
    }

    /// The record of this id, if there is one.
    ///
    /// # Errors
    /// As [`Records::get`].
    pub async fn get(&self, id: &R::Id) -> Result<Option<Versioned<R>>, RecordError> {
        self.0.get(id).await
    }

    /// The records of these ids, in their order.
    ///
    /// # Errors
    /// As [`Records::get_many`].
    pub async fn get_many(&self, ids: &[R::Id]) -> Result<Vec<Option<Versioned<R>>>, RecordError> {
        self.0.get_many(ids).await
    }

    /// One page of what an index finds.
    ///
    /// # Errors
    /// As [`Records::find`].
    pub async fn find(&self, query: &super::Query<R::Index>) -> Result<super::Found<R>, RecordError> {
        self.0.find(query).await
    }

    /// What was read with something else to be shown of it. What is stored stays: nothing replaces it.
    #[must_use]
    pub fn shown(read: Versioned<R>, show: impl FnOnce(R) -> R) -> Versioned<R> {
        Versioned {
            record: show(read.record),
            version: read.version,
            key: read.key,
        }
    }

    /// Adds its creation to a batch.
    ///
    /// # Errors
    /// As [`Records::stage_create`].
    pub fn stage_create(&self, batch: &mut ScopedBatch<R::Scope>, record: &R) -> Result<(), RecordError> {
        self.0.stage_create(batch, record)
    }
}
