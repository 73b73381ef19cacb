//! The one write: a conditional batch over several keys and logs, all or nothing.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::{CommitError, Key, Position, Predecessor, Segment, Stream, Version};

/// Most operations of a batch: checks, puts, deletes, begins and appends together.
pub const BATCH_OPERATIONS_MAX: usize = 1024;
/// Most bytes of a batch: keys, values and log entries together.
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Longest value of a record, in bytes. Larger ones are blobs.
pub const VALUE_MAX: usize = 768 * 1024;
/// Longest entry of a log, in bytes.
pub const LOG_ENTRY_MAX: usize = 256 * 1024;
/// Longest [`RecordKind`], in bytes.
pub const KIND_MAX: usize = 63;
/// No log begins behind this position: 2⁵², so that none ever ends behind 2⁵³.
pub const LOG_FIRST_MAX: Position = Position::new(1 << 52);

/// What a record is, written beside its bytes: `[a-z][a-z0-9_]{0,62}`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordKind(std::borrow::Cow<'static, str>);

impl RecordKind {
    /// A kind fixed in code.
    ///
    /// # Panics
    /// When the text is no kind, at compile time where used in a constant.
    #[must_use]
    pub const fn of(kind: &'static str) -> Self {
        assert!(is_kind(kind.as_bytes()), "a kind is [a-z][a-z0-9_]{{0,62}}");
        Self(std::borrow::Cow::Borrowed(kind))
    }

    /// Parses a kind that was read from somewhere.
    #[must_use]
    pub fn parse(kind: &str) -> Option<Self> {
        is_kind(kind.as_bytes()).then(|| Self(std::borrow::Cow::Owned(kind.to_owned())))
    }

    /// The kind's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const fn is_kind(bytes: &[u8]) -> bool {
    if bytes.is_empty() || bytes.len() > KIND_MAX || !bytes[0].is_ascii_lowercase() {
        return false;
    }
    let mut at = 1;
    while at < bytes.len() {
        if !(bytes[at].is_ascii_lowercase() || bytes[at].is_ascii_digit() || bytes[at] == b'_') {
            return false;
        }
        at += 1;
    }
    true
}

impl fmt::Debug for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordKind({})", self.0)
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a write expects to find. There is no third: a blind write cannot be spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// The key does not exist.
    Absent,
    /// The key exists and was last written by this commit.
    At(Version),
}

/// A record as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub key: Key,
    /// Its bytes, at most [`VALUE_MAX`].
    pub value: Bytes,
    /// The commit that wrote it.
    pub version: Version,
    /// What it is.
    pub kind: RecordKind,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Entry({} {} at {}, {} bytes)",
            self.kind,
            self.key,
            self.version,
            self.value.len()
        )
    }
}

/// An expectation alone: it guards a batch and writes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The key judged.
    pub key: Key,
    /// What it must be.
    pub expected: Expected,
}

/// One record written.
#[derive(Clone, PartialEq, Eq)]
pub struct Put {
    /// The key written.
    pub key: Key,
    /// What it must be before.
    pub expected: Expected,
    /// What the record is.
    pub kind: RecordKind,
    /// Its new bytes.
    pub value: Bytes,
}

impl fmt::Debug for Put {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key,
            expected,
            kind,
            value,
        } = self;
        write!(f, "Put({kind} {key} {expected:?}, {} bytes)", value.len())
    }
}

/// One record removed. Only what was read can be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delete {
    /// The key removed.
    pub key: Key,
    /// The version it must have.
    pub at: Version,
}

/// One entry added to the end of a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Append {
    /// The log.
    pub log: Stream,
    /// The entry's bytes, at most [`LOG_ENTRY_MAX`].
    pub entry: Bytes,
}

impl fmt::Debug for Append {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Append({}, {} bytes)", self.log, self.entry.len())
    }
}

/// A log that begins where another one ended: one that is restored, or moved from another store.
///
/// The log must not exist, as with [`Expected::Absent`]: a [`Conflict`](CommitError::Conflict) names its key and its
/// incarnation. What the same batch appends to it follows at `first`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begin {
    /// The log.
    pub log: Stream,
    /// The position of its first entry, 1 to [`LOG_FIRST_MAX`].
    pub first: Position,
    /// The log it continues, whose cursors stay good up to where it ended; its numbers are 1 to before 2⁵³.
    pub predecessor: Option<Predecessor>,
}

/// The fairness class of a commit. A namespace sets it, never a caller.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Lane {
    /// The engine's own work.
    #[default]
    System,
    /// A tenant's work.
    Tenant(Segment),
}

/// Until when an answer is of use: an instant of the tokio clock, so tests can pause it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// This much later than now.
    #[must_use]
    pub fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// At this instant.
    #[must_use]
    pub fn at(instant: Instant) -> Self {
        Self(instant)
    }

    /// The instant.
    #[must_use]
    pub fn instant(self) -> Instant {
        self.0
    }

    /// Whether it has passed.
    #[must_use]
    pub fn has_passed(self) -> bool {
        self.0 <= Instant::now()
    }
}

/// What one commit does. Either all of it happens or nothing does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Guards.
    pub checks: Vec<Check>,
    /// Records written.
    pub puts: Vec<Put>,
    /// Records removed.
    pub deletes: Vec<Delete>,
    /// Logs begun, before anything is appended to them.
    pub begins: Vec<Begin>,
    /// Log entries, in order.
    pub appends: Vec<Append>,
    /// Who it is for.
    pub lane: Lane,
}

impl Batch {
    /// An empty batch of this lane.
    #[must_use]
    pub fn new(lane: Lane) -> Self {
        Self {
            lane,
            ..Self::default()
        }
    }

