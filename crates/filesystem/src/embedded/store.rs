//! The trait, over queue and readers.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use futures::stream::BoxStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout_at;

use super::Embedded;
use super::committer::SHUT_DOWN;
use super::export::Exporting;
use super::index::{AtOnce, Index};
use super::queue::{Ending, Queue};
use super::read;
use super::shared::Shared;
use super::work::{Truncate, Work};
use crate::export::paged;
use crate::page;
use crate::{
    Batch, BusyCause, Capabilities, CloseError, CommitError, Committed, Deadline, Entry, Exported,
    GET_MANY_MAX, Health, Key, Lane, Listed, LogError, LogHead, Logged, Page, Position, Prefix, ReadError,
    RecordStore, Stream, Watch, capability,
};

/// How often somebody who reads gives others their turn before a reader thread is asked.
const TURNS_MAX: usize = 4;

/// What was taken to be written and never answered: the committer failed with it in its hands.
fn unanswered() -> CommitError {
    CommitError::Indeterminate { source: None }
}

impl<I: Index> Embedded<I> {
    /// Runs a read on a reader thread. One that is no longer wanted ends by itself, and counts until then.
    pub(crate) async fn read<T, E>(
        &self,
        read: impl FnOnce(&Shared<I>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<ReadError> + Send + 'static,
    {
        blocking(&self.readers, Arc::downgrade(&self.shared), read).await
    }

    /// What can be told at once of so many keys or pages. While the index is being changed others of this thread have their
    /// turn, as often as it takes less than a reader thread would.
    async fn at_once<T>(&self, asked: usize, tell: impl Fn(&Shared<I>) -> AtOnce<T>) -> Option<T> {
        for turn in 0..=TURNS_MAX {
            match tell(&self.shared) {
                AtOnce::Known(told) => {
                    let reads = &self.shared.reads_at_once;
                    reads.fetch_add(asked as u64, Ordering::Relaxed);
                    // Nothing was waited for: others of this thread have their turn.
                    tokio::task::coop::consume_budget().await;
                    return Some(told);
                }
                AtOnce::Unknown => break,
                AtOnce::Busy if turn < TURNS_MAX => tokio::task::yield_now().await,
                AtOnce::Busy => break,
            }
        }
        None
    }

    /// Drops one step of a log's head.
    async fn truncate_step(&self, log: &Stream, before: Position) -> Result<Position, LogError> {
        let (answer, answered) = oneshot::channel();
        let log = log.clone();
        let bytes = log.key().stored().len();
        let work = Work::Truncate(Truncate { log, before }, answer);
        self.shared.queue.submit(&Lane::System, None, bytes, work)?;
        let truncated = answered.await.map_err(|_| LogError::Commit(unanswered()))??;
        Ok(truncated.first)
    }
}

/// Runs a read on a reader thread. One that is no longer wanted ends by itself, and counts until then.
///
/// Only while it reads it keeps the store open: not while it waits for a thread.
pub(super) async fn blocking<I: Index, T, E>(
    readers: &Arc<Semaphore>,
    shared: Weak<Shared<I>>,
    read: impl FnOnce(&Shared<I>) -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<ReadError> + Send + 'static,
{
    let permit = Arc::clone(readers)
        .acquire_owned()
        .await
        .expect("the semaphore is never closed");
    let reading = tokio::task::spawn_blocking(move || {
        let result = match shared.upgrade() {
            Some(shared) => read(&shared),
            None => Err(E::from(ReadError::Closed { reason: SHUT_DOWN })),
        };
        drop(permit);
        result
    });
    reading.await.unwrap_or_else(|error| {
        Err(E::from(ReadError::Unavailable {
            reason: "a reader",
            source: Some(Box::new(error)),
        }))
    })
}

/// A commit that waits: withdrawn when its caller goes away.
struct Ticket<'a> {
    queue: &'a Queue,
    lane: Lane,
    serial: u64,
    is_answered: bool,
}

impl Ticket<'_> {
    /// Takes the commit back; false when it was taken to be written, or answered.
    fn withdraw(&mut self) -> bool {
        self.is_answered = true;
        self.queue.withdraw(&self.lane, self.serial)
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            self.withdraw();
        }
    }
}

