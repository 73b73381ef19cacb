//! A store behind a pointer is that store.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::{
    Batch, Capabilities, CloseError, CommitError, Committed, Deadline, Entry, Exported, Health, Key, Listed,
    LogError, LogHead, Logged, Page, Position, Prefix, ReadError, RecordStore, Stream, Watch,
};

macro_rules! held {
    ($($holder:ident),*) => {$(
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<T: RecordStore + ?Sized> RecordStore for $holder<T> {
            fn capabilities(&self, at: &Prefix) -> Capabilities {
                (**self).capabilities(at)
            }

            async fn get(&self, key: &Key) -> Result<Option<Entry>, ReadError> {
                (**self).get(key).await
            }

            async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, ReadError> {
                (**self).get_many(keys).await
            }

            async fn list(&self, page: &Page) -> Result<Listed, ReadError> {
                (**self).list(page).await
            }

            async fn list_many(&self, pages: &[Page]) -> Result<Vec<Listed>, ReadError> {
                (**self).list_many(pages).await
            }

            async fn commit(&self, batch: Batch, deadline: Deadline) -> Result<Committed, CommitError> {
                (**self).commit(batch, deadline).await
            }

            async fn tail(
                &self,
                log: &Stream,
                after: Position,
                limit: usize,
            ) -> Result<Vec<Logged>, LogError> {
                (**self).tail(log, after, limit).await
            }

            async fn head(&self, log: &Stream) -> Result<LogHead, LogError> {
                (**self).head(log).await
            }

            async fn heads(
                &self,
                under: &Prefix,
                after: Option<&Stream>,
                limit: usize,
            ) -> Result<Vec<(Stream, LogHead)>, LogError> {
                (**self).heads(under, after, limit).await
            }

            async fn truncate(&self, log: &Stream, before: Position) -> Result<Position, LogError> {
                (**self).truncate(log, before).await
            }

            async fn watch(&self, prefix: &Prefix) -> Result<Watch, ReadError> {
                (**self).watch(prefix).await
            }

            fn export(&self, prefix: &Prefix) -> BoxStream<'static, Result<Exported, ReadError>> {
                (**self).export(prefix)
            }

            async fn health(&self) -> Health {
                (**self).health().await
            }

            async fn close(&self, deadline: Deadline) -> Result<(), CloseError> {
                (**self).close(deadline).await
            }
        }
    )*};
}
held!(Arc, Box);
