//! A store whose commits bring the catalogue's precondition up to date when it was written since.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::known::Known;
use crate::{
    Batch, BusyCause, Capabilities, CloseError, CommitError, Committed, Deadline, Entry, Exported, Failed,
    Health, Key, Listed, LogError, LogHead, Logged, Page, Position, Prefix, ReadError, RecordStore, Stream,
    Watch,
};

/// How often a commit meets another catalogue before it is said to be busy: each time somebody wrote it in between.
const GUARD_ATTEMPTS_MAX: usize = 8;

/// The store below namespaces. A commit that fails for its catalogue rows alone goes again under what they are now, if
/// this build knows all the indexes they list: what it writes follows from the build's declarations, not from the rows.
#[derive(Debug)]
pub(crate) struct Guarded {
    store: Arc<dyn RecordStore>,
    known: Arc<Known>,
}

impl Guarded {
    pub(crate) fn new(store: Arc<dyn RecordStore>, known: Arc<Known>) -> Self {
        Self { store, known }
    }

    async fn commit_guarded(&self, mut batch: Batch, deadline: Deadline) -> Result<Committed, CommitError> {
        for _ in 0..GUARD_ATTEMPTS_MAX {
            let failed = match self.store.commit(batch.clone(), deadline).await {
                Err(CommitError::Conflict { failed }) => failed,
                other => return other,
            };
            let is_guard = |failed: &Failed| batch.checks.iter().any(|check| check.key == failed.key);
            let is_guard = |failed: &Failed| self.known.is_guard(&failed.key) && is_guard(failed);
            let (guards, others): (Vec<Failed>, Vec<Failed>) = failed.into_iter().partition(is_guard);
            for guard in &guards {
                self.known.refresh(&*self.store, &guard.key).await?;
            }
            if guards.is_empty() || !others.is_empty() {
                return Err(CommitError::Conflict { failed: others });
            }
            for check in &mut batch.checks {
                if let Some(now) = self.known.expected(&check.key) {
                    check.expected = now;
                }
            }
        }
        Err(CommitError::Busy {
            cause: BusyCause::Contention,
        })
    }
}

impl fmt::Display for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl RecordStore for Guarded {
    fn capabilities(&self, at: &Prefix) -> Capabilities {
        self.store.capabilities(at)
    }

    async fn get(&self, key: &Key) -> Result<Option<Entry>, ReadError> {
        self.store.get(key).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, ReadError> {
        self.store.get_many(keys).await
    }

    async fn list(&self, page: &Page) -> Result<Listed, ReadError> {
        self.store.list(page).await
    }

    async fn list_many(&self, pages: &[Page]) -> Result<Vec<Listed>, ReadError> {
        self.store.list_many(pages).await
    }

    async fn commit(&self, batch: Batch, deadline: Deadline) -> Result<Committed, CommitError> {
        if batch.checks.iter().any(|check| self.known.is_guard(&check.key)) {
            return self.commit_guarded(batch, deadline).await;
        }
        self.store.commit(batch, deadline).await
    }

    async fn tail(&self, log: &Stream, after: Position, limit: usize) -> Result<Vec<Logged>, LogError> {
        self.store.tail(log, after, limit).await
    }

    async fn head(&self, log: &Stream) -> Result<LogHead, LogError> {
        self.store.head(log).await
    }

    async fn heads(
        &self,
        under: &Prefix,
        after: Option<&Stream>,
        limit: usize,
    ) -> Result<Vec<(Stream, LogHead)>, LogError> {
        self.store.heads(under, after, limit).await
    }

    async fn truncate(&self, log: &Stream, before: Position) -> Result<Position, LogError> {
        self.store.truncate(log, before).await
    }

    async fn watch(&self, prefix: &Prefix) -> Result<Watch, ReadError> {
        self.store.watch(prefix).await
    }

    fn export(&self, prefix: &Prefix) -> BoxStream<'static, Result<Exported, ReadError>> {
        self.store.export(prefix)
    }

    async fn health(&self) -> Health {
        self.store.health().await
    }

    async fn close(&self, deadline: Deadline) -> Result<(), CloseError> {
        self.store.close(deadline).await
    }
}
