//! The keys of a tenant: what was done under them, and what was answered.

use std::sync::Arc;

use dormouse_filesystem::{CommitError, RecordError, Records, Versioned};

use super::stage::look;
use super::{IdempotencyRow, Once};
use crate::CommandError;
use crate::core::Core;
use crate::limits::IDEMPOTENCY_ANSWER_MAX;

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
