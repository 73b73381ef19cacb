//! What an embedded store knows of its items: the versions of records, the ends of logs, and where the bytes lie.

use std::fmt;
use std::io;
use std::ops::Bound;
use std::time::Duration;

use super::fetch::Fetch;
use super::shared::Shared;
use super::spot::{Head, Spot};
#[cfg(feature = "sled")]
use crate::Source;
use crate::{Batch, CommitError, Entry, Key, Order, Page, Stream};

/// Why an index did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IndexError {
    #[cfg(feature = "sled")]
    #[error(transparent)]
    Failed(Source),
    #[cfg(feature = "sled")]
    #[error("the index panicked")]
    Panicked,
    #[error("the index holds what was never written to it")]
    Garbled,
    #[error("the index does not hold what the log says")]
    Unequal,
    #[cfg(feature = "sled")]
    #[error("the index has another format or belongs to another store")]
    Other,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What a range of keys begins and ends with, and how it is walked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Walk<'a> {
    pub(crate) low: Bound<&'a [u8]>,
    pub(crate) high: Bound<&'a [u8]>,
    pub(crate) order: Order,
}

impl Walk<'_> {
    /// All of it, in order.
    pub(crate) const ALL: Walk<'static> = Walk {
        low: Bound::Unbounded,
        high: Bound::Unbounded,
        order: Order::Up,
    };

    pub(crate) fn is_nothing(&self) -> bool {
        match (self.low, self.high) {
            (Bound::Included(low), Bound::Included(high)) => low > high,
            (Bound::Included(low) | Bound::Excluded(low), Bound::Excluded(high))
            | (Bound::Excluded(low), Bound::Included(high)) => low >= high,
            _ => false,
        }
    }
}

/// What is known of an item without reading it.
pub(crate) trait Spotted: fmt::Debug + Copy + Send {
    /// The commit that wrote it; 0 when that cannot be told.
    fn version(&self) -> u64;
    /// Bytes of kind and value, or of the log entry.
    fn weight(&self) -> usize;
    /// Where it lies in the commit log; none when it does not.
    fn in_log(&self) -> Option<Spot>;
}

/// What is known of an item's place before it is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// It was judged that there is no such item: nobody need look.
    Nothing,
    /// There may be one.
    Unknown,
}

/// Whether all of what is to be made durable is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    /// All that was there when the round began.
    All,
    /// There is more to do.
    Part,
}

/// How long settling may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// A moment: commits wait.
    None,
    /// As long as it takes.
    Unbounded,
}

/// What can be told without waiting for a disk or for anybody.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "sled"),
    expect(dead_code, reason = "only sled's index tells anything")
)]
pub(crate) enum AtOnce<T> {
    /// This.
    Known(T),
    /// Nothing: it is to be looked for.
    Unknown,
    /// Nothing while the index is being changed, which takes less than a reader thread would.
    Busy,
}

#[cfg(feature = "sled")]
impl<T> AtOnce<T> {
    /// What comes of it, if that can be told at once too.
    pub(crate) fn read<U>(self, read: impl FnOnce(T) -> Option<U>) -> AtOnce<U> {
        match self {
            Self::Known(known) => read(known).map_or(AtOnce::Unknown, AtOnce::Known),
            Self::Unknown => AtOnce::Unknown,
            Self::Busy => AtOnce::Busy,
        }
    }
}

