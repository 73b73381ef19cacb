//! The trait, over queue and pool.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use tokio::time::timeout_at;

use super::export::Exporting;
use super::queue::Ticket;
use super::shared::Shared;
use super::{Postgres, SHUT_DOWN, read, truncate};
use crate::export::paged;
use crate::judge::judge;
use crate::{
    Batch, BusyCause, Capabilities, CloseError, CommitError, Committed, Deadline, Entry, Exported,
    GET_MANY_MAX, Health, Key, Lane, Listed, LogError, LogHead, Logged, Page, Position, Prefix, ReadError,
    RecordStore, Stream, Watch, capability,
};

/// A commit that waits: withdrawn when its caller goes away.
struct Waiter<'a> {
    shared: &'a Shared,
    ticket: Arc<Ticket>,
    lane: Lane,
    is_answered: bool,
}

impl Waiter<'_> {
    /// Takes the commit back; false when it is under way, or answered.
    fn withdraw(&mut self) -> bool {
        self.is_answered = true;
        let is_withdrawn = self.ticket.withdraw();
        if is_withdrawn {
            self.shared.queue.sweep(&self.lane);
        }
        is_withdrawn
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            self.withdraw();
        }
    }
}

impl Postgres {
    /// Checks alone are judged at one read point, lock nothing and write nothing.
    async fn check(&self, batch: &Batch, deadline: Deadline) -> Result<Committed, CommitError> {
        if let Some(reason) = self.shared.queue.refusal() {
            return Err(CommitError::Closed { reason });
        }
        let keys: Vec<&str> = batch.keys().map(|(key, _)| key.stored()).collect();
        let read = timeout_at(deadline.instant(), read::versions(&self.shared, &keys)).await;
        let versions = match read {
            Ok(Ok(versions)) => versions,
            Ok(Err(error)) => {
                return Err(CommitError::Unavailable {
                    source: Some(Box::new(error)),
                });
            }
            Err(_) => return Err(busy_deadline()),
        };
        judge(batch, |key| versions.get(key.stored()).copied(), |_| None)?;
        Ok(Committed {
            version: None,
            positions: Vec::new(),
        })
    }
}

/// What every store on a server promises.
pub(super) const PROMISED: Capabilities = Capabilities {
    atomicity: capability::Atomicity::Batch,
    reach: capability::Reach::Cluster,
    durability: capability::Durability::PowerLoss,
    listing: capability::Listing::Ordered,
    logs: capability::Logs::CommitOrdered,
    export: capability::Export::Snapshot,
    watch: capability::Watch::Shared,
};

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl RecordStore for Postgres {
    fn capabilities(&self, _at: &Prefix) -> Capabilities {
        PROMISED
    }

    async fn get(&self, key: &Key) -> Result<Option<Entry>, ReadError> {
        read::get(&self.shared, key).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, ReadError> {
        if keys.len() > GET_MANY_MAX {
            return Err(ReadError::Invalid {
                reason: "at most 256 records are read at once",
            });
        }
        read::get_many(&self.shared, keys).await
    }

    async fn list(&self, page: &Page) -> Result<Listed, ReadError> {
        read::list(&self.shared, page).await
    }

    async fn list_many(&self, pages: &[Page]) -> Result<Vec<Listed>, ReadError> {
        read::list_many(&self.shared, pages).await
    }

    async fn commit(&self, batch: Batch, deadline: Deadline) -> Result<Committed, CommitError> {
        batch.validate()?;
        if deadline.has_passed() {
            return Err(busy_deadline());
        }
        if !batch.writes() {
            return self.check(&batch, deadline).await;
        }
        let lane = batch.lane.clone();
        let (ticket, mut answered) = self.shared.queue.submit(batch, deadline.instant())?;
        let mut waiter = Waiter {
            shared: &self.shared,
            ticket,
            lane,
            is_answered: false,
        };
        let answer = timeout_at(deadline.instant(), &mut answered).await;
        match answer {
            Ok(Ok(answer)) => {
                waiter.is_answered = true;
                answer
            }
            // The task that had it is gone.
            Ok(Err(_)) if waiter.withdraw() => Err(CommitError::Closed { reason: SHUT_DOWN }),
            Ok(Err(_)) => Err(CommitError::Indeterminate { source: None }),
            Err(_) if waiter.withdraw() => Err(busy_deadline()),
            // It was sent: to be answered in a moment, or to be lost sight of.
            Err(_) => answered
                .try_recv()
                .unwrap_or(Err(CommitError::Indeterminate { source: None })),
        }
    }

    async fn tail(&self, log: &Stream, after: Position, limit: usize) -> Result<Vec<Logged>, LogError> {
        read::tail(&self.shared, log, after, limit).await
    }

    async fn head(&self, log: &Stream) -> Result<LogHead, LogError> {
        Ok(read::head(&self.shared, log).await?)
    }

    async fn heads(
        &self,
        under: &Prefix,
        after: Option<&Stream>,
        limit: usize,
    ) -> Result<Vec<(Stream, LogHead)>, LogError> {
        Ok(read::heads(&self.shared, under, after, limit).await?)
    }

    async fn truncate(&self, log: &Stream, before: Position) -> Result<Position, LogError> {
        truncate::truncate(&self.shared, log, before).await
    }

    async fn watch(&self, prefix: &Prefix) -> Result<Watch, ReadError> {
        self.shared.watches.watch(prefix)
    }

    fn export(&self, prefix: &Prefix) -> BoxStream<'static, Result<Exported, ReadError>> {
        paged(
            Exporting::begin(Arc::clone(&self.shared), prefix.clone()),
            self.shared.export_idle,
        )
    }

    async fn health(&self) -> Health {
        let shared = &self.shared;
        Health {
            state: shared.state(),
            queued: shared.queue.waiting(),
            bytes: read::bytes(shared).await.unwrap_or(0),
            commits: Shared::count(&shared.commits),
            flushes: Shared::count(&shared.flushes),
            reads_at_once: 0,
            notices: Vec::new(),
        }
    }

    async fn close(&self, deadline: Deadline) -> Result<(), CloseError> {
        self.shared.queue.close(SHUT_DOWN);
        let mut has_ended = self.has_ended.clone();
        let waited = timeout_at(deadline.instant(), has_ended.wait_for(|ended| *ended)).await;
        self.shared.watches.close();
        match waited {
            // Ended, or its task is gone: there is nothing left to wait for.
            Ok(_) => Ok(()),
            Err(_) => Err(CloseError::Deadline {
                unacknowledged: self.shared.queue.unanswered(),
            }),
        }
    }
}

fn busy_deadline() -> CommitError {
    CommitError::Busy {
        cause: BusyCause::Deadline,
    }
}
