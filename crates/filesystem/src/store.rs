//! The record store: one trait, on which everything stands.

use std::fmt;

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::{
    Batch, Capabilities, CloseError, CommitError, Committed, Deadline, Entry, Exported, Health, Key, Listed,
    LogError, LogHead, Logged, Page, Position, Prefix, ReadError, Stream, Watch,
};

/// Records changed only by compare-and-swap, and logs that commit with them.
///
/// The one write is [`commit`](RecordStore::commit): a conditional batch, all or nothing, durable when
/// acknowledged. No read, page, tail or hint shows what a crash could still take back, and a `get` begun after an
/// `Ok` sees that commit or something newer. There are no default methods to forget.
#[async_trait]
pub trait RecordStore: fmt::Debug + fmt::Display + Send + Sync + 'static {
    /// What is promised for keys below this prefix.
    fn capabilities(&self, at: &Prefix) -> Capabilities;

    /// The record of this key, if there is one.
    async fn get(&self, key: &Key) -> Result<Option<Entry>, ReadError>;

    /// Up to [`GET_MANY_MAX`](crate::GET_MANY_MAX) records at one read point, in the order asked.
    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, ReadError>;

    /// One page of records, read at one point.
    async fn list(&self, page: &Page) -> Result<Listed, ReadError>;

    /// Up to [`LIST_MANY_MAX`](crate::LIST_MANY_MAX) pages, each read at a point of its own, in the order asked: for the
    /// trip of one.
    async fn list_many(&self, pages: &[Page]) -> Result<Vec<Listed>, ReadError>;

    /// Judges every expectation against one state, then does all of the batch or nothing.
    ///
    /// Dropping the future at any await leaves all or nothing. A deadline that passes before the batch went to disk
    /// or server answers `Busy` and it is never committed late; after that, `Indeterminate`.
    async fn commit(&self, batch: Batch, deadline: Deadline) -> Result<Committed, CommitError>;

    /// Entries strictly after a position, ascending; empty means `after = next − 1`.
    async fn tail(&self, log: &Stream, after: Position, limit: usize) -> Result<Vec<Logged>, LogError>;

    /// Where a log begins and ends; [`LogHead::NONE`] for one that never was.
    async fn head(&self, log: &Stream) -> Result<LogHead, LogError>;

    /// The logs below a prefix, in order, strictly behind `after`.
    async fn heads(
        &self,
        under: &Prefix,
        after: Option<&Stream>,
        limit: usize,
    ) -> Result<Vec<(Stream, LogHead)>, LogError>;

    /// Drops the entries before a position, never past `next`; idempotent. Returns the new `first`.
    async fn truncate(&self, log: &Stream, before: Position) -> Result<Position, LogError>;

    /// Hints that something below a prefix changed. They have no data and may be spurious or lost.
    async fn watch(&self, prefix: &Prefix) -> Result<Watch, ReadError>;

    /// All that is below a prefix at one commit point, while writers go on: see [`Exported`] for the order.
    ///
    /// The point is taken, and the place for the one export at a time, when the stream is first polled; dropping it
    /// ends the export. What is damaged is an error in its place, and the export goes on behind it but has no end.
    /// Any other error is the last item.
    ///
    /// Whoever takes no item for [`EXPORT_IDLE`](crate::EXPORT_IDLE), an option of each store, finds
    /// [`ExportIdle`](ReadError::ExportIdle) as the next: what the export held is let go by then, unless it was read to its
    /// end before. Time in which the store reads does not count, and each item that is taken begins it anew.
    fn export(&self, prefix: &Prefix) -> BoxStream<'static, Result<Exported, ReadError>>;

    /// How the store is.
    async fn health(&self) -> Health;

    /// Finishes what was accepted and closes; writes are refused from here on.
    async fn close(&self, deadline: Deadline) -> Result<(), CloseError>;
}
