//! Stores that are wrong in one way each: recorded as every store is, and refused.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use dormouse_filesystem::contract::linear::{RECORDS, Refusals, check, record};
use dormouse_filesystem::wrapper::Between;
use dormouse_filesystem::{
    Batch, BusyCause, CommitError, Committed, Deadline, Entry, Expected, Key, Memory, ReadError, RecordStore,
    between,
};
use rand::TryRng;

/// Histories recorded before a wrong store is taken for a right one.
const HISTORIES_MAX: u64 = 40;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    /// Nothing.
    Nothing,
    /// Now and then a read is of the entry before.
    StaleRead,
    /// Now and then a write is done at whatever version there is.
    LostUpdate,
    /// Now and then a write is done again later.
    DoubleApply,
    /// Now and then a write is acknowledged and not done.
    ForgottenWrite,
    /// Now and then a write is done and told as certainly not done.
    DoneThoughBusy,
    /// A batch over several records is done in parts.
    TornBatch,
    /// Several records are read one after the other.
    TornRead,
    /// Now and then a write is refused without a reason.
    RefusedForNothing,
}

const ALL: [Wrong; 8] = [
    Wrong::StaleRead,
    Wrong::LostUpdate,
    Wrong::DoubleApply,
    Wrong::ForgottenWrite,
    Wrong::DoneThoughBusy,
    Wrong::TornBatch,
    Wrong::TornRead,
    Wrong::RefusedForNothing,
];

struct Mutant {
    wrong: Wrong,
    inner: Memory,
    calls: AtomicU64,
    /// What each key held before its last change.
    before: Mutex<BTreeMap<Key, Option<Entry>>>,
    /// A batch to be done a second time.
    twice: Mutex<Option<Batch>>,
}

impl Mutant {
    fn new(wrong: Wrong) -> Self {
        Self {
            wrong,
            inner: Memory::new(jiff::Timestamp::UNIX_EPOCH),
            calls: AtomicU64::new(0),
            before: Mutex::default(),
            twice: Mutex::default(),
        }
    }

    /// Once in so many calls, when this is what is wrong.
    fn does(&self, wrong: Wrong) -> bool {
        self.wrong == wrong && self.calls.fetch_add(1, Ordering::SeqCst) % 7 == 3
    }

    /// The same batch, of what is there now.
    async fn at_what_is_there(&self, mut batch: Batch) -> Batch {
        for put in &mut batch.puts {
            let entry = self.inner.get(&put.key).await.unwrap();
            put.expected = entry.map_or(Expected::Absent, |entry| Expected::At(entry.version));
        }
        batch.deletes.clear();
        batch.checks.clear();
        batch
    }

    async fn remember(&self, batch: &Batch) {
        for (key, _) in batch.keys() {
            let entry = self.inner.get(key).await.unwrap();
            self.before.lock().unwrap().insert(key.clone(), entry);
        }
    }

    async fn in_parts(&self, batch: Batch, deadline: Deadline) -> Result<Committed, CommitError> {
        let mut committed = None;
        for put in batch.puts {
            let mut part = Batch::new(batch.lane.clone());
            part.puts.push(put);
            committed = Some(self.inner.commit(part, deadline).await?);
            tokio::task::yield_now().await;
        }
        Ok(committed.unwrap())
    }
}

#[async_trait]
impl Between for Mutant {
    fn beneath(&self) -> &dyn RecordStore {
        &self.inner
    }

    async fn get(&self, key: &Key) -> Result<Option<Entry>, ReadError> {
        if self.does(Wrong::StaleRead)
            && let Some(before) = self.before.lock().unwrap().get(key)
        {
            return Ok(before.clone());
        }
        self.inner.get(key).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, ReadError> {
        if self.wrong != Wrong::TornRead {
            return self.inner.get_many(keys).await;
        }
        let mut entries = Vec::new();
        for key in keys {
            entries.push(self.inner.get(key).await?);
            tokio::task::yield_now().await;
        }
        Ok(entries)
    }

    async fn commit(&self, batch: Batch, deadline: Deadline) -> Result<Committed, CommitError> {
        self.remember(&batch).await;
        if self.does(Wrong::LostUpdate) && !batch.puts.is_empty() {
            let batch = self.at_what_is_there(batch).await;
            return self.inner.commit(batch, deadline).await;
        }
        if self.does(Wrong::ForgottenWrite) && batch.writes() {
            let Ok(committed) = Memory::new(jiff::Timestamp::UNIX_EPOCH)
                .commit(self.at_what_is_there(batch.clone()).await, deadline)
                .await
            else {
                return self.inner.commit(batch, deadline).await;
            };
            return Ok(committed);
        }
        if self.does(Wrong::RefusedForNothing) {
            let failed = batch.keys().map(|(key, expected)| dormouse_filesystem::Failed {
                key: key.clone(),
                actual: match expected {
                    Expected::Absent => None,
                    Expected::At(version) => Some(version),
                },
            });
            return Err(CommitError::Conflict {
                failed: failed.collect(),
            });
        }
        if self.wrong == Wrong::TornBatch && batch.puts.len() > 1 && batch.puts.len() == batch.operations() {
            return self.in_parts(batch, deadline).await;
        }
        let committed = self.inner.commit(batch.clone(), deadline).await?;
        if self.does(Wrong::DoneThoughBusy) && batch.writes() {
            return Err(CommitError::Busy {
                cause: BusyCause::Queue,
            });
        }
        if self.wrong == Wrong::DoubleApply && !batch.puts.is_empty() {
            let twice = self.twice.lock().unwrap().replace(batch);
            if let Some(twice) = twice.filter(|_| self.does(Wrong::DoubleApply)) {
                let again = self.at_what_is_there(twice).await;
                let _ = self.inner.commit(again, deadline).await;
            }
        }
        Ok(committed)
    }
}

between!(Mutant);

impl fmt::Debug for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mutant({:?})", self.wrong)
    }
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mutant")
    }
}

/// Which of so many histories of such a store was refused first, and why.
async fn refused(wrong: Wrong, seed: u64) -> Option<(u64, String)> {
    for n in 0..HISTORIES_MAX {
        let store: Arc<dyn RecordStore> = Arc::new(Mutant::new(wrong));
        let events = record(&store, seed.wrapping_add(n * 1000)).await;
        if let Err(why) = check(events, RECORDS, Refusals::Exact) {
            return Some((n, why));
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_that_is_wrong_in_any_one_way_is_refused() {
    let seed = rand::rngs::SysRng.try_next_u64().unwrap();
    println!("seed {seed}");
    for wrong in ALL {
        let Some((n, why)) = refused(wrong, seed).await else {
            panic!("seed {seed}: {wrong:?} was taken for right {HISTORIES_MAX} times");
        };
        assert!(!why.starts_with("no order found in"), "{wrong:?}: {why}");
        println!("{wrong:?} was refused in history {n}");
    }
    assert_eq!(refused(Wrong::Nothing, seed).await, None, "seed {seed}");
}
