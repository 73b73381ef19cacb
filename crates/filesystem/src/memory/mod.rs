//! The memory store: the reference. An ordered map and a counter under a short lock.
//!
//! It forgets everything at the end of the process, and says so in its [`Capabilities`]. Otherwise it has the same
//! limits, errors and order as every backend.

mod content;
mod export;
mod log;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;

use self::content::Content;
use crate::export::ExportSlot;
use crate::page;
use crate::{
    Batch, BusyCause, Capabilities, CloseError, CommitError, Committed, Deadline, EXPORT_IDLE, Entry,
    Exported, GET_MANY_MAX, Health, Key, Listed, LogError, LogHead, Logged, Page, Position, Prefix,
    ReadError, RecordStore, State, Stream, Version, Watch, Watches, capability,
};

/// A store in memory, for tests, for trying things out, and as the reference of what a store does.
///
/// ```
/// use dormouse_filesystem::{Memory, Prefix, RecordStore, capability};
///
/// let store = Memory::new(jiff::Timestamp::UNIX_EPOCH);
/// assert_eq!(store.capabilities(&Prefix::root()).durability, capability::Durability::Volatile);
/// ```
pub struct Memory {
    inner: Arc<Mutex<Inner>>,
    watches: Watches,
    exports: ExportSlot,
    export_idle: Duration,
}

#[derive(Debug)]
struct Inner {
    content: Content,
    state: State,
    commits: u64,
}

impl Memory {
    /// An empty store, whose versions begin at the [floor](Version::floor) of this time.
    #[must_use]
    pub fn new(now: jiff::Timestamp) -> Self {
        Self {
            inner: Arc::new(Mutex::new(Inner {
                // 0 is no commit's version, not even in 1970.
                content: Content::from_floor(Version::floor(now).max(Version::new(1))),
                state: State::Open,
                commits: 0,
            })),
            watches: Watches::default(),
            exports: ExportSlot::default(),
            export_idle: EXPORT_IDLE,
        }
    }

    /// The store, with another time for which an export is held of which nobody takes an item.
    #[must_use]
    pub fn with_export_idle(self, export_idle: Duration) -> Self {
        Self { export_idle, ..self }
    }

    /// The lock is held for one operation on the map, never across an await. What a panic under it left is whole:
    /// a batch is judged before the first change, and the changes themselves do not fail.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    fn check_open(&self) -> Result<(), CommitError> {
        match self.state {
            State::Open => Ok(()),
            State::Closed { reason } => Err(CommitError::Closed { reason }),
        }
    }

    fn commit(&mut self, batch: Batch) -> Result<Committed, CommitError> {
        self.check_open()?;
        let committed = self.content.commit(batch)?;
        self.commits += 1;
        Ok(committed)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl RecordStore for Memory {
    fn capabilities(&self, _at: &Prefix) -> Capabilities {
        Capabilities {
            atomicity: capability::Atomicity::Batch,
            reach: capability::Reach::Process,
            durability: capability::Durability::Volatile,
            listing: capability::Listing::Ordered,
            logs: capability::Logs::CommitOrdered,
            export: capability::Export::Snapshot,
            watch: capability::Watch::Local,
        }
    }

    async fn get(&self, key: &Key) -> Result<Option<Entry>, ReadError> {
        Ok(self.inner().content.get(key))
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, ReadError> {
        if keys.len() > GET_MANY_MAX {
            return Err(ReadError::Invalid {
                reason: "at most 256 records are read at once",
            });
        }
        let inner = self.inner();
        Ok(keys.iter().map(|key| inner.content.get(key)).collect())
    }

    async fn list(&self, page: &Page) -> Result<Listed, ReadError> {
        self.inner().content.list(page)
    }

    async fn list_many(&self, pages: &[Page]) -> Result<Vec<Listed>, ReadError> {
        page::validate_many(pages)?;
        let inner = self.inner();
        pages.iter().map(|page| inner.content.list(page)).collect()
    }

    async fn commit(&self, batch: Batch, deadline: Deadline) -> Result<Committed, CommitError> {
        batch.validate()?;
        if deadline.has_passed() {
            return Err(CommitError::Busy {
                cause: BusyCause::Deadline,
            });
        }
        let written = written(&batch);
        let committed = self.inner().commit(batch)?;
        self.watches.ring(written.iter());
        Ok(committed)
    }

    async fn tail(&self, log: &Stream, after: Position, limit: usize) -> Result<Vec<Logged>, LogError> {
        self.inner().content.tail(log, after, limit)
    }

    async fn head(&self, log: &Stream) -> Result<LogHead, LogError> {
        Ok(self.inner().content.head(log))
    }

    async fn heads(
        &self,
        under: &Prefix,
        after: Option<&Stream>,
        limit: usize,
    ) -> Result<Vec<(Stream, LogHead)>, LogError> {
        Ok(self.inner().content.heads(under, after, limit)?)
    }

    async fn truncate(&self, log: &Stream, before: Position) -> Result<Position, LogError> {
        let mut inner = self.inner();
        inner.check_open()?;
        let first = inner.content.truncate(log, before)?;
        drop(inner);
        self.watches.ring([log.key()].into_iter());
        Ok(first)
    }

    async fn watch(&self, prefix: &Prefix) -> Result<Watch, ReadError> {
        self.watches.watch(prefix)
    }

    fn export(&self, prefix: &Prefix) -> BoxStream<'static, Result<Exported, ReadError>> {
        let (inner, exports) = (Arc::clone(&self.inner), self.exports.clone());
        export::export(inner, exports, prefix.clone(), self.export_idle)
    }

    async fn health(&self) -> Health {
        let inner = self.inner();
        Health {
            state: inner.state,
            queued: 0,
            bytes: inner.content.bytes(),
            commits: inner.commits,
            flushes: 0,
            reads_at_once: 0,
            notices: Vec::new(),
        }
    }

    async fn close(&self, _deadline: Deadline) -> Result<(), CloseError> {
        self.inner().state = State::Closed {
            reason: "it was shut down",
        };
        self.watches.close();
        Ok(())
    }
}

/// The keys of records and logs that a batch changes, for hints.
fn written(batch: &Batch) -> Vec<Key> {
    let puts = batch.puts.iter().map(|p| &p.key);
    let deletes = batch.deletes.iter().map(|d| &d.key);
    let logs = batch.logs().map(Stream::key);
    puts.chain(deletes).chain(logs).cloned().collect()
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({} commits)", self.inner().commits)
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory")
    }
}
