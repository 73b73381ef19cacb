//! Drives a record store with many tasks at once.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dormouse_filesystem::{
    Batch, Change, CommitError, Committed, Deadline, Entry, Expected, Key, Lane, RecordKind, RecordStore,
    Retry, Store, Stream, UpdateError, cas_update,
};
use dormouse_tests::measure::Samples;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::physical::RECORD_BYTES;

/// What the records are.
pub(crate) const KIND: RecordKind = RecordKind::of("bench");
const COMMIT_DEADLINE: Duration = Duration::from_secs(10);

/// What a load came to: how long each commit took, and all of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Load {
    pub(crate) taken: Vec<Duration>,
    pub(crate) time: Duration,
}

impl Load {
    /// Acknowledged commits a second.
    pub(crate) fn rate(&self) -> f64 {
        self.taken.len() as f64 / self.time.as_secs_f64()
    }

    /// The milliseconds within which this share of the commits were acknowledged.
    pub(crate) fn within(&self, share: f64) -> f64 {
        let mut taken = self.taken.clone();
        taken.sort();
        let at = (taken.len() as f64 * share) as usize;
        taken.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.taken.extend(other.taken);
        self.time += other.time;
    }
}

/// Commits a second, and the milliseconds within which 99 and 50 of a hundred were acknowledged.
pub(crate) fn push(samples: &mut Samples, name: &str, load: &Load) {
    samples.push(name, load.rate());
    samples.push(format!("{name} p99"), load.within(0.99));
    samples.push(format!("{name} p50"), load.within(0.5));
}

/// A record that differs from the last one: a store may see that equal bytes need no write.
pub(crate) fn record() -> [u8; RECORD_BYTES] {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut record = [0x5a; RECORD_BYTES];
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    record[..8].copy_from_slice(&count.to_be_bytes());
    record
}

/// Every task replaces a record of its own, one commit after the other.
pub(crate) async fn distinct(store: &Arc<dyn RecordStore>, tasks: usize, time: Duration) -> Load {
    in_lane(store, &Lane::System, tasks, time).await
}

/// The same in this lane, with records of the lane's own.
pub(crate) async fn in_lane(store: &Arc<dyn RecordStore>, lane: &Lane, tasks: usize, time: Duration) -> Load {
    let until = Instant::now() + time;
    run(tasks, |task| {
        let (store, lane) = (Arc::clone(store), lane.clone());
        async move { replace_until(&*store, &lane, task, until).await }
    })
    .await
}

async fn replace_until(store: &dyn RecordStore, lane: &Lane, task: usize, until: Instant) -> Vec<Duration> {
    let key = match lane {
        Lane::System => key(&format!("distinct/{task}")),
        Lane::Tenant(tenant) => key(&format!("lane/{tenant}/{task}")),
    };
    let read = store.get(&key).await.expect("the store can be read");
    let mut expected = read.map_or(Expected::Absent, |entry| Expected::At(entry.version));
    let mut taken = Vec::new();
    while Instant::now() < until {
        let before = Instant::now();
        let mut batch = Batch::new(lane.clone());
        batch.put(key.clone(), expected, KIND, record().to_vec());
        let committed = commit(store, batch).await.expect("nobody else writes this key");
        taken.push(before.elapsed());
        expected = Expected::At(committed.version.expect("a put has a version"));
    }
    taken
}

/// Every task raises one count with `cas_update`: updates that gave up do not count.
pub(crate) async fn hot(store: &Arc<dyn RecordStore>, tasks: usize, time: Duration) -> Load {
    let until = Instant::now() + time;
    run(tasks, |task| {
        let store = Arc::clone(store);
        let retry = Retry::seeded(task as u64);
        async move {
            let mut taken = Vec::new();
            while Instant::now() < until {
                let before = Instant::now();
                match cas_update(&*store, &key("hot"), &retry, count_up).await {
                    Ok(_) => taken.push(before.elapsed()),
                    Err(UpdateError::Contended { .. }) => {}
                    Err(error) => panic!("the hot key: {error}"),
                }
            }
            taken
        }
    })
    .await
}

/// The same by a store's own queue of updates.
pub(crate) async fn hot_combined(store: &Store, tasks: usize, time: Duration) -> Load {
    let until = Instant::now() + time;
    run(tasks, |_| {
        let store = store.clone();
        async move {
            let mut taken = Vec::new();
            while Instant::now() < until {
                let before = Instant::now();
                let updated = store.update(&key("hot"), &Lane::System, count_up).await;
                updated.expect("the queue has room for every task");
                taken.push(before.elapsed());
            }
            taken
        }
    })
    .await
}

