//! Updates: read, decide, write, and again when somebody else was first. The only such loop there is.

mod change;
mod error;
mod retry;

use tokio::time::{Instant, sleep_until, timeout_at};

pub use self::change::{Change, Updated};
pub(crate) use self::change::{OwnStep, Step};
pub use self::error::UpdateError;
pub use self::retry::{ATTEMPTS_MAX, DEADLINE, DELAY_MAX, DELAY_MIN, Retry};
use crate::capability::{Atomicity, Logs};
use crate::{
    Capabilities, CommitError, Deadline, Entry, Expected, GET_MANY_MAX, Key, Lane, ReadError, RecordStore,
};

/// Changes one record by a function of what it is.
///
/// `f` is given the record, or none, and says what to do with it and what to tell the caller. It computes and has
/// no effect: after a conflict it runs again, on the fresh record; stable ids and times come from outside. It is
/// bounded by [`ATTEMPTS_MAX`] and [`DEADLINE`].
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use dormouse_filesystem::{Change, Key, Memory, RecordKind, Retry, cas_update};
/// const COUNTER: RecordKind = RecordKind::of("counter");
/// let store = Memory::new(jiff::Timestamp::UNIX_EPOCH);
/// let retry = Retry::seeded(1);
///
/// let updated = cas_update(&store, &Key::parse("counters/visits")?, &retry, |entry| {
///     let count: u64 = entry.map_or(Ok(0), |e| serde_json::from_slice(&e.value))?;
///     let change = Change::put(COUNTER, serde_json::to_vec(&(count + 1))?);
///     Ok::<_, serde_json::Error>((change, count + 1))
/// })
/// .await?;
/// assert_eq!(updated.outcome, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
///
/// # Errors
/// [`UpdateError`]: only `Write(Indeterminate)` may have been done.
pub async fn cas_update<E, T, F>(
    store: &dyn RecordStore,
    key: &Key,
    retry: &Retry,
    f: F,
) -> Result<Updated<T>, UpdateError<E>>
where
    F: FnMut(Option<&Entry>) -> Result<(Change, T), E> + Send,
{
    check_supported(&store.capabilities(&key.parent()), None)?;
    let update = Update {
        store,
        key,
        retry,
        lane: retry.lane(),
        deadline: Instant::now() + DEADLINE,
    };
    update.run(f).await
}

/// What is asked of the store before any I/O.
pub(crate) fn check_supported(has: &Capabilities, step: Option<&Step>) -> Result<(), CommitError> {
    let more = step.map(|step| &step.more);
    let capability = if has.atomicity < Atomicity::Record {
        "compare-and-swap"
    } else if has.atomicity < Atomicity::Batch && more.is_some_and(|more| more.operations() > 0) {
        "batches"
    } else if has.logs < Logs::CommitOrdered && more.is_some_and(|more| more.logs().next().is_some()) {
        "logs"
    } else {
        return Ok(());
    };
    Err(CommitError::Unsupported { capability })
}

/// One update on its way.
pub(crate) struct Update<'a> {
    pub(crate) store: &'a dyn RecordStore,
    pub(crate) key: &'a Key,
    pub(crate) retry: &'a Retry,
    pub(crate) lane: &'a Lane,
    pub(crate) deadline: Instant,
}

/// Why an attempt did not win, though the next one may.
enum Lost {
    Conflict,
    Read(ReadError),
    Write(CommitError),
}

