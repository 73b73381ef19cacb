//! Errors: one enum per kind of operation. Each variant says what was done, what was not, and what to do next.
//!
//! Congestion (`Busy`, `Unavailable`), conflict, corruption and unsupported are four different things; only
//! congestion is retried blindly.

use std::time::Duration;

use crate::{Key, Position, RecordKind, Version};

/// An operating system's error underneath, kept for the chain of causes.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// A read that gave no answer. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No answer in time. Retry with jitter.
    #[error("the store did not answer: {reason}")]
    Unavailable {
        /// What was waited for.
        reason: &'static str,
        /// What the system said.
        #[source]
        source: Option<Source>,
    },
    /// Checksum, frame or kind is wrong; the bytes are kept. An operator decides.
    #[error("the record {key} is damaged; its bytes are kept")]
    Corrupt {
        /// The damaged record.
        key: Key,
    },
    /// A newer build wrote it; it is untouched. Upgrade.
    #[error("the data has format {found}, this build knows up to {known}; upgrade dormouse")]
    TooNew {
        /// The format found.
        found: u32,
        /// The newest format known.
        known: u32,
    },
    /// Refused before any I/O. Correct the request.
    #[error("the request is not valid: {reason}")]
    Invalid {
        /// What is wrong.
        reason: &'static str,
    },
    /// This store cannot do it. Use another backend.
    #[error("this store does not support {capability}")]
    Unsupported {
        /// What it lacks.
        capability: &'static str,
    },
    /// A [`Router`](crate::Router) has no store there. Mount one, or correct the request.
    #[error("no store is mounted at {place}")]
    Unrouted {
        /// The key or prefix asked for.
        place: String,
    },
    /// The store is shut down. Reopen it.
    #[error("the store is closed: {reason}")]
    Closed {
        /// Why.
        reason: &'static str,
    },
    /// Nobody took an item of an export for so long that what it held was let go. Begin another, and take its items.
    #[error("the export was let go, since nothing was taken of it for {idle:?}; begin another")]
    ExportIdle {
        /// How long it is held while nobody takes an item.
        idle: Duration,
    },
}

/// A precondition that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The key.
    pub key: Key,
    /// Its version now; none when it does not exist.
    pub actual: Option<Version>,
}

/// Why a commit had to wait too long. Nothing was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusyCause {
    /// The commit queue is full.
    Queue,
    /// The deadline passed before the batch went to disk or server.
    Deadline,
    /// No space is left on the disk.
    NoSpace,
    /// A lock, a connection or a serialization was not had in time.
    Contention,
}

/// A commit that was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Not done: a precondition did not hold. Read, and decide again.
    #[error("{} of the commit's preconditions did not hold, first at {}", failed.len(), failed.first().map_or_else(String::new, |f| f.key.to_string()))]
    Conflict {
        /// Every key whose precondition failed.
        failed: Vec<Failed>,
    },
    /// Certainly not done: congestion. Retry with jitter.
    #[error("the store is busy ({cause:?}); nothing was committed")]
    Busy {
        /// What was waited for.
        cause: BusyCause,
    },
    /// Not done: not sent. Retry with jitter.
    #[error("the store is not reachable; nothing was committed")]
    Unavailable {
        /// What the system said.
        #[source]
        source: Option<Source>,
    },
    /// Unknown: sent, and the answer was lost. If the batch is repeatable send the identical one, else read.
    #[error("the commit's answer was lost; it may or may not have been done")]
    Indeterminate {
        /// What the system said.
        #[source]
        source: Option<Source>,
    },
    /// Not done: refused before any I/O. Make it smaller.
    #[error("the batch is over {limit}")]
    TooLarge {
        /// The name of the limit.
        limit: &'static str,
    },
    /// Not done: refused before any I/O. Correct it.
    #[error("the batch is not valid: {reason}")]
    Invalid {
        /// What is wrong.
        reason: &'static str,
    },
    /// Not done: this store cannot. Use another backend.
    #[error("this store does not support {capability}")]
    Unsupported {
        /// What it lacks.
        capability: &'static str,
    },
    /// Not done: the indexes that the store has of this kind are not those that this build writes. Upgrade.
    #[error("this build does not know the indexes of {kind} in this store; upgrade dormouse")]
    IndexUnknown {
        /// The kind.
        kind: RecordKind,
    },
    /// Not done: a [`Router`](crate::Router) has no store there. Mount one, or correct the batch.
    #[error("no store is mounted at {place}")]
    Unrouted {
        /// The first key or log without one.
        place: String,
    },
    /// Not done: a record of the batch is damaged. An operator decides.
    #[error("the record {key} is damaged; its bytes are kept")]
    Corrupt {
        /// The damaged record.
        key: Key,
    },
    /// Not done: shut down, lock lost, or an earlier flush failed. Reopen it.
    #[error("the store is closed: {reason}")]
    Closed {
        /// Why.
        reason: &'static str,
    },
}