    /// Adds a guard.
    pub fn check(&mut self, key: Key, expected: Expected) -> &mut Self {
        self.checks.push(Check { key, expected });
        self
    }

    /// Adds a write.
    pub fn put(
        &mut self,
        key: Key,
        expected: Expected,
        kind: RecordKind,
        value: impl Into<Bytes>,
    ) -> &mut Self {
        self.puts.push(Put {
            key,
            expected,
            kind,
            value: value.into(),
        });
        self
    }

    /// Adds a removal.
    pub fn delete(&mut self, key: Key, at: Version) -> &mut Self {
        self.deletes.push(Delete { key, at });
        self
    }

    /// Adds a log entry.
    pub fn append(&mut self, log: Stream, entry: impl Into<Bytes>) -> &mut Self {
        self.appends.push(Append {
            log,
            entry: entry.into(),
        });
        self
    }

    /// Begins a log where another one ended.
    pub fn begin(&mut self, log: Stream, first: Position, predecessor: Option<Predecessor>) -> &mut Self {
        self.begins.push(Begin {
            log,
            first,
            predecessor,
        });
        self
    }

    /// Adds all that another batch does, behind what this one does. Its lane is not used.
    pub fn extend(&mut self, more: Self) -> &mut Self {
        self.checks.extend(more.checks);
        self.puts.extend(more.puts);
        self.deletes.extend(more.deletes);
        self.begins.extend(more.begins);
        self.appends.extend(more.appends);
        self
    }

    /// How many operations it has.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.checks.len() + self.puts.len() + self.deletes.len() + self.begins.len() + self.appends.len()
    }

    /// How many bytes count towards [`BATCH_BYTES_MAX`].
    #[must_use]
    pub fn bytes(&self) -> usize {
        let keys = self
            .checks
            .iter()
            .map(|c| c.key.stored().len())
            .chain(self.deletes.iter().map(|d| d.key.stored().len()))
            .chain(self.begins.iter().map(|b| b.log.key().stored().len()));
        let puts = self
            .puts
            .iter()
            .map(|p| p.key.stored().len() + p.kind.as_str().len() + p.value.len());
        let appends = self
            .appends
            .iter()
            .map(|a| a.log.key().stored().len() + a.entry.len());
        keys.chain(puts).chain(appends).sum()
    }

    /// Whether it writes anything; checks alone do not.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.is_repeatable() || !self.appends.is_empty()
    }

    /// Whether its own success breaks one of its preconditions, so that the identical batch applies at most once.
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        !(self.puts.is_empty() && self.deletes.is_empty() && self.begins.is_empty())
    }

    /// What every backend refuses before any I/O.
    ///
    /// # Errors
    /// `Invalid` for an empty batch or a key named twice; `TooLarge` over a limit.
    pub fn validate(&self) -> Result<(), CommitError> {
        let operations = self.operations();
        if operations == 0 {
            return Err(CommitError::Invalid {
                reason: "the batch is empty",
            });
        }
        if operations > BATCH_OPERATIONS_MAX {
            return Err(CommitError::TooLarge {
                limit: "BATCH_OPERATIONS_MAX",
            });
        }
        if self.puts.iter().any(|p| p.value.len() > VALUE_MAX) {
            return Err(CommitError::TooLarge { limit: "VALUE_MAX" });
        }
        if self.appends.iter().any(|a| a.entry.len() > LOG_ENTRY_MAX) {
            return Err(CommitError::TooLarge {
                limit: "LOG_ENTRY_MAX",
            });
        }
        if self.bytes() > BATCH_BYTES_MAX {
            return Err(CommitError::TooLarge {
                limit: "BATCH_BYTES_MAX",
            });
        }
        if !self.begins.iter().all(Begin::is_possible) {
            return Err(CommitError::Invalid {
                reason: "a log begins at a position from 1 to 2^52, behind one whose numbers are possible",
            });
        }
        let mut seen = HashSet::with_capacity(operations);
        if !self.keys().all(|(key, _)| seen.insert(key)) {
            return Err(CommitError::Invalid {
                reason: "a key is named twice in the batch",
            });
        }
        let mut begun = HashSet::with_capacity(self.begins.len());
        if !self.begins.iter().all(|begin| begun.insert(&begin.log)) {
            return Err(CommitError::Invalid {
                reason: "a log is begun twice in the batch",
            });
        }
        Ok(())
    }

    /// The keys of logs that it begins or appends to, as often as it names them.
    pub fn logs(&self) -> impl Iterator<Item = &Stream> + '_ {
        let begins = self.begins.iter().map(|begin| &begin.log);
        begins.chain(self.appends.iter().map(|append| &append.log))
    }

    /// Every key with its expectation: checks, puts, deletes.
    pub fn keys(&self) -> impl Iterator<Item = (&Key, Expected)> + '_ {
        let checks = self.checks.iter().map(|c| (&c.key, c.expected));
        let puts = self.puts.iter().map(|p| (&p.key, p.expected));
        checks
            .chain(puts)
            .chain(self.deletes.iter().map(|d| (&d.key, Expected::At(d.at))))
    }
}

impl Begin {
    fn is_possible(&self) -> bool {
        let is_number = |number: u64| (1..1 << 53).contains(&number);
        let follows = |predecessor: &Predecessor| {
            is_number(predecessor.incarnation.get()) && is_number(predecessor.next.get())
        };
        (Position::FIRST..=LOG_FIRST_MAX).contains(&self.first)
            && self.predecessor.as_ref().is_none_or(follows)
    }
}

/// What a commit did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The version all its puts share; none for checks alone, which write nothing.
    pub version: Option<Version>,
    /// The first position in each log appended to, in the order in which the batch first names them.
    pub positions: Vec<(Stream, Position)>,
}
