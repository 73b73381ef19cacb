//! A part of a file as one commit, and what is left of it where an earlier try may have done some.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;

use super::ImportError;
use super::mark::{self, COMMIT_MAX};
use crate::{
    Batch, CommitError, Deadline, Entry, Expected, GET_MANY_MAX, Key, Lane, LogHead, Position, Predecessor,
    RecordStore, Stream, Version,
};

/// Most operations and bytes of a commit; one item more may pass the bytes, within a batch's limits.
const CHUNK_OPERATIONS: usize = 1000;
const CHUNK_BYTES: usize = 256 * 1024;
/// Most tries of one commit, and the delay after the first, which doubles.
const ATTEMPTS_MAX: u32 = 8;
const DELAY_MIN: Duration = Duration::from_millis(10);

/// What goes in one commit.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    records: Vec<Entry>,
    logs: Vec<LogPart>,
    operations: usize,
    bytes: usize,
}

/// Some entries of a log.
#[derive(Debug)]
struct LogPart {
    log: Stream,
    first: Position,
    predecessor: Predecessor,
    /// Whether the log begins with it.
    begins: bool,
    /// The position of its first entry.
    from: Position,
    entries: Vec<Bytes>,
}

impl LogPart {
    /// The position behind its last entry.
    fn end(&self) -> u64 {
        self.from.get() + self.entries.len() as u64
    }

    /// The rest of it, when another part has the entries until now.
    fn rest(&self) -> Self {
        Self {
            log: self.log.clone(),
            first: self.first,
            predecessor: self.predecessor,
            begins: false,
            from: Position::new(self.end()),
            entries: Vec::new(),
        }
    }

    /// What is not yet done of it, when the log is so.
    fn left(mut self, head: &LogHead) -> Result<Option<Self>, ImportError> {
        let Some(_) = head.incarnation else {
            return if self.begins {
                Ok(Some(self))
            } else {
                Err(self.diverged())
            };
        };
        let is_ours = head.predecessor == Some(self.predecessor) && head.first == self.first;
        let next = head.next.get();
        if !is_ours || next < self.from.get() {
            return Err(self.diverged());
        }
        let done = usize::try_from(next - self.from.get()).unwrap_or(usize::MAX);
        if done >= self.entries.len() {
            return Ok(None);
        }
        self.entries.drain(..done);
        self.from = head.next;
        self.begins = false;
        Ok(Some(self))
    }

    fn diverged(&self) -> ImportError {
        ImportError::Diverged {
            key: self.log.key().clone(),
        }
    }
}

impl Chunk {
    /// Whether an item of so many bytes goes to the next one.
    pub(super) fn is_full_for(&self, bytes: usize) -> bool {
        self.operations >= CHUNK_OPERATIONS || (self.operations > 0 && self.bytes + bytes > CHUNK_BYTES)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.operations == 0
    }

    /// Whether it goes on in a log that an earlier one began.
    pub(super) fn continues(&self) -> bool {
        self.logs.first().is_some_and(|part| !part.begins)
    }

    pub(super) fn record(&mut self, entry: Entry) {
        self.operations += 1;
        self.bytes += crate::filling::entry_bytes(&entry);
        self.records.push(entry);
    }

    /// A log begins; entries follow.
    pub(super) fn log(&mut self, log: Stream, head: &LogHead) {
        let incarnation = head.incarnation.expect("a log of a file has one");
        self.operations += 1;
        self.bytes += log.key().stored().len();
        self.logs.push(LogPart {
            log,
            first: head.first,
            predecessor: Predecessor {
                incarnation,
                next: head.next,
            },
            begins: true,
            from: head.first,
            entries: Vec::new(),
        });
    }

    /// An entry of the last log.
    pub(super) fn entry(&mut self, entry: Bytes) {
        let part = self.logs.last_mut().expect("a file's entries follow their log");
        self.operations += 1;
        self.bytes += part.log.key().stored().len() + entry.len();
        part.entries.push(entry);
    }

    /// What follows this one: an empty chunk that goes on in its last log.
    pub(super) fn following(&self) -> Self {
        Self {
            logs: self.logs.last().map(LogPart::rest).into_iter().collect(),
            ..Self::default()
        }
    }

    fn batch(&self) -> Batch {
        let mut batch = Batch::new(Lane::System);
        for entry in &self.records {
            batch.put(
                entry.key.clone(),
                Expected::Absent,
                entry.kind.clone(),
                entry.value.clone(),
            );
        }
        for part in &self.logs {
            if part.begins {
                batch.begin(part.log.clone(), part.first, Some(part.predecessor));
            }
            for entry in &part.entries {
                batch.append(part.log.clone(), entry.clone());
            }
        }
        batch
    }

    /// Commits it, if the mark is still this import's. `is_sure` says that nothing of it can be there yet.
    ///
    /// A conflict with what an earlier try did is decided by looking at what is there: nothing is written over. After
    /// a lost answer that would tell nothing, since the commit may still come; only the mark taken anew keeps it out.
    pub(super) async fn commit(
        mut self,
        store: &dyn RecordStore,
        mark: Version,
        is_sure: bool,
    ) -> Result<(), ImportError> {
        let (mut is_sure, mut delay) = (is_sure, DELAY_MIN);
        let mut last = CommitError::Indeterminate { source: None };
        for _ in 0..ATTEMPTS_MAX {
            if !is_sure {
                self = self.left(store).await?;
            }
            let mut batch = self.batch();
            if batch.operations() == 0 {
                return Ok(());
            }
            batch.check(mark::key(), Expected::At(mark));
            match store.commit(batch, Deadline::after(COMMIT_MAX)).await {
                Ok(_) => return Ok(()),
                Err(error) if error.is_congestion() => last = error,
                Err(CommitError::Conflict { failed }) if failed.iter().any(|one| one.key == mark::key()) => {
                    return Err(CommitError::Conflict { failed }.into());
                }
                Err(error @ CommitError::Conflict { .. }) => (is_sure, last) = (false, error),
                Err(error) => return Err(error.into()),
            }
            sleep(delay).await;
            delay *= 2;
        }
        Err(last.into())
    }

    /// What is not there yet.
    async fn left(mut self, store: &dyn RecordStore) -> Result<Self, ImportError> {
        let mut records = Vec::new();
        for some in self.records.chunks(GET_MANY_MAX) {
            let keys: Vec<Key> = some.iter().map(|entry| entry.key.clone()).collect();
            for (entry, found) in some.iter().zip(store.get_many(&keys).await?) {
                match found {
                    None => records.push(entry.clone()),
                    Some(found) if found.kind == entry.kind && found.value == entry.value => {}
                    Some(found) => return Err(ImportError::Diverged { key: found.key }),
                }
            }
        }
        let mut logs = Vec::new();
        for part in self.logs {
            let head = store.head(&part.log).await?;
            logs.extend(part.left(&head)?);
        }
        (self.records, self.logs) = (records, logs);
        Ok(self)
    }
}