impl CommitError {
    /// Whether it certainly was not done and may be tried again as it is, with jitter.
    #[must_use]
    pub fn is_congestion(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::Unavailable { .. })
    }
}

/// A log that could not be read from there.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// No such position: truncated away, or not written. Rebase on the rows.
    #[error("the log keeps positions {first} up to before {next}; the one asked for is not among them")]
    ReplayGap {
        /// The earliest position kept.
        first: Position,
        /// The position of the next append.
        next: Position,
    },
    /// Another log of that name. Rebase on the rows.
    #[error("the log was made anew since the cursor was taken")]
    Incarnation {
        /// The incarnation found.
        found: Version,
    },
    /// As of any read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Truncation is a write: as of any commit.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// A store that was not opened. Each variant names the one thing to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its url names no store. Correct it.
    #[error("the store's url is refused: {0}")]
    Url(#[from] crate::InvalidUrl),
    /// Another process holds it: talk to that process, or stop it.
    #[error("the store at {path} is in use by process {pid} ({program}); talk to it or stop it")]
    InUse {
        /// The store's place, as it was given.
        path: String,
        /// The holder, as it wrote itself down; it only informs.
        pid: u32,
        /// The holder's program, as it wrote itself down.
        program: String,
    },
    /// It promises less than is needed. Use another backend or place.
    #[error("the store lacks {capability}: it has {has}, {needs} is needed")]
    Lacks {
        /// The capability.
        capability: &'static str,
        /// What it has.
        has: String,
        /// What is needed.
        needs: String,
    },
    /// It breaks a promise it makes. Do not use it.
    #[error("the store breaks its promise: {promise}")]
    Broken {
        /// The promise.
        promise: &'static str,
    },
    /// A newer build made it; it is untouched. Upgrade.
    #[error("the store has format {found}, this build knows up to {known}; upgrade dormouse")]
    TooNew {
        /// The format found.
        found: u32,
        /// The newest format known.
        known: u32,
    },
    /// An import into it was not ended: import the same file again, or remove the store.
    #[error("an import into the store was not ended; import the file with the sha256 {sha256} again")]
    Importing {
        /// The digest that the file has in its trailer.
        sha256: String,
    },
    /// Not a store of ours, or of another backend. Name another place.
    #[error("{path} is not a store of this kind: {reason}")]
    Foreign {
        /// The place, as it was given.
        path: String,
        /// What was found.
        reason: String,
    },
    /// The place cannot be used: its filesystem, its owner, its mode. Correct that.
    #[error("{path} cannot hold a store: {reason}")]
    Refused {
        /// The place, as it was given.
        path: String,
        /// Why.
        reason: String,
    },
    /// The log is damaged where it must not be. Repair moves the bytes aside first.
    #[error("the store's log is damaged at {place}; nothing was changed")]
    Damaged {
        /// Segment and offset.
        place: String,
    },
    /// No answer. Try again.
    #[error("the store cannot be reached: {reason}")]
    Unavailable {
        /// What was tried.
        reason: String,
        /// What the system said.
        #[source]
        source: Option<Source>,
    },
}

/// A store that did not close in time.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// Commits that were not acknowledged before the deadline; whether they are done is unknown.
    #[error("{unacknowledged} commits were not acknowledged before the deadline")]
    Deadline {
        /// How many.
        unacknowledged: usize,
    },
}
