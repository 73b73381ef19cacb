//! The router as a store.

use async_trait::async_trait;
use futures::future::{join_all, try_join_all};
use futures::stream::BoxStream;

use super::Router;
use super::route::narrower;
use crate::export::refused;
use crate::page;
use crate::{
    Batch, Capabilities, CloseError, CommitError, Committed, Deadline, Entry, Exported, GET_MANY_MAX, Health,
    Key, Listed, LogError, LogHead, Logged, Page, Position, Prefix, ReadError, RecordStore, State, Stream,
    Watch,
};

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl RecordStore for Router {
    fn capabilities(&self, at: &Prefix) -> Capabilities {
        self.promised(at)
    }

    async fn get(&self, key: &Key) -> Result<Option<Entry>, ReadError> {
        self.read_at(key)?.get(key).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, ReadError> {
        if keys.len() > GET_MANY_MAX {
            return Err(ReadError::Invalid {
                reason: "at most 256 records are read at once",
            });
        }
        for key in keys {
            self.read_at(key)?;
        }
        let mut found = vec![None; keys.len()];
        for mount in &self.mounts {
            let is_own = |key: &Key| self.mount_of(key).is_some_and(|own| own.prefix == mount.prefix);
            let own: Vec<usize> = (0..keys.len()).filter(|at| is_own(&keys[*at])).collect();
            if own.is_empty() {
                continue;
            }
            let asked: Vec<Key> = own.iter().map(|at| keys[*at].clone()).collect();
            for (at, entry) in own.into_iter().zip(mount.store.get_many(&asked).await?) {
                found[at] = entry;
            }
        }
        Ok(found)
    }

    async fn list(&self, page: &Page) -> Result<Listed, ReadError> {
        self.list_all(page).await
    }

    async fn list_many(&self, pages: &[Page]) -> Result<Vec<Listed>, ReadError> {
        page::validate_many(pages)?;
        // Together, so that the trips to several mounts are on their way at once.
        try_join_all(pages.iter().map(|page| self.list_all(page))).await
    }

    async fn commit(&self, batch: Batch, deadline: Deadline) -> Result<Committed, CommitError> {
        batch.validate()?;
        self.mount_of_batch(&batch)?.commit(batch, deadline).await
    }

    async fn tail(&self, log: &Stream, after: Position, limit: usize) -> Result<Vec<Logged>, LogError> {
        self.read_at(log.key())?.tail(log, after, limit).await
    }

    async fn head(&self, log: &Stream) -> Result<LogHead, LogError> {
        self.read_at(log.key())?.head(log).await
    }

    async fn heads(
        &self,
        under: &Prefix,
        after: Option<&Stream>,
        limit: usize,
    ) -> Result<Vec<(Stream, LogHead)>, LogError> {
        self.heads_all(under, after, limit).await
    }

    async fn truncate(&self, log: &Stream, before: Position) -> Result<Position, LogError> {
        self.write_at(log.key())?.truncate(log, before).await
    }

    async fn watch(&self, prefix: &Prefix) -> Result<Watch, ReadError> {
        let mut watches = Vec::new();
        for mount in self.mounts_below(prefix)? {
            watches.push(mount.store.watch(narrower(&mount.prefix, prefix)).await?);
        }
        Ok(Watch::merged(watches))
    }

    /// Over several mounts there is no one commit point.
    fn export(&self, prefix: &Prefix) -> BoxStream<'static, Result<Exported, ReadError>> {
        match self.mounts_below(prefix) {
            Ok(mounts) => match mounts.as_slice() {
                [mount] => mount.store.export(narrower(&mount.prefix, prefix)),
                _ => refused(ReadError::Unsupported {
                    capability: "one commit point over several stores",
                }),
            },
            Err(error) => refused(error),
        }
    }

    async fn health(&self) -> Health {
        let each = join_all(self.mounts.iter().map(|mount| mount.store.health())).await;
        let mut all = Health {
            state: State::Open,
            queued: 0,
            bytes: 0,
            commits: 0,
            flushes: 0,
            reads_at_once: 0,
            notices: Vec::new(),
        };
        for (mount, health) in self.mounts.iter().zip(each) {
            if let State::Closed { .. } = health.state {
                all.state = health.state;
            }
            all.queued += health.queued;
            all.bytes += health.bytes;
            all.commits += health.commits;
            all.flushes += health.flushes;
            all.reads_at_once += health.reads_at_once;
            let told = health
                .notices
                .into_iter()
                .map(|notice| format!("at /{}: {notice}", mount.prefix));
            all.notices.extend(told);
        }
        all
    }

    async fn close(&self, deadline: Deadline) -> Result<(), CloseError> {
        let each = join_all(self.mounts.iter().map(|mount| mount.store.close(deadline))).await;
        let unacknowledged: usize = each
            .iter()
            .map(|closed| match closed {
                Ok(()) => 0,
                Err(CloseError::Deadline { unacknowledged }) => *unacknowledged,
            })
            .sum();
        if each.iter().all(Result::is_ok) {
            Ok(())
        } else {
            Err(CloseError::Deadline { unacknowledged })
        }
    }
}
