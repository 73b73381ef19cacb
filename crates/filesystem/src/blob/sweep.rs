//! Giving back the space of blobs that are nobody's: page by page, from rows that say so until the last chunk is gone.

use jiff::Timestamp;

use super::row::{Phase, Removed, Row, Staged, SweepIndex};
use super::{BlobError, BlobId, Blobs, chunk};
use crate::namespace::Scope;
use crate::{
    CommitError, IndexValue, Item, PAGE_MAX, Page, Query, ReadError, RecordError, Records, Versioned, Want,
};

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Blobs whose space was given back.
    pub purged: usize,
    /// Whether there may be more: sweep again.
    pub is_more: bool,
}

impl<S: Scope> Blobs<S> {
    /// Gives back the space of blobs that were removed, and of those staged until before `now`, at most `limit` (1
    /// to [`PAGE_MAX`]) of each. Idle costs two reads.
    ///
    /// # Errors
    /// As any read or commit; the next sweep goes on where this one ended.
    pub async fn sweep(&self, now: Timestamp, limit: usize) -> Result<Swept, BlobError> {
        let (overdue, more_staged) = due(&self.staged, now, limit).await?;
        for staged in &overdue {
            self.give_up(staged).await?;
        }
        let (removed, more_removed) = due(&self.removed, now, limit).await?;
        let mut purged = 0;
        for row in &removed {
            purged += usize::from(self.purge_row(row).await?);
        }
        Ok(Swept {
            purged,
            is_more: more_staged || more_removed,
        })
    }

    /// Gives back the space of one removed blob, at once. True when this call ended it.
    ///
    /// # Errors
    /// As any read or commit; a sweep goes on where it ended.
    pub async fn purge(&self, id: &BlobId) -> Result<bool, BlobError> {
        match self.removed.get(id).await? {
            Some(row) => self.purge_row(&row).await,
            None => Ok(false),
        }
    }

    /// A staged blob is removed. Whoever attaches it meanwhile was first, or conflicts.
    async fn give_up(&self, staged: &Versioned<Row<S, Staged>>) -> Result<(), BlobError> {
        let mut batch = self.namespace.batch();
        self.staged.stage_remove(&mut batch, staged).await?;
        self.removed.stage_create(&mut batch, &staged.in_phase())?;
        let removed = self.namespace.commit(batch).await;
        unless_another_did(removed.map_err(Into::into)).map(drop)
    }

    async fn purge_row(&self, row: &Versioned<Row<S, Removed>>) -> Result<bool, BlobError> {
        // Ends with an empty page.
        while let Some(page) = self.chunks_left(row.id).await? {
            let mut batch = self.namespace.batch();
            for item in page {
                let Item::Key { key, version } = item else {
                    return Err(ReadError::Corrupt {
                        key: item.key().clone(),
                    }
                    .into());
                };
                batch.of(self.namespace.root()).delete(key, version);
            }
            if !unless_another_did(self.namespace.commit(batch).await.map_err(Into::into))? {
                return Ok(false);
            }
        }
        unless_another_did(self.removed.remove(row).await.map_err(Into::into))
    }

    async fn chunks_left(&self, id: BlobId) -> Result<Option<Vec<Item>>, BlobError> {
        let page = Page {
            want: Want::Keys,
            limit: PAGE_MAX,
            ..Page::of(chunk::place(&self.namespace, id))
        };
        let listed = self.namespace.backend().list(&page).await?;
        Ok((!listed.items.is_empty()).then_some(listed.items))
    }
}

/// Rows that are due at a time, the longest due first, and whether there are more.
async fn due<S: Scope, P: Phase<Index = SweepIndex>>(
    rows: &Records<Row<S, P>>,
    now: Timestamp,
    limit: usize,
) -> Result<(Vec<Versioned<Row<S, P>>>, bool), BlobError> {
    let query = Query::of(SweepIndex::Until)
        .range(None, Some(IndexValue::instant(now)))
        .limit(limit);
    let found = rows.find(&query).await?;
    Ok((found.rows, found.next.is_some()))
}

/// Whether it was done; false when another sweeper was first, who goes on with it.
fn unless_another_did<T>(done: Result<T, BlobError>) -> Result<bool, BlobError> {
    match done {
        Ok(_) => Ok(true),
        Err(
            BlobError::Commit(CommitError::Conflict { .. })
            | BlobError::Record(RecordError::Commit(CommitError::Conflict { .. })),
        ) => Ok(false),
        Err(error) => Err(error),
    }
}
