//! The keys of a tenant: what was done under them, what was answered, and forgetting them.

use std::sync::Arc;

use dormouse_filesystem::{CommitError, IndexValue, Query, RecordError, Records, SystemIndex, Versioned};
use jiff::Timestamp;

use super::stage::look;
use super::{IdempotencyIndex, IdempotencyRow, Once};
use crate::CommandError;
use crate::core::Core;
use crate::engine::Engine;
use crate::found::{just_after, of_tenant};
use crate::limits::{IDEMPOTENCY_ANSWER_MAX, IDEMPOTENCY_PAGE};

/// A tenant's idempotency keys.
#[derive(Debug, Clone)]
pub struct Idempotency {
    core: Arc<Core>,
    rows: Records<IdempotencyRow>,
}

impl Idempotency {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        Self {
            core: Arc::clone(core),
            rows: Records::new(&core.space),
        }
    }

    /// What was done under a key, if anything was.
    ///
    /// # Errors
    /// `KeyReused` when another request was made under it; as any read.
    pub async fn stored(&self, once: &Once) -> Result<Option<Versioned<IdempotencyRow>>, CommandError> {
        let now = self.core.environment.clock.now();
        Ok(look(&self.core, once, now).await?.ok())
    }

    /// Keeps what was answered, and says what is answered from now on: what was kept first. One over 64 KiB is not kept.
    ///
    /// # Errors
    /// As any read and commit: then nothing is kept.
    pub async fn keep(&self, once: &Once, answer: String) -> Result<String, CommandError> {
        // Ends with an answer that is kept, or when there is nothing to keep it in.
        loop {
            let Some(read) = self.stored(once).await? else {
                return Ok(answer);
            };
            if let Some(first) = &read.answer {
                return Ok(first.clone());
            }
            if answer.len() > IDEMPOTENCY_ANSWER_MAX {
                return Ok(answer);
            }
            let kept = IdempotencyRow {
                answer: Some(answer.clone()),
                ..IdempotencyRow::clone(&read)
            };
            match self.rows.replace(&read, &kept).await {
                Ok(_) => return Ok(answer),
                // Another who asked the same was faster.
                Err(RecordError::Commit(CommitError::Conflict { .. })) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Forgets a key, when what was done under it was undone: the next try is judged afresh.
    ///
    /// # Errors
    /// As any read and commit.
    pub async fn undone(&self, once: &Once) -> Result<(), CommandError> {
        if let Some(read) = self.stored(once).await? {
            self.rows.remove(&read).await?;
        }
        once.close();
        Ok(())
    }
}

/// Forgets a page of the keys of all tenants whose time is over. How many, and whether there are more.
pub(crate) async fn forget_expired(engine: &Engine, now: Timestamp) -> Result<(usize, bool), CommandError> {
    let until = just_after(now).map(IndexValue::instant);
    let query = Query::of(IdempotencyIndex::Expiry)
        .range(None, until)
        .limit(IDEMPOTENCY_PAGE);
    let page = SystemIndex::<IdempotencyRow>::new(engine.system())
        .find(&query)
        .await?;
    let is_more = page.next.is_some();
    let mut forgotten = 0;
    for (tenant, key) in page.rows.into_iter().filter_map(of_tenant) {
        let rows = Records::<IdempotencyRow>::new(engine.handle(&tenant).space());
        match forget(&rows, &key, now).await {
            Ok(was_there) => forgotten += usize::from(was_there),
            Err(error) if crate::due::is_of_store(&error) => return Err(error),
            Err(error) => tracing::warn!(%tenant, %key, %error, "a key was not forgotten"),
        }
    }
    // Rows that cannot be believed stay, and would be found again at once.
    Ok((forgotten, is_more && forgotten > 0))
}

async fn forget(
    rows: &Records<IdempotencyRow>,
    key: &super::IdempotencyId,
    now: Timestamp,
) -> Result<bool, CommandError> {
    let Some(read) = rows.get(key).await?.filter(|row| row.expires_at <= now) else {
        return Ok(false);
    };
    match rows.remove(&read).await {
        Ok(()) => Ok(true),
        // Somebody used it anew.
        Err(RecordError::Commit(CommitError::Conflict { .. })) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
