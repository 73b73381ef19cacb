//! A store whose process is killed at one of its commits, as `kill -9` does: nothing is flushed, nobody is told. Or one
//! whose commits wait until a test lets them, so that others come between.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use dormouse_filesystem::{
    Batch, Capabilities, CloseError, CommitError, Committed, Deadline, Entry, Exported, Health, Key, Listed,
    LogError, LogHead, Logged, Page, Position, Prefix, ReadError, RecordStore, Stream, Watch,
};
use futures::stream::BoxStream;
use tokio::sync::Semaphore;

/// When the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Before,
    After,
}

/// Dies before or after this commit, counted from 1 since it was armed; counts them all. Others have a turn before each.
#[derive(Debug)]
pub(crate) struct Dying {
    inner: Arc<dyn RecordStore>,
    side: Side,
    at: u64,
    commits: AtomicU64,
    is_armed: AtomicBool,
    stops: Mutex<BTreeMap<u64, Arc<Stop>>>,
    reads: Mutex<Vec<(Key, u64, Arc<Stop>)>>,
}

/// A commit or read that is not made before the test says so.
#[derive(Debug)]
pub(crate) struct Stop {
    reached: Semaphore,
    go: Semaphore,
}

impl Stop {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            reached: Semaphore::new(0),
            go: Semaphore::new(0),
        })
    }

    async fn wait(&self) {
        self.reached.add_permits(1);
        self.go.acquire().await.unwrap().forget();
    }

    /// Waits until somebody is about to make it.
    pub(crate) async fn reached(&self) {
        self.reached.acquire().await.unwrap().forget();
    }

    /// Lets it be made.
    pub(crate) fn go(&self) {
        self.go.add_permits(1);
    }
}

impl Dying {
    pub(crate) fn new(inner: Arc<dyn RecordStore>, side: Side, at: u64) -> Self {
        Self {
            inner,
            side,
            at,
            commits: AtomicU64::new(0),
            is_armed: AtomicBool::new(false),
            stops: Mutex::default(),
            reads: Mutex::default(),
        }
    }

    /// Never dies, and counts its commits.
    pub(crate) fn never(inner: Arc<dyn RecordStore>) -> Self {
        Self::new(inner, Side::Before, u64::MAX)
    }

    /// The commit of this number from here on, the next being 1, waits before it is made.
    pub(crate) fn stop_ahead(&self, number: u64) -> Arc<Stop> {
        let stop = Stop::new();
        let mut stops = self.stops.lock().unwrap();
        stops.insert(self.commits() + number, Arc::clone(&stop));
        stop
    }

    async fn wait_at(&self, number: u64) {
        let stop = self.stops.lock().unwrap().remove(&number);
        if let Some(stop) = stop {
            stop.wait().await;
        }
    }

    /// The read of this row of this number from here on, the next being 1, waits before it is made.
    pub(crate) fn stop_read(&self, key: &str, number: u64) -> Arc<Stop> {
        let stop = Stop::new();
        let read = (Key::parse(key).unwrap(), number, Arc::clone(&stop));
        self.reads.lock().unwrap().push(read);
        stop
    }

    fn stop_of_read(&self, key: &Key) -> Option<Arc<Stop>> {
        let mut reads = self.reads.lock().unwrap();
        for (_, left, _) in reads.iter_mut().filter(|(of, ..)| of == key) {
            *left -= 1;
        }
        let at = reads.iter().position(|(_, left, _)| *left == 0)?;
        Some(reads.remove(at).2)
    }

    /// From here on commits count.
    pub(crate) fn arm(&self) {
        self.commits.store(0, Ordering::SeqCst);
        self.is_armed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::SeqCst)
    }
}

impl fmt::Display for Dying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.inner, f)
    }
}

fn die() {
    let own = rustix::process::getpid();
    rustix::process::kill_process(own, rustix::process::Signal::KILL).unwrap();
}

#[async_trait]
impl RecordStore for Dying {
    fn capabilities(&self, at: &Prefix) -> Capabilities {
        self.inner.capabilities(at)
    }

    async fn get(&self, key: &Key) -> Result<Option<Entry>, ReadError> {
        if let Some(stop) = self.stop_of_read(key) {
            stop.wait().await;
        }
        self.inner.get(key).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, ReadError> {
        self.inner.get_many(keys).await
    }

    async fn list(&self, page: &Page) -> Result<Listed, ReadError> {
        self.inner.list(page).await
    }

    async fn list_many(&self, pages: &[Page]) -> Result<Vec<Listed>, ReadError> {
        self.inner.list_many(pages).await
    }

    async fn commit(&self, batch: Batch, deadline: Deadline) -> Result<Committed, CommitError> {
        let number = self.commits.fetch_add(1, Ordering::SeqCst) + 1;
        tokio::task::yield_now().await;
        self.wait_at(number).await;
        let is_last = number == self.at && self.is_armed.load(Ordering::SeqCst);
        if is_last && self.side == Side::Before {
            die();
        }
        let done = self.inner.commit(batch, deadline).await;
        if is_last {
            die();
        }
        done
    }

    async fn tail(&self, log: &Stream, after: Position, limit: usize) -> Result<Vec<Logged>, LogError> {
        self.inner.tail(log, after, limit).await
    }

    async fn head(&self, log: &Stream) -> Result<LogHead, LogError> {
        self.inner.head(log).await
    }

    async fn heads(
        &self,
        under: &Prefix,
        after: Option<&Stream>,
        limit: usize,
    ) -> Result<Vec<(Stream, LogHead)>, LogError> {
        self.inner.heads(under, after, limit).await
    }

    async fn truncate(&self, log: &Stream, before: Position) -> Result<Position, LogError> {
        self.inner.truncate(log, before).await
    }

    async fn watch(&self, prefix: &Prefix) -> Result<Watch, ReadError> {
        self.inner.watch(prefix).await
    }

    fn export(&self, prefix: &Prefix) -> BoxStream<'static, Result<Exported, ReadError>> {
        self.inner.export(prefix)
    }

    async fn health(&self) -> Health {
        self.inner.health().await
    }

    async fn close(&self, deadline: Deadline) -> Result<(), CloseError> {
        self.inner.close(deadline).await
    }
}
