//! Looking at what was set aside, and emptying it.

use std::sync::Arc;

use bytes::Bytes;
use dormouse_filesystem::{BadRow, BadRowId, BadRows, BadStore, Cursor, KeptPage};

use crate::core::Core;
use crate::draft::Verdict;
use crate::{CommandError, Principal};

/// A tenant's rows that could not be believed, as they were kept.
#[derive(Debug, Clone)]
pub struct BadRecords {
    core: Arc<Core>,
}

impl BadRecords {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        let core = Arc::clone(core);
        Self { core }
    }

    /// One page of a store, the first found first; `limit` is 1 to 1,000.
    ///
    /// # Errors
    /// `CursorScope`; as any list.
    pub async fn list(
        &self,
        store: BadStore,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<KeptPage, CommandError> {
        Ok(BadRows::new(&self.core.space).list(store, after, limit).await?)
    }

    /// One of them, with its bytes as they were.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn get(&self, store: BadStore, id: &BadRowId) -> Result<(BadRow, Bytes), CommandError> {
        let kept = BadRows::new(&self.core.space).get(store, id).await?;
        kept.ok_or_else(|| CommandError::not_found("bad row", id))
    }

    /// Throws one of them away, with its bytes. The row it is a copy of stays.
    ///
    /// # Errors
    /// `NotFound`; as any commit.
    pub async fn discard(&self, by: &Principal, store: BadStore, id: &BadRowId) -> Result<(), CommandError> {
        let rows = &BadRows::new(&self.core.space);
        let done = self.core.command(by, |mut draft| async move {
            match rows.stage_drop(draft.batch(), store, id).await? {
                true => Ok(Verdict::Commit(draft, ())),
                false => Err(CommandError::not_found("bad row", id)),
            }
        });
        done.await.map(|done| done.answer)
    }
}
