//! A store of a test's own that stands between its user and another one.

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::{
    Batch, Capabilities, CloseError, CommitError, Committed, Deadline, Entry, Exported, Health, Key, Listed,
    LogError, LogHead, Logged, Page, Position, Prefix, ReadError, RecordStore, Stream, Watch,
};

/// What stands between a user and a store: whatever it does not say itself goes to the store beneath.
///
/// [`between!`](crate::between) makes a [`RecordStore`] of it. For tests: a store that a program stands on says each
/// operation itself, so that a new one is not passed over.
#[async_trait]
#[expect(missing_docs, reason = "each is the operation of `RecordStore` of its name")]
pub trait Between: Send + Sync {
    /// The store beneath.
    fn beneath(&self) -> &dyn RecordStore;

    fn capabilities(&self, at: &Prefix) -> Capabilities {
        self.beneath().capabilities(at)
    }

    async fn get(&self, key: &Key) -> Result<Option<Entry>, ReadError> {
        self.beneath().get(key).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, ReadError> {
        self.beneath().get_many(keys).await
    }

    async fn list(&self, page: &Page) -> Result<Listed, ReadError> {
        self.beneath().list(page).await
    }

    async fn list_many(&self, pages: &[Page]) -> Result<Vec<Listed>, ReadError> {
        self.beneath().list_many(pages).await
    }

    async fn commit(&self, batch: Batch, deadline: Deadline) -> Result<Committed, CommitError> {
        self.beneath().commit(batch, deadline).await
    }

    async fn tail(&self, log: &Stream, after: Position, limit: usize) -> Result<Vec<Logged>, LogError> {
        self.beneath().tail(log, after, limit).await
    }

    async fn head(&self, log: &Stream) -> Result<LogHead, LogError> {
        self.beneath().head(log).await
    }

    async fn heads(
        &self,
        under: &Prefix,
        after: Option<&Stream>,
        limit: usize,
    ) -> Result<Vec<(Stream, LogHead)>, LogError> {
        self.beneath().heads(under, after, limit).await
    }

    async fn truncate(&self, log: &Stream, before: Position) -> Result<Position, LogError> {
        self.beneath().truncate(log, before).await
    }

    async fn watch(&self, prefix: &Prefix) -> Result<Watch, ReadError> {
        self.beneath().watch(prefix).await
    }

    fn export(&self, prefix: &Prefix) -> BoxStream<'static, Result<Exported, ReadError>> {
        self.beneath().export(prefix)
    }

    async fn health(&self) -> Health {
        self.beneath().health().await
    }

    async fn close(&self, deadline: Deadline) -> Result<(), CloseError> {
        self.beneath().close(deadline).await
    }
}

/// Makes a [`RecordStore`] of a type that is [`Between`]. Its crate has `async-trait` and
/// `futures`.
#[macro_export]
macro_rules! between {
    ($store:ty) => {
        #[::async_trait::async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl $crate::RecordStore for $store {
            fn capabilities(&self, at: &$crate::Prefix) -> $crate::Capabilities {
                $crate::wrapper::Between::capabilities(self, at)
            }

            async fn get(&self, key: &$crate::Key) -> Result<Option<$crate::Entry>, $crate::ReadError> {
                $crate::wrapper::Between::get(self, key).await
            }

            async fn get_many(
                &self,
                keys: &[$crate::Key],
            ) -> Result<Vec<Option<$crate::Entry>>, $crate::ReadError> {
                $crate::wrapper::Between::get_many(self, keys).await
            }

            async fn list(&self, page: &$crate::Page) -> Result<$crate::Listed, $crate::ReadError> {
                $crate::wrapper::Between::list(self, page).await
            }

            async fn list_many(
                &self,
                pages: &[$crate::Page],
            ) -> Result<Vec<$crate::Listed>, $crate::ReadError> {
                $crate::wrapper::Between::list_many(self, pages).await
            }

            async fn commit(
                &self,
                batch: $crate::Batch,
                deadline: $crate::Deadline,
            ) -> Result<$crate::Committed, $crate::CommitError> {
                $crate::wrapper::Between::commit(self, batch, deadline).await
            }

            async fn tail(
                &self,
                log: &$crate::Stream,
                after: $crate::Position,
                limit: usize,
            ) -> Result<Vec<$crate::Logged>, $crate::LogError> {
                $crate::wrapper::Between::tail(self, log, after, limit).await
            }

            async fn head(&self, log: &$crate::Stream) -> Result<$crate::LogHead, $crate::LogError> {
                $crate::wrapper::Between::head(self, log).await
            }

            async fn heads(
                &self,
                under: &$crate::Prefix,
                after: Option<&$crate::Stream>,
                limit: usize,
            ) -> Result<Vec<($crate::Stream, $crate::LogHead)>, $crate::LogError> {
                $crate::wrapper::Between::heads(self, under, after, limit).await
            }

            async fn truncate(
                &self,
                log: &$crate::Stream,
                before: $crate::Position,
            ) -> Result<$crate::Position, $crate::LogError> {
                $crate::wrapper::Between::truncate(self, log, before).await
            }

            async fn watch(&self, prefix: &$crate::Prefix) -> Result<$crate::Watch, $crate::ReadError> {
                $crate::wrapper::Between::watch(self, prefix).await
            }

            fn export(
                &self,
                prefix: &$crate::Prefix,
            ) -> ::futures::stream::BoxStream<'static, Result<$crate::Exported, $crate::ReadError>> {
                $crate::wrapper::Between::export(self, prefix)
            }

            async fn health(&self) -> $crate::Health {
                $crate::wrapper::Between::health(self).await
            }

            async fn close(&self, deadline: $crate::Deadline) -> Result<(), $crate::CloseError> {
                $crate::wrapper::Between::close(self, deadline).await
            }
        }
    };
}