/// What an embedded store promises, on a filesystem that keeps this much.
pub(super) fn promised(durability: capability::Durability) -> Capabilities {
    Capabilities {
        atomicity: capability::Atomicity::Batch,
        reach: capability::Reach::Process,
        durability,
        listing: capability::Listing::Ordered,
        logs: capability::Logs::CommitOrdered,
        export: capability::Export::Snapshot,
        watch: capability::Watch::Local,
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<I: Index> RecordStore for Embedded<I> {
    fn capabilities(&self, _at: &Prefix) -> Capabilities {
        promised(self.durability)
    }

    async fn get(&self, key: &Key) -> Result<Option<Entry>, ReadError> {
        if let Some(entry) = self.at_once(1, |shared| I::entry_now(shared, key)).await {
            return Ok(entry);
        }
        let key = key.clone();
        self.read(move |shared| read::get(shared, &key)).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, ReadError> {
        if keys.len() > GET_MANY_MAX {
            return Err(ReadError::Invalid {
                reason: "at most 256 records are read at once",
            });
        }
        let at_once = self.at_once(keys.len(), |shared| I::entries_now(shared, keys));
        if let Some(entries) = at_once.await {
            return Ok(entries);
        }
        let keys = keys.to_vec();
        self.read(move |shared| read::get_many(shared, &keys)).await
    }

    async fn list(&self, page: &Page) -> Result<Listed, ReadError> {
        page.validate()?;
        let pages = std::slice::from_ref(page);
        let is_empty = self.at_once(1, |shared| I::are_empty_now(shared, pages));
        if is_empty.await.is_some() {
            return Ok(Listed::default());
        }
        let page = page.clone();
        self.read(move |shared| read::list(shared, &page)).await
    }

    async fn list_many(&self, pages: &[Page]) -> Result<Vec<Listed>, ReadError> {
        page::validate_many(pages)?;
        let are_empty = self.at_once(pages.len(), |shared| I::are_empty_now(shared, pages));
        if are_empty.await.is_some() {
            return Ok(vec![Listed::default(); pages.len()]);
        }
        let pages = pages.to_vec();
        self.read(move |shared| pages.iter().map(|page| read::list(shared, page)).collect())
            .await
    }

    async fn commit(&self, batch: Batch, deadline: Deadline) -> Result<Committed, CommitError> {
        batch.validate()?;
        if deadline.has_passed() {
            return Err(busy_deadline());
        }
        let (lane, bytes) = (batch.lane.clone(), batch.bytes());
        let (answer, mut answered) = oneshot::channel();
        let work = Work::Commit(batch, answer);
        let serial = self
            .shared
            .queue
            .submit(&lane, Some(deadline.instant()), bytes, work)?;
        let mut ticket = Ticket {
            queue: &self.shared.queue,
            lane,
            serial,
            is_answered: false,
        };
        let answer = timeout_at(deadline.instant(), &mut answered).await;
        match answer {
            Ok(answer) => {
                ticket.is_answered = true;
                answer.unwrap_or_else(|_| Err(unanswered()))
            }
            Err(_) if ticket.withdraw() => Err(busy_deadline()),
            // It was taken: to be answered in a moment, or to be lost sight of.
            Err(_) => answered
                .try_recv()
                .unwrap_or(Err(CommitError::Indeterminate { source: None })),
        }
    }

    async fn tail(&self, log: &Stream, after: Position, limit: usize) -> Result<Vec<Logged>, LogError> {
        let log = log.clone();
        self.read(move |shared| read::tail(shared, &log, after, limit))
            .await
    }

    async fn head(&self, log: &Stream) -> Result<LogHead, LogError> {
        let log = log.clone();
        Ok(self.read(move |shared| read::head(shared, &log)).await?)
    }

    async fn heads(
        &self,
        under: &Prefix,
        after: Option<&Stream>,
        limit: usize,
    ) -> Result<Vec<(Stream, LogHead)>, LogError> {
        let (under, after) = (under.clone(), after.cloned());
        Ok(self
            .read(move |shared| read::heads(shared, &under, after.as_ref(), limit))
            .await?)
    }

    async fn truncate(&self, log: &Stream, before: Position) -> Result<Position, LogError> {
        // Ends: each step drops what is durable, and nothing can be appended before `before`.
        loop {
            let first = self.truncate_step(log, before).await?;
            if first >= before {
                return Ok(first);
            }
        }
    }

    async fn watch(&self, prefix: &Prefix) -> Result<Watch, ReadError> {
        self.shared.watches.watch(prefix)
    }

    fn export(&self, prefix: &Prefix) -> BoxStream<'static, Result<Exported, ReadError>> {
        let (shared, readers) = (Arc::downgrade(&self.shared), Arc::clone(&self.readers));
        paged(
            Exporting::begin(shared, readers, prefix.clone()),
            self.export_idle,
        )
    }

    async fn health(&self) -> Health {
        let shared = &self.shared;
        let bytes = self.read(|shared| Ok::<u64, ReadError>(shared.bytes())).await;
        Health {
            state: shared.state(),
            queued: shared.queue.waiting(),
            bytes: bytes.unwrap_or(0),
            commits: shared.count(&shared.commits),
            flushes: shared.count(&shared.flushes),
            reads_at_once: shared.count(&shared.reads_at_once),
            notices: shared.notices(),
        }
    }

    async fn close(&self, deadline: Deadline) -> Result<(), CloseError> {
        self.shared.queue.end(Ending::Clean);
        let mut has_ended = self.has_ended.clone();
        let waited = timeout_at(deadline.instant(), has_ended.wait_for(|ended| *ended)).await;
        match waited {
            // Ended, or its thread died: there is nothing left to wait for.
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