impl Update<'_> {
    pub(crate) async fn run<E, T, F>(&self, mut f: F) -> Result<Updated<T>, UpdateError<E>>
    where
        F: FnMut(Option<&Entry>) -> Result<(Change, T), E> + Send,
    {
        let mut attempt = 1;
        // Ends with an answer, or after ATTEMPTS_MAX.
        loop {
            let lost = match self.attempt(&mut f).await? {
                Ok(updated) => return Ok(updated),
                Err(lost) => lost,
            };
            if attempt == ATTEMPTS_MAX {
                return Err(lost.into_error());
            }
            self.wait_after(attempt).await?;
            attempt += 1;
        }
    }

    async fn attempt<E, T, F>(&self, f: &mut F) -> Result<Result<Updated<T>, Lost>, UpdateError<E>>
    where
        F: FnMut(Option<&Entry>) -> Result<(Change, T), E> + Send,
    {
        let read = match self.read().await? {
            Ok(read) => read,
            Err(lost) => return Ok(Err(lost)),
        };
        let (change, outcome) = f(read.as_ref()).map_err(UpdateError::Apply)?;
        let mut step = change.against(read.as_ref());
        if let Err(lost) = self.resolve(&mut step).await? {
            return Ok(Err(lost));
        }
        if step.is_nothing() {
            return Ok(Ok(Updated {
                outcome,
                entry: read,
                committed: None,
            }));
        }
        self.write(&step, read, outcome).await
    }

    /// Reads at which versions there is what the step removes beside the record.
    async fn resolve<E>(&self, step: &mut Step) -> Result<Result<(), Lost>, UpdateError<E>> {
        let gone = std::mem::take(&mut step.gone);
        for part in gone.chunks(GET_MANY_MAX) {
            let answer = timeout_at(self.deadline, self.store.get_many(part)).await;
            match answer.map_err(|_| UpdateError::Deadline)? {
                Ok(found) => {
                    for (key, entry) in part.iter().zip(found) {
                        match entry {
                            Some(entry) => step.more.delete(entry.key, entry.version),
                            // A backfill may be about to write it.
                            None => step.more.check(key.clone(), Expected::Absent),
                        };
                    }
                }
                Err(error @ ReadError::Unavailable { .. }) => return Ok(Err(Lost::Read(error))),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Ok(()))
    }

    async fn read<E>(&self) -> Result<Result<Option<Entry>, Lost>, UpdateError<E>> {
        let answer = timeout_at(self.deadline, self.store.get(self.key)).await;
        match answer.map_err(|_| UpdateError::Deadline)? {
            Ok(read) => Ok(Ok(read)),
            Err(error @ ReadError::Unavailable { .. }) => Ok(Err(Lost::Read(error))),
            Err(error) => Err(error.into()),
        }
    }

    async fn write<E, T>(
        &self,
        step: &Step,
        read: Option<Entry>,
        outcome: T,
    ) -> Result<Result<Updated<T>, Lost>, UpdateError<E>> {
        check_supported(&self.store.capabilities(&self.key.parent()), Some(step))?;
        let batch = step.batch(self.key, read.as_ref(), self.lane);
        let commit = self.store.commit(batch, Deadline::at(self.deadline));
        let answer = timeout_at(self.deadline, commit).await;
        // A commit that has not answered by now may still be done.
        let unanswered = |_| UpdateError::Write(CommitError::Indeterminate { source: None });
        match answer.map_err(unanswered)? {
            Ok(committed) => Ok(Ok(Updated {
                outcome,
                entry: step.stored(self.key, read.as_ref(), committed.version),
                committed: Some(committed),
            })),
            Err(CommitError::Conflict { .. }) => Ok(Err(Lost::Conflict)),
            Err(error) if error.is_congestion() => Ok(Err(Lost::Write(error))),
            Err(error) => Err(error.into()),
        }
    }

    async fn wait_after<E>(&self, attempt: u32) -> Result<(), UpdateError<E>> {
        let until = Instant::now() + self.retry.delay(attempt);
        if until >= self.deadline {
            return Err(UpdateError::Deadline);
        }
        sleep_until(until).await;
        Ok(())
    }
}

impl Lost {
    fn into_error<E>(self) -> UpdateError<E> {
        match self {
            Self::Conflict => UpdateError::Contended {
                attempts: ATTEMPTS_MAX,
            },
            Self::Read(error) => UpdateError::Read(error),
            Self::Write(error) => UpdateError::Write(error),
        }
    }
}
