//! A log of one namespace.

use std::fmt;
use std::sync::Arc;

use super::fixed;
use crate::{LogError, LogHead, Logged, Position, Prefix, ReadError, RecordStore, Stream, Watch};

/// A log of a namespace.
#[derive(Clone)]
pub struct Log {
    store: Arc<dyn RecordStore>,
    stream: Stream,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Log({})", self.stream)
    }
}

impl Log {
    pub(super) fn new(store: Arc<dyn RecordStore>, stream: Stream) -> Self {
        Self { store, stream }
    }

    /// Entries strictly after a position, as [`RecordStore::tail`].
    ///
    /// # Errors
    /// `ReplayGap` when the position is not kept or not written.
    pub async fn tail(&self, after: Position, limit: usize) -> Result<Vec<Logged>, LogError> {
        self.store.tail(&self.stream, after, limit).await
    }

    /// Where the log begins and ends.
    ///
    /// # Errors
    /// As any read.
    pub async fn head(&self) -> Result<LogHead, LogError> {
        self.store.head(&self.stream).await
    }

    /// Drops the entries before a position, as [`RecordStore::truncate`].
    ///
    /// # Errors
    /// As any commit.
    pub async fn truncate(&self, before: Position) -> Result<Position, LogError> {
        self.store.truncate(&self.stream, before).await
    }

    /// Hints that the log has grown, among its neighbours under one name.
    ///
    /// # Errors
    /// As [`RecordStore::watch`].
    pub async fn watch(&self) -> Result<Watch, ReadError> {
        let segments: Vec<&str> = self.stream.key().segments().collect();
        let above = segments
            .split_last()
            .map_or_else(Prefix::root, |(_, above)| fixed(above));
        self.store.watch(&above).await
    }

    /// The log's full name.
    #[must_use]
    pub fn stream(&self) -> &Stream {
        &self.stream
    }
}
