//! Counting what a store is asked for: the proof that idle costs nothing, and that a bounded call stays bounded.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;

use super::Operation;
use crate::filling::{entry_bytes, logged_bytes};
use crate::{
    Batch, Capabilities, CloseError, CommitError, Committed, Deadline, Entry, Exported, Health, Item, Key,
    Listed, LogError, LogHead, Logged, Page, Position, Prefix, ReadError, RecordStore, Stream, Watch,
};

/// What was asked of a store so far, done or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    operations: [u64; Operation::ALL.len()],
    /// Records, keys, log entries and heads that were returned.
    pub items_read: u64,
    /// Their bytes: keys, kinds, values, entries.
    pub bytes_read: u64,
    /// Bytes of the batches that were committed.
    pub bytes_written: u64,
}

impl Counts {
    /// How often this was asked for.
    #[must_use]
    pub fn of(&self, operation: Operation) -> u64 {
        self.operations[operation as usize]
    }

    /// How often anything was.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.operations.iter().sum()
    }
}

/// A store that counts what is asked of it.
///
/// ```
/// # futures::executor::block_on(async {
/// use dormouse_filesystem::wrapper::{Counted, Operation};
/// use dormouse_filesystem::{Key, Memory, RecordStore};
///
/// let store = Counted::new(Memory::new(jiff::Timestamp::UNIX_EPOCH));
/// store.get(&Key::parse("a")?).await?;
/// assert_eq!(store.counts().of(Operation::Get), 1);
/// assert_eq!(store.counts().operations(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Counted<S> {
    inner: S,
    cells: Arc<Cells>,
}

/// Shared with the exports under way, which outlive the call that began them.
#[derive(Debug, Default)]
struct Cells {
    operations: [AtomicU64; Operation::ALL.len()],
    items_read: AtomicU64,
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
}

impl Cells {
    fn read(&self, sizes: impl Iterator<Item = usize>) {
        let (items, bytes) = sizes.fold((0, 0), |(items, bytes), size| (items + 1, bytes + size as u64));
        self.items_read.fetch_add(items, Ordering::Relaxed);
        self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl<S: RecordStore> Counted<S> {
    /// Wraps a store, counting from 0.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            cells: Arc::default(),
        }
    }

    /// What was asked so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let cells = &self.cells;
        Counts {
            operations: std::array::from_fn(|at| cells.operations[at].load(Ordering::Relaxed)),
            items_read: cells.items_read.load(Ordering::Relaxed),
            bytes_read: cells.bytes_read.load(Ordering::Relaxed),
            bytes_written: cells.bytes_written.load(Ordering::Relaxed),
        }
    }

    /// The store inside.
    #[must_use]
    pub fn inner(&self) -> &S {
        &self.inner
    }

    fn asked(&self, operation: Operation) {
        self.cells.operations[operation as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self, sizes: impl Iterator<Item = usize>) {
        self.cells.read(sizes);
    }
}

/// What an item of an export is counted as; none for its point and its end.
fn exported_bytes(item: &Exported) -> Option<usize> {
    match item {
        Exported::Record(entry) => Some(entry_bytes(entry)),
        Exported::Log { log, .. } => Some(log.key().stored().len()),
        Exported::Logged(logged) => Some(logged_bytes(logged)),
        Exported::Point(_) | Exported::End(_) => None,
    }
}

fn item_bytes(item: &Item) -> usize {
    match item {
        Item::Entry(entry) => entry_bytes(entry),
        Item::Key { key, .. } | Item::Corrupt { key } => key.stored().len(),
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: RecordStore> RecordStore for Counted<S> {
    fn capabilities(&self, at: &Prefix) -> Capabilities {
        self.inner.capabilities(at)
    }

    async fn get(&self, key: &Key) -> Result<Option<Entry>, ReadError> {
        self.asked(Operation::Get);
        let entry = self.inner.get(key).await?;
        self.read(entry.iter().map(entry_bytes));
        Ok(entry)
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, ReadError> {
        self.asked(Operation::GetMany);
        let entries = self.inner.get_many(keys).await?;
        self.read(entries.iter().flatten().map(entry_bytes));
        Ok(entries)
    }

    async fn list(&self, page: &Page) -> Result<Listed, ReadError> {
        self.asked(Operation::List);
        let listed = self.inner.list(page).await?;
        self.read(listed.items.iter().map(item_bytes));
        Ok(listed)
    }

    async fn list_many(&self, pages: &[Page]) -> Result<Vec<Listed>, ReadError> {
        self.asked(Operation::ListMany);
        let listed = self.inner.list_many(pages).await?;
        self.read(listed.iter().flat_map(|listed| &listed.items).map(item_bytes));
        Ok(listed)
    }

    async fn commit(&self, batch: Batch, deadline: Deadline) -> Result<Committed, CommitError> {
        self.asked(Operation::Commit);
        let bytes = batch.bytes() as u64;
        let committed = self.inner.commit(batch, deadline).await?;
        self.cells.bytes_written.fetch_add(bytes, Ordering::Relaxed);
        Ok(committed)
    }

    async fn tail(&self, log: &Stream, after: Position, limit: usize) -> Result<Vec<Logged>, LogError> {
        self.asked(Operation::Tail);
        let entries = self.inner.tail(log, after, limit).await?;
        self.read(entries.iter().map(logged_bytes));
        Ok(entries)
    }

    async fn head(&self, log: &Stream) -> Result<LogHead, LogError> {
        self.asked(Operation::Head);
        let head = self.inner.head(log).await?;
        self.read(head.incarnation.iter().map(|_| log.key().stored().len()));
        Ok(head)
    }

    async fn heads(
        &self,
        under: &Prefix,
        after: Option<&Stream>,
        limit: usize,
    ) -> Result<Vec<(Stream, LogHead)>, LogError> {
        self.asked(Operation::Heads);
        let heads = self.inner.heads(under, after, limit).await?;
        self.read(heads.iter().map(|(log, _)| log.key().stored().len()));
        Ok(heads)
    }

    async fn truncate(&self, log: &Stream, before: Position) -> Result<Position, LogError> {
        self.asked(Operation::Truncate);
        self.inner.truncate(log, before).await
    }

    async fn watch(&self, prefix: &Prefix) -> Result<Watch, ReadError> {
        self.asked(Operation::Watch);
        self.inner.watch(prefix).await
    }

    fn export(&self, prefix: &Prefix) -> BoxStream<'static, Result<Exported, ReadError>> {
        self.asked(Operation::Export);
        let cells = Arc::clone(&self.cells);
        let counted = self.inner.export(prefix).inspect(move |item| {
            cells.read(item.iter().filter_map(exported_bytes));
        });
        counted.boxed()
    }

    async fn health(&self) -> Health {
        self.asked(Operation::Health);
        self.inner.health().await
    }

    async fn close(&self, deadline: Deadline) -> Result<(), CloseError> {
        self.asked(Operation::Close);
        self.inner.close(deadline).await
    }
}

impl<S: RecordStore> fmt::Display for Counted<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "counted {}", self.inner)
    }
}
