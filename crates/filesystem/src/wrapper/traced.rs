//! Tracing what a store is asked for: a span and a duration per operation, by class, size and outcome; no keys.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::histogram::{Counting, Histogram};
use super::{Operation, Outcome};
use crate::{
    Batch, Capabilities, CloseError, CommitError, Committed, Deadline, Entry, Exported, Health, Key, Lane,
    Listed, LogError, LogHead, Logged, Page, Position, Prefix, ReadError, RecordStore, Stream, Watch,
};

/// A store whose operations are traced and timed.
///
/// Each is a span `store` at level debug with the fields `operation`, `items` and `bytes` (what was asked with, or
/// given back), `lane` (of commits: its class), `outcome` and `us`. What a span holds, nobody's key is among it. How
/// long they took is kept as a [`Histogram`] each.
#[derive(Debug)]
pub struct Traced<S> {
    inner: S,
    figures: Arc<Figures>,
}

/// Shared with what is under way: an export outlives the call that began it.
#[derive(Debug, Default)]
struct Figures {
    took: [Counting; Operation::ALL.len()],
    outcomes: [[AtomicU64; Outcome::ALL.len()]; Operation::ALL.len()],
}

impl<S: RecordStore> Traced<S> {
    /// Wraps a store.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            figures: Arc::default(),
        }
    }

    /// How long this operation took, each time, whatever its outcome.
    #[must_use]
    pub fn took(&self, operation: Operation) -> Histogram {
        self.figures.took[operation as usize].read()
    }

    /// How often this operation ended so.
    #[must_use]
    pub fn ended(&self, operation: Operation, outcome: Outcome) -> u64 {
        self.figures.outcomes[operation as usize][outcome as usize].load(Ordering::Relaxed)
    }

    /// The store inside.
    #[must_use]
    pub fn inner(&self) -> &S {
        &self.inner
    }

    fn begin(&self, operation: Operation) -> Running {
        Running::begin(Arc::clone(&self.figures), operation)
    }
}

/// One operation under way. It is counted when it ends, also when its future is dropped.
struct Running {
    figures: Arc<Figures>,
    operation: Operation,
    span: Span,
    begun: Instant,
    outcome: Outcome,
}

impl Running {
    fn begin(figures: Arc<Figures>, operation: Operation) -> Self {
        let span = tracing::debug_span!(
            "store",
            operation = operation.name(),
            lane = Empty,
            items = Empty,
            bytes = Empty,
            outcome = Empty,
            us = Empty,
        );
        Self {
            figures,
            operation,
            span,
            begun: Instant::now(),
            outcome: Outcome::Dropped,
        }
    }

    fn span(&self) -> Span {
        self.span.clone()
    }

    fn sizes(&self, items: usize, bytes: usize) {
        self.span.record("items", items).record("bytes", bytes);
    }

    fn ended<T, E>(mut self, answer: Result<T, E>) -> Result<T, E>
    where
        for<'b> Outcome: From<&'b E>,
    {
        self.outcome = Outcome::of(&answer);
        answer
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let took = self.begun.elapsed();
        let (figures, operation) = (&self.figures, self.operation as usize);
        figures.took[operation].add(took);
        figures.outcomes[operation][self.outcome as usize].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.span
            .record("outcome", self.outcome.name())
            .record("us", micros);
    }
}

/// An export under way, and how much of it there was.
struct Exporting {
    running: Running,
    items: usize,
    bytes: usize,
}

impl Exporting {
    fn begin(figures: Arc<Figures>) -> Self {
        Self {
            running: Running::begin(figures, Operation::Export),
            items: 0,
            bytes: 0,
        }
    }

    fn over(
        mut self,
        items: BoxStream<'static, Result<Exported, ReadError>>,
    ) -> BoxStream<'static, Result<Exported, ReadError>> {
        items.inspect(move |item| self.see(item)).boxed()
    }

    fn see(&mut self, item: &Result<Exported, ReadError>) {
        let bytes = match item {
            Ok(Exported::Record(entry)) => Some(entry.value.len()),
            Ok(Exported::Logged(logged)) => Some(logged.entry.len()),
            Ok(Exported::Log { .. }) => Some(0),
            Ok(Exported::Point(_)) => None,
            Ok(Exported::End(_)) => {
                self.running.outcome = Outcome::Done;
                None
            }
            Err(error) => {
                self.running.outcome = error.into();
                None
            }
        };
        self.items += usize::from(bytes.is_some());
        self.bytes += bytes.unwrap_or(0);
    }
}

impl Drop for Exporting {
    fn drop(&mut self) {
        self.running.sizes(self.items, self.bytes);
    }
}