/// The same by a mutex around get and put, as a program without compare-and-swap has it.
pub(crate) async fn hot_by_mutex(store: &Arc<dyn RecordStore>, tasks: usize, time: Duration) -> Load {
    let until = Instant::now() + time;
    let mutex = Arc::new(tokio::sync::Mutex::new(()));
    run(tasks, |_| {
        let (store, mutex) = (Arc::clone(store), Arc::clone(&mutex));
        async move {
            let mut taken = Vec::new();
            while Instant::now() < until {
                let before = Instant::now();
                let _held = mutex.lock().await;
                put_counted(&*store).await;
                taken.push(before.elapsed());
            }
            taken
        }
    })
    .await
}

async fn put_counted(store: &dyn RecordStore) {
    let read = store.get(&key("hot")).await.expect("the store can be read");
    let expected = read
        .as_ref()
        .map_or(Expected::Absent, |entry| Expected::At(entry.version));
    let mut batch = Batch::new(Lane::System);
    batch.put(key("hot"), expected, KIND, counted(read.as_ref()));
    commit(store, batch).await.expect("the mutex keeps others out");
}

fn count_up(entry: Option<&Entry>) -> Result<(Change, ()), Infallible> {
    Ok((Change::put(KIND, counted(entry)), ()))
}

/// The record with its first eight bytes, a number, raised by one.
fn counted(entry: Option<&Entry>) -> Vec<u8> {
    let mut value = entry.map_or_else(|| vec![0; RECORD_BYTES], |entry| entry.value.to_vec());
    let number = value
        .first_chunk_mut::<8>()
        .expect("a record has more than eight bytes");
    *number = (u64::from_be_bytes(*number) + 1).to_be_bytes();
    value
}

/// One batch of 16 rows and 4 log entries: how long it takes.
pub(crate) async fn batch_of_20(store: &dyn RecordStore) -> Duration {
    let mut batch = Batch::new(Lane::System);
    for row in 0..16 {
        let key = key(&format!("batch/{row}"));
        let read = store.get(&key).await.expect("the store can be read");
        let expected = read.map_or(Expected::Absent, |entry| Expected::At(entry.version));
        batch.put(key, expected, KIND, record().to_vec());
    }
    for log in 0..4 {
        batch.append(Stream::new(key(&format!("batch-log/{log}"))), record().to_vec());
    }
    let before = Instant::now();
    commit(store, batch).await.expect("nobody else writes these keys");
    before.elapsed()
}

/// So many commits of one row, one after the other: how long they take.
pub(crate) async fn single_commits(store: &dyn RecordStore, count: usize) -> Duration {
    let key = key("single");
    let read = store.get(&key).await.expect("the store can be read");
    let mut expected = read.map_or(Expected::Absent, |entry| Expected::At(entry.version));
    let before = Instant::now();
    for _ in 0..count {
        let mut batch = Batch::new(Lane::System);
        batch.put(key.clone(), expected, KIND, record().to_vec());
        let committed = commit(store, batch).await.expect("nobody else writes this key");
        expected = Expected::At(committed.version.expect("a put has a version"));
    }
    before.elapsed()
}

pub(crate) async fn commit(store: &dyn RecordStore, batch: Batch) -> Result<Committed, CommitError> {
    store.commit(batch, Deadline::after(COMMIT_DEADLINE)).await
}

pub(crate) fn key(path: &str) -> Key {
    Key::parse(&format!("bench/{path}")).expect("a short plain name")
}

/// Runs tasks that each return how long their commits took, and sums them up.
pub(crate) async fn run<F>(tasks: usize, task: impl Fn(usize) -> F) -> Load
where
    F: Future<Output = Vec<Duration>> + Send + 'static,
{
    let start = Instant::now();
    let mut running = JoinSet::new();
    for number in 0..tasks {
        running.spawn(task(number));
    }
    let taken = running.join_all().await.concat();
    Load {
        taken,
        time: start.elapsed(),
    }
}

/// Appends one entry.
pub(crate) async fn append(store: &dyn RecordStore, log: &Stream) {
    let mut batch = Batch::new(Lane::System);
    batch.append(log.clone(), record().to_vec());
    commit(store, batch).await.expect("an append expects nothing");
}

/// Every task appends to one log.
pub(crate) async fn one_log(store: &Arc<dyn RecordStore>, tasks: usize, time: Duration) -> Load {
    let until = Instant::now() + time;
    run(tasks, |_| {
        let store = Arc::clone(store);
        async move {
            let mut taken = Vec::new();
            while Instant::now() < until {
                let before = Instant::now();
                append(&*store, &Stream::new(key("hot-log"))).await;
                taken.push(before.elapsed());
            }
            taken
        }
    })
    .await
}

/// Puts one record.
pub(crate) async fn put(store: &dyn RecordStore, key: Key, expected: Expected) {
    let mut batch = Batch::new(Lane::System);
    batch.put(key, expected, KIND, record().to_vec());
    commit(store, batch).await.expect("nobody else writes this key");
}
