//! Conveniences over every store. They add no promise.

use std::collections::VecDeque;
use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream as FutureStream, TryStreamExt, stream};

use crate::{
    Batch, CommitError, Committed, Deadline, Expected, Item, Key, Lane, LogCursor, LogError, Logged, Order,
    PAGE_MAX, Page, Position, Prefix, ReadError, RecordKind, RecordStore, Stream, Version, Want, Watch,
};

/// Hints may be lost: [`RecordStoreExt::follow`] looks again after this long without one.
pub const FOLLOW_RECHECK: Duration = Duration::from_secs(30);

/// Batches of one operation, and reads over page boundaries. In the lane of the system.
///
/// ```
/// # futures::executor::block_on(async {
/// use dormouse_filesystem::{Deadline, Key, Memory, RecordKind, RecordStoreExt};
/// # let deadline = Deadline::at(tokio::time::Instant::now() + std::time::Duration::from_secs(10));
/// let store = Memory::new(jiff::Timestamp::UNIX_EPOCH);
/// let key = Key::parse("notes/first")?;
/// let version = store.create(key.clone(), RecordKind::of("note"), "hello", deadline).await?;
/// store.delete(key, version, deadline).await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub trait RecordStoreExt: RecordStore {
    /// Writes a record that must not exist yet. Returns its version.
    ///
    /// # Errors
    /// As [`commit`](RecordStore::commit); `Conflict` when it exists.
    fn create(
        &self,
        key: Key,
        kind: RecordKind,
        value: impl Into<Bytes> + Send,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Version, CommitError>> + Send {
        let mut batch = Batch::new(Lane::System);
        batch.put(key, Expected::Absent, kind, value);
        one(self, batch, deadline)
    }

    /// Writes a record over the one that was read at this version. Returns its new version.
    ///
    /// # Errors
    /// As [`commit`](RecordStore::commit); `Conflict` when it changed or is gone.
    fn replace(
        &self,
        key: Key,
        at: Version,
        kind: RecordKind,
        value: impl Into<Bytes> + Send,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Version, CommitError>> + Send {
        let mut batch = Batch::new(Lane::System);
        batch.put(key, Expected::At(at), kind, value);
        one(self, batch, deadline)
    }

    /// Removes the record that was read at this version. Returns the version of its removal.
    ///
    /// # Errors
    /// As [`commit`](RecordStore::commit); `Conflict` when it changed or is gone.
    fn delete(
        &self,
        key: Key,
        at: Version,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Version, CommitError>> + Send {
        let mut batch = Batch::new(Lane::System);
        batch.delete(key, at);
        one(self, batch, deadline)
    }

    /// Adds one entry to a log. Returns its position.
    ///
    /// After `Indeterminate` the identical batch may append twice: read the log past the last known position.
    ///
    /// # Errors
    /// As [`commit`](RecordStore::commit).
    fn append(
        &self,
        log: Stream,
        entry: impl Into<Bytes> + Send,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Position, CommitError>> + Send {
        let mut batch = Batch::new(Lane::System);
        batch.append(log, entry);
        async move {
            let Committed { positions, .. } = self.commit(batch, deadline).await?;
            Ok(positions
                .first()
                .expect("a commit places each log it appends to")
                .1)
        }
    }

    /// Every record below a prefix, page by page: nothing repeats, and no record that existed throughout is missed.
    ///
    /// Each page is read at its own point. The stream ends after an error.
    fn list_all(
        &self,
        prefix: Prefix,
        want: Want,
    ) -> impl FutureStream<Item = Result<Item, ReadError>> + Send + '_ {
        let first = Page {
            want,
            ..Page::of(prefix)
        };
        stream::try_unfold(Some(first), move |page| async move {
            let Some(page) = page else { return Ok(None) };
            let listed = self.list(&page).await?;
            let next = listed.next.map(|after| Page {
                after: Some(after),
                order: Order::Up,
                ..page
            });
            Ok(Some((stream::iter(listed.items.into_iter().map(Ok)), next)))
        })
        .try_flatten()
    }

    /// The position to read on after, for a reader that knows which log it has read: see
    /// [`LogHead::resume`](crate::LogHead::resume).
    ///
    /// # Errors
    /// `Incarnation`: another log has that name now, and what the reader knows of it is not true of it. `ReplayGap`
    /// where there is no log. As any read.
    fn resume(
        &self,
        log: &Stream,
        cursor: LogCursor,
    ) -> impl Future<Output = Result<Position, LogError>> + Send {
        async move { self.head(log).await?.resume(cursor) }
    }

    /// Every entry of a log after a position, then each new one as it is committed.
    ///
    /// Ends after an error, so with the gap if there is one, and when the store is closed.
    fn follow(
        &self,
        log: Stream,
        after: Position,
    ) -> impl FutureStream<Item = Result<Logged, LogError>> + Send + '_ {
        Follow::of(self, log, after).entries()
    }
}

impl<T: RecordStore + ?Sized> RecordStoreExt for T {}

/// As [`RecordStoreExt::follow`], holding the store.
///
/// Ends after an error, so with the gap if there is one, and when the store is closed.
pub fn follow(
    store: Arc<dyn RecordStore>,
    log: Stream,
    after: Position,
) -> impl FutureStream<Item = Result<Logged, LogError>> + Send + 'static {
    Follow::of(store, log, after).entries()
}

async fn one<T: RecordStore + ?Sized>(
    store: &T,
    batch: Batch,
    deadline: Deadline,
) -> Result<Version, CommitError> {
    let committed = store.commit(batch, deadline).await?;
    Ok(committed.version.expect("a commit that writes has a version"))
}

/// Tail, hint, tail. The watch begins before the first tail, so that nothing falls between the two.
struct Follow<S> {
    store: S,
    log: Stream,
    after: Position,
    watch: Option<Watch>,
    read: VecDeque<Logged>,
    has_ended: bool,
}

impl<S> Follow<S>
where
    S: Deref + Send,
    S::Target: RecordStore,
{
    fn of(store: S, log: Stream, after: Position) -> Self {
        Self {
            store,
            log,
            after,
            watch: None,
            read: VecDeque::new(),
            has_ended: false,
        }
    }

    fn entries(self) -> impl FutureStream<Item = Result<Logged, LogError>> + Send {
        stream::try_unfold(self, |mut follow| async move {
            let entry = follow.next().await?;
            Ok(entry.map(|entry| (entry, follow)))
        })
    }

    async fn next(&mut self) -> Result<Option<Logged>, LogError> {
        // Ends with an entry, an error, or the store's close.
        loop {
            if let Some(entry) = self.read.pop_front() {
                self.after = entry.position;
                return Ok(Some(entry));
            }
            if self.watch.is_none() {
                self.watch = Some(self.store.watch(&self.log.key().parent()).await?);
            }
            self.read = self.store.tail(&self.log, self.after, PAGE_MAX).await?.into();
            if self.read.is_empty() {
                if self.has_ended {
                    return Ok(None);
                }
                self.hint().await;
            }
        }
    }

    /// Waits for a hint, or for as long as one is believed not to have been lost.
    async fn hint(&mut self) {
        let watch = self.watch.as_mut().expect("a watch begins before the first tail");
        if let Ok(hint) = tokio::time::timeout(FOLLOW_RECHECK, watch.next()).await {
            self.has_ended = hint.is_none();
        }
    }
}