/// What stands behind the commit log, as far as backends differ in it.
///
/// Only the committer changes it, behind the flush. Keys and streams are in their stored form.
pub(crate) trait Index: fmt::Debug + Send + Sync + Sized + 'static {
    /// Where an item lies.
    type Spot: Spotted;
    /// What readers need beside the log.
    type Beside: fmt::Debug + Default + Send + Sync + 'static;
    /// Reads items. While it lives, what was found after it was made can be read.
    type Fetch<'a>: Fetch<Self::Spot>;
    /// Held while segments go.
    type Changing<'a>;
    /// The backend's name in `FORMAT` and in a store's address.
    const BACKEND: &'static str;
    /// How long is waited between two steps of settling when nobody commits.
    const BETWEEN_STEPS: Duration;
    /// Whether settling replaces and removes what items lie in: then it waits while somebody exports.
    const REPLACES_FILES: bool;

    /// Where a record lies.
    fn record(&self, key: &str) -> Result<Option<Self::Spot>, IndexError>;
    /// Where a record lies that somebody asks for, or is about to make: that there is none is worth knowing.
    fn looked_for(&self, key: &str) -> Result<Option<Self::Spot>, IndexError> {
        let spot = self.record(key)?;
        if spot.is_none() {
            self.saw_nothing_of(key)?;
        }
        Ok(spot)
    }
    /// A record lies there in the log now; where it lay.
    fn put_record(
        &mut self,
        key: &str,
        spot: &Spot,
        before: Before,
    ) -> Result<Option<Self::Spot>, IndexError>;
    /// A record is no more; where it lay.
    fn remove_record(&mut self, key: &str) -> Result<Option<Self::Spot>, IndexError>;
    /// A log's head.
    fn head(&self, log: &str) -> Result<Option<Head>, IndexError>;
    /// A log has this head now; whether it had none.
    fn put_head(&mut self, log: &str, head: &Head) -> Result<bool, IndexError>;
    /// A log's entry lies there in the commit log now; where it lay.
    fn put_entry(
        &mut self,
        log: &str,
        position: u64,
        spot: &Spot,
        before: Before,
    ) -> Result<Option<Self::Spot>, IndexError>;
    /// Where a log's entry lies.
    fn entry(&self, log: &str, position: u64) -> Result<Option<Self::Spot>, IndexError>;
    /// A log's entry is no more.
    fn remove_entry(&mut self, log: &str, position: u64) -> Result<(), IndexError>;
    /// Shows records in order until told to stop.
    fn walk_records(
        &self,
        walk: Walk<'_>,
        visit: impl FnMut(&str, Self::Spot) -> bool,
    ) -> Result<(), IndexError>;
    /// There was none of this key, and somebody may ask again: nothing is said of what only the log asks for.
    fn saw_nothing_of(&self, _key: &str) -> Result<(), IndexError> {
        Ok(())
    }
    /// There was none to be shown of that.
    fn saw_none(&self, _walk: Walk<'_>) -> Result<(), IndexError> {
        Ok(())
    }
    /// Shows logs' heads in order until told to stop.
    fn walk_heads(&self, walk: Walk<'_>, visit: impl FnMut(&str, Head) -> bool) -> Result<(), IndexError>;
    /// Shows a log's entries from one position to before another, in order, until told to stop.
    fn walk_entries(
        &self,
        log: &str,
        from: u64,
        to: u64,
        visit: impl FnMut(u64, Self::Spot) -> bool,
    ) -> Result<(), IndexError>;
    /// Shows every entry of every log in order, behind one or from the first, until told to stop.
    fn walk_all_entries(
        &self,
        after: Option<(&str, u64)>,
        visit: impl FnMut(&str, u64, Self::Spot) -> bool,
    ) -> Result<(), IndexError>;
    /// Says that changes up to this version follow.
    fn begin(&mut self, version: u64) -> Result<(), IndexError>;
    /// Bytes on disk behind the log.
    fn bytes(&self) -> Result<u64, IndexError>;

    /// Whether it takes a batch, beside what the batch expects. `growth` is how many records the group added so far.
    fn admits(&self, batch: &Batch, growth: i64) -> Result<(), CommitError>;
    /// Whether it takes a truncation of this log.
    fn admits_truncation(&self, log: &Stream) -> Result<(), CommitError>;

    /// Begins to read.
    fn fetch(shared: &Shared<Self>) -> Self::Fetch<'_>;
    /// What a key has.
    fn entry_now(_shared: &Shared<Self>, _key: &Key) -> AtOnce<Option<Entry>> {
        AtOnce::Unknown
    }
    /// The same of several, all of them at one read point.
    fn entries_now(_shared: &Shared<Self>, _keys: &[Key]) -> AtOnce<Vec<Option<Entry>>> {
        AtOnce::Unknown
    }
    /// That nothing is in any of these pages, all of them at one read point.
    fn are_empty_now(_shared: &Shared<Self>, _pages: &[Page]) -> AtOnce<()> {
        AtOnce::Unknown
    }
    /// Makes what the log holds durable behind it, or a part of it.
    fn settle(shared: &Shared<Self>, patience: Patience) -> io::Result<Settled>;
    /// Waits until it has come near enough to what was committed, with nothing held that readers need.
    fn keep_up(_shared: &Shared<Self>) -> Result<(), IndexError> {
        Ok(())
    }
    /// Waits for what settling has under way, however it ends.
    fn abandon(shared: &Shared<Self>);
    /// A sum of what it has on disk, when nothing will change it any more; 0 for one that needs none.
    fn sum(shared: &Shared<Self>) -> io::Result<u64>;
    /// Waits until nobody reads what lies where segments go, and lets nobody.
    fn change_files(beside: &Self::Beside) -> Self::Changing<'_>;
}