fn bytes_of(items: &[crate::Item]) -> usize {
    let bytes = items.iter().map(|item| match item {
        crate::Item::Entry(entry) => entry.value.len(),
        crate::Item::Key { .. } | crate::Item::Corrupt { .. } => 0,
    });
    bytes.sum()
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: RecordStore> RecordStore for Traced<S> {
    fn capabilities(&self, at: &Prefix) -> Capabilities {
        self.inner.capabilities(at)
    }

    async fn get(&self, key: &Key) -> Result<Option<Entry>, ReadError> {
        let running = self.begin(Operation::Get);
        let answer = self.inner.get(key).instrument(running.span()).await;
        if let Ok(entry) = &answer {
            running.sizes(
                usize::from(entry.is_some()),
                entry.as_ref().map_or(0, |e| e.value.len()),
            );
        }
        running.ended(answer)
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, ReadError> {
        let running = self.begin(Operation::GetMany);
        let answer = self.inner.get_many(keys).instrument(running.span()).await;
        if let Ok(entries) = &answer {
            let found = entries.iter().flatten();
            running.sizes(found.clone().count(), found.map(|e| e.value.len()).sum());
        }
        running.ended(answer)
    }

    async fn list(&self, page: &Page) -> Result<Listed, ReadError> {
        let running = self.begin(Operation::List);
        let answer = self.inner.list(page).instrument(running.span()).await;
        if let Ok(listed) = &answer {
            running.sizes(listed.items.len(), bytes_of(&listed.items));
        }
        running.ended(answer)
    }

    async fn list_many(&self, pages: &[Page]) -> Result<Vec<Listed>, ReadError> {
        let running = self.begin(Operation::ListMany);
        let answer = self.inner.list_many(pages).instrument(running.span()).await;
        if let Ok(listed) = &answer {
            let items = listed.iter().map(|listed| &listed.items);
            running.sizes(
                items.clone().map(Vec::len).sum(),
                items.map(|items| bytes_of(items)).sum(),
            );
        }
        running.ended(answer)
    }

    async fn commit(&self, batch: Batch, deadline: Deadline) -> Result<Committed, CommitError> {
        let running = self.begin(Operation::Commit);
        running.sizes(batch.operations(), batch.bytes());
        let lane = match &batch.lane {
            Lane::System => "system",
            Lane::Tenant(_) => "tenant",
        };
        running.span.record("lane", lane);
        let answer = self
            .inner
            .commit(batch, deadline)
            .instrument(running.span())
            .await;
        running.ended(answer)
    }

    async fn tail(&self, log: &Stream, after: Position, limit: usize) -> Result<Vec<Logged>, LogError> {
        let running = self.begin(Operation::Tail);
        let answer = self
            .inner
            .tail(log, after, limit)
            .instrument(running.span())
            .await;
        if let Ok(entries) = &answer {
            running.sizes(entries.len(), entries.iter().map(|e| e.entry.len()).sum());
        }
        running.ended(answer)
    }

    async fn head(&self, log: &Stream) -> Result<LogHead, LogError> {
        let running = self.begin(Operation::Head);
        let answer = self.inner.head(log).instrument(running.span()).await;
        running.ended(answer)
    }

    async fn heads(
        &self,
        under: &Prefix,
        after: Option<&Stream>,
        limit: usize,
    ) -> Result<Vec<(Stream, LogHead)>, LogError> {
        let running = self.begin(Operation::Heads);
        let answer = self
            .inner
            .heads(under, after, limit)
            .instrument(running.span())
            .await;
        if let Ok(heads) = &answer {
            running.sizes(heads.len(), 0);
        }
        running.ended(answer)
    }

    async fn truncate(&self, log: &Stream, before: Position) -> Result<Position, LogError> {
        let running = self.begin(Operation::Truncate);
        let answer = self.inner.truncate(log, before).instrument(running.span()).await;
        running.ended(answer)
    }

    async fn watch(&self, prefix: &Prefix) -> Result<Watch, ReadError> {
        let running = self.begin(Operation::Watch);
        let answer = self.inner.watch(prefix).instrument(running.span()).await;
        running.ended(answer)
    }

    fn export(&self, prefix: &Prefix) -> BoxStream<'static, Result<Exported, ReadError>> {
        let (figures, items) = (Arc::clone(&self.figures), self.inner.export(prefix));
        // It begins when it is polled, as the export does.
        stream::once(async move { Exporting::begin(figures).over(items) })
            .flatten()
            .boxed()
    }

    async fn health(&self) -> Health {
        let mut running = self.begin(Operation::Health);
        let health = self.inner.health().instrument(running.span()).await;
        running.outcome = Outcome::Done;
        health
    }

    async fn close(&self, deadline: Deadline) -> Result<(), CloseError> {
        let running = self.begin(Operation::Close);
        let answer = self.inner.close(deadline).instrument(running.span()).await;
        running.ended(answer)
    }
}

impl<S: RecordStore> fmt::Display for Traced<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "traced {}", self.inner)
    }
}
