//! Reading and emptying the two stores of bad rows.

use bytes::Bytes;

use super::bad_row::{Copied, Kept, KeptRow, Moved};
use super::{
    BadRow, BadRowId, BadRowIndex, BadStore, Cursor, Query, RecordError, RecordId, Records, Versioned,
};
use crate::Key;
use crate::namespace::{Namespace, Scope, ScopedBatch, System};

pub(super) fn bytes_key<S: Scope>(
    namespace: &Namespace<S>,
    store: BadStore,
    id: &BadRowId,
) -> Result<Key, RecordError> {
    let key = namespace.at(&["r", store.place()]).key(&id.segments());
    key.map_err(|cause| {
        RecordError::invalid::<KeptRow<System, Moved>>(&id.to_string(), "id", &cause.to_string())
    })
}

/// One page of bad rows that are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPage {
    /// By when they were found.
    pub rows: Vec<BadRow>,
    /// For the next page; none only at the end.
    pub next: Option<Cursor>,
}

/// Both stores of bad rows in one namespace. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct BadRows<S: Scope>(Namespace<S>);

impl<S: Scope> BadRows<S> {
    /// Those of a namespace.
    #[must_use]
    pub fn new(namespace: &Namespace<S>) -> Self {
        Self(namespace.clone())
    }

    /// One page of a store, the first found first; `limit` is 1 to [`PAGE_MAX`](crate::PAGE_MAX).
    ///
    /// # Errors
    /// As [`Records::find`].
    pub async fn list(
        &self,
        store: BadStore,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<KeptPage, RecordError> {
        match store {
            BadStore::DeadLetter => self.page::<Moved>(after, limit).await,
            BadStore::Quarantine => self.page::<Copied>(after, limit).await,
        }
    }

    async fn page<K: Kept>(&self, after: Option<Cursor>, limit: usize) -> Result<KeptPage, RecordError> {
        let query = Query::of(BadRowIndex::At).after(after).limit(limit);
        let found = Records::<KeptRow<S, K>>::new(&self.0).find(&query).await?;
        let row = |row: Versioned<KeptRow<S, K>>| row.into_inner().row;
        Ok(KeptPage {
            rows: found.rows.into_iter().map(row).collect(),
            next: found.next,
        })
    }

    /// A kept row with the bytes it had.
    ///
    /// # Errors
    /// As [`Records::get`].
    pub async fn get(&self, store: BadStore, id: &BadRowId) -> Result<Option<(BadRow, Bytes)>, RecordError> {
        let row = match store {
            BadStore::DeadLetter => self.row::<Moved>(id).await?.map(|row| row.into_inner().row),
            BadStore::Quarantine => self.row::<Copied>(id).await?.map(|row| row.into_inner().row),
        };
        let Some(row) = row else { return Ok(None) };
        let bytes = self.0.backend().get(&bytes_key(&self.0, store, id)?).await?;
        Ok(bytes.map(|entry| (row, entry.value)))
    }

    async fn row<K: Kept>(&self, id: &BadRowId) -> Result<Option<Versioned<KeptRow<S, K>>>, RecordError> {
        Records::<KeptRow<S, K>>::new(&self.0).get(id).await
    }

    /// Adds to a batch that a kept row goes, with its bytes; whether there is one.
    ///
    /// # Errors
    /// As any read.
    pub async fn stage_drop(
        &self,
        batch: &mut ScopedBatch<S>,
        store: BadStore,
        id: &BadRowId,
    ) -> Result<bool, RecordError> {
        match store {
            BadStore::DeadLetter => self.stage_drop_of::<Moved>(batch, id).await,
            BadStore::Quarantine => self.stage_drop_of::<Copied>(batch, id).await,
        }
    }

    async fn stage_drop_of<K: Kept>(
        &self,
        batch: &mut ScopedBatch<S>,
        id: &BadRowId,
    ) -> Result<bool, RecordError> {
        let Some(read) = self.row::<K>(id).await? else {
            return Ok(false);
        };
        let rows = Records::<KeptRow<S, K>>::new(&self.0);
        rows.stage_remove(batch, &read).await?;
        let bytes = self.0.backend().get(&bytes_key(&self.0, K::STORE, id)?).await?;
        if let Some(entry) = bytes {
            batch.of(self.0.root()).delete(entry.key, entry.version);
        }
        Ok(true)
    }
}
