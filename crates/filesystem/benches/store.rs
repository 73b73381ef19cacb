//! Commits a second: distinct keys and one hot key, on each backend. Micro: durable throughput against the disk's own
//! rate is measured by `cargo xtask bench`.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use dormouse_filesystem::{
    Batch, Change, Deadline, Entry, Expected, Key, Lane, Memory, RecordKind, RecordStore, Retry, Store,
    cas_update,
};
use jiff::Timestamp;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::Instant;

const KIND: RecordKind = RecordKind::of("bench");
const NOW: Timestamp = Timestamp::constant(1_790_000_000, 0);
const VALUE_BYTES: usize = 256;

/// A backend, and what has to outlive a store of it.
trait Backend {
    const NAME: &'static str;
    type Place;
    fn open() -> impl Future<Output = (Arc<dyn RecordStore>, Self::Place)>;
}

struct InMemory;

impl Backend for InMemory {
    const NAME: &'static str = "memory";
    type Place = ();

    async fn open() -> (Arc<dyn RecordStore>, ()) {
        (Arc::new(Memory::new(NOW)), ())
    }
}

#[cfg(feature = "sled")]
struct InSled;

#[cfg(feature = "sled")]
impl Backend for InSled {
    const NAME: &'static str = "sled";
    type Place = tempfile::TempDir;

    async fn open() -> (Arc<dyn RecordStore>, tempfile::TempDir) {
        use dormouse_filesystem::{Sled, SledOptions};
        let place = tempfile::tempdir().expect("a temporary folder");
        let store = Sled::open(&place.path().join("store"), SledOptions::new(NOW)).await;
        (Arc::new(store.expect("an empty folder opens")), place)
    }
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// Each task replaces its own record so many times.
async fn distinct(store: Arc<dyn RecordStore>, task: u64, commits: u64) {
    let key = Key::parse(&format!("bench/{task}")).expect("a legal name");
    let entry = store.get(&key).await.expect("the store answers");
    let mut expected = entry.map_or(Expected::Absent, |entry| Expected::At(entry.version));
    for _ in 0..commits {
        let mut batch = Batch::new(Lane::System);
        batch.put(key.clone(), expected, KIND, vec![7; VALUE_BYTES]);
        let committed = store.commit(batch, soon()).await.expect("nobody else writes it");
        expected = Expected::At(committed.version.expect("a put has a version"));
    }
}

/// All tasks increment one record, each on its own.
async fn hot(store: Arc<dyn RecordStore>, retry: Arc<Retry>, updates: u64) {
    for _ in 0..updates {
        let updated = cas_update(&*store, &hot_key(), &retry, increment).await;
        updated.expect("8 tasks do not exhaust 32 attempts");
    }
}

/// All tasks increment one record, combined.
async fn hot_combined(store: Store, updates: u64) {
    for _ in 0..updates {
        let updated = store.update(&hot_key(), &Lane::System, increment).await;
        updated.expect("the queue holds 1024");
    }
}

fn increment(entry: Option<&Entry>) -> Result<(Change, ()), Infallible> {
    let count = entry.map_or(0, |e| {
        u64::from_le_bytes(e.value[..].try_into().expect("8 bytes"))
    });
    Ok((Change::put(KIND, (count + 1).to_le_bytes().to_vec()), ()))
}

fn hot_key() -> Key {
    Key::parse("bench/hot").expect("a legal name")
}

/// Measures a body run by so many tasks at once; each repeats it as often as criterion asks.
fn measure<F>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    runtime: &Runtime,
    tasks: u64,
    body: impl Fn(u64, u64) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    group.throughput(Throughput::Elements(tasks));
    group.bench_function(BenchmarkId::from_parameter(tasks), |b| {
        b.to_async(runtime).iter_custom(|repeats| {
            let body = &body;
            async move {
                let begun = Instant::now();
                let mut set = JoinSet::new();
                for task in 0..tasks {
                    set.spawn(body(task, repeats));
                }
                set.join_all().await;
                begun.elapsed()
            }
        });
    });
}

fn group<'a, B: Backend>(c: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(format!("{}/{name}", B::NAME));
    group
        .sample_size(10)
        .sampling_mode(SamplingMode::Flat)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));
    group
}

/// Everything over one store of a backend.
fn backend<B: Backend>(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime can be built");
    let (store, place) = runtime.block_on(B::open());
    let mut distinct_keys = group::<B>(c, "distinct keys");
    for tasks in [1, 8, 64, 256] {
        measure(&mut distinct_keys, &runtime, tasks, |task, repeats| {
            distinct(Arc::clone(&store), task, repeats)
        });
    }
    distinct_keys.finish();
    let mut alone = group::<B>(c, "one hot key, cas_update");
    let retry = Arc::new(Retry::seeded(1));
    for tasks in [1, 8] {
        measure(&mut alone, &runtime, tasks, |_, repeats| {
            hot(Arc::clone(&store), Arc::clone(&retry), repeats)
        });
    }
    alone.finish();
    let mut combined = group::<B>(c, "one hot key, combined");
    let combiner = Store::new(Arc::clone(&store), 1);
    for tasks in [1, 8, 64, 256] {
        measure(&mut combined, &runtime, tasks, |_, repeats| {
            hot_combined(combiner.clone(), repeats)
        });
    }
    combined.finish();
    runtime
        .block_on(combiner.close(soon()))
        .expect("nothing is in flight");
    drop(place);
}

fn benches(c: &mut Criterion) {
    backend::<InMemory>(c);
    #[cfg(feature = "sled")]
    backend::<InSled>(c);
}

criterion_group!(store, benches);
criterion_main!(store);
