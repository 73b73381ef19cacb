//! Four processes on one store.

use std::fmt::Write as _;
use std::time::Duration;

use dormouse_filesystem::{
    Batch, Change, CommitError, Deadline, Expected, Key, Lane, Position, Postgres, RecordKind, RecordStore,
    RecordStoreExt, Retry, Stream, UpdateError, Version, cas_update,
};
use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng, TryRng};
use tokio::process::Command;
use tokio::task::JoinSet;

use super::place::{Database, NOW, Place, beside, is_here, run};

const KIND: RecordKind = RecordKind::of("test");
/// What a child is told: url, schema, seed.
const CHILD: &str = "DORMOUSE_TEST_POSTGRES_CHILD";
const PROCESSES: u64 = 4;
const TASKS: u64 = 16;
const STEPS: usize = 8;
const KEYS: u64 = 3;

fn key(n: u64) -> Key {
    Key::parse(&format!("hot/{n}")).unwrap()
}

fn log(n: u64) -> Stream {
    Stream::new(Key::parse(&format!("log/{n}")).unwrap())
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// Nanoseconds of the machine's clock, which all its processes share.
fn ticks() -> i128 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)
}

/// One operation: when it began and ended, and the version it wrote or saw.
#[derive(Debug, Clone, Copy)]
struct Seen {
    key: u64,
    began: i128,
    ended: i128,
    version: u64,
    wrote: bool,
}

/// FS-64
#[test]
fn four_processes_lose_nothing_and_keep_one_order() {
    if !is_here() {
        return;
    }
    let seed = rand::rngs::SysRng.try_next_u64().unwrap();
    eprintln!("seed {seed}");
    run(async {
        let (database, place) = (Database::make().await, Place::default());
        let store = Postgres::open(&database.url(), place.options(NOW)).await.unwrap();
        for n in 0..KEYS {
            store.create(key(n), KIND, "0", soon()).await.unwrap();
        }
        let children = (0..PROCESSES).map(|n| child(&database, &place, seed.wrapping_add(n * 1000)));
        let seen: Vec<Seen> = join_all(children).await.into_iter().flatten().collect();
        for n in 0..KEYS {
            let value = values_in_order(&store, n).await;
            let entry = store.get(&key(n)).await.unwrap().unwrap();
            assert_eq!(number(&entry.value), value, "every increment is there");
            let of_key: Vec<Seen> = seen.iter().filter(|seen| seen.key == n).copied().collect();
            assert!(of_key.iter().any(|seen| seen.wrote));
            in_one_order(of_key);
        }
        let wrote = seen.iter().filter(|seen| seen.wrote).count();
        assert!(
            wrote >= usize::try_from(PROCESSES * TASKS).unwrap() * STEPS / 2,
            "{wrote}"
        );
        drop(store);
        let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
        let client = beside(&database.url()).await;
        let row = client.query_one(deadlocks, &[]).await.unwrap();
        assert_eq!(row.get::<_, i64>(0), 0, "deadlocks");
    });
}

async fn child(database: &Database, place: &Place, seed: u64) -> Vec<Seen> {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "postgres::processes::a_child_of_the_test_before",
            "--nocapture",
        ])
        .env(CHILD, format!("{} {} {seed}", database.url(), place.schema))
        .output()
        .await
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "a child ended with {}: {errors}",
        output.status
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(seen).collect()
}

fn seen(line: &str) -> Option<Seen> {
    let fields: Vec<&str> = line.strip_prefix("seen ")?.split(' ').collect();
    let [key, began, ended, version, wrote] = fields.as_slice() else {
        panic!("{line}")
    };
    Some(Seen {
        key: key.parse().unwrap(),
        began: began.parse().unwrap(),
        ended: ended.parse().unwrap(),
        version: version.parse().unwrap(),
        wrote: *wrote == "true",
    })
}

/// The log of a key has each value once, one behind the other, at contiguous positions and rising versions.
async fn values_in_order(store: &Postgres, n: u64) -> u64 {
    let (mut after, mut version) = (Position::START, Version::new(0));
    // Ends at the log's end.
    loop {
        let tail = store.tail(&log(n), after, 100).await.unwrap();
        if tail.is_empty() {
            return after.get();
        }
        for entry in tail {
            assert_eq!(entry.position, after.next());
            assert_eq!(
                number(&entry.entry),
                entry.position.get(),
                "in the order of the commits"
            );
            assert!(entry.version > version);
            (after, version) = (entry.position, entry.version);
        }
    }
}

/// Nobody saw an older version after somebody, at an earlier time, was told of a newer one.
fn in_one_order(mut seen: Vec<Seen>) {
    let mut writes: Vec<u64> = seen
        .iter()
        .filter(|seen| seen.wrote)
        .map(|seen| seen.version)
        .collect();
    let all = writes.len();
    writes.sort_unstable();
    writes.dedup();
    assert_eq!(writes.len(), all, "two writes share a version");
    seen.sort_by_key(|seen| seen.began);
    for (at, later) in seen.iter().enumerate() {
        for earlier in seen[..at].iter().filter(|earlier| earlier.ended < later.began) {
            let is_in_order =
                earlier.version < later.version || (!later.wrote && earlier.version == later.version);
            assert!(is_in_order, "{earlier:?} then {later:?}");
        }
    }
}

fn number(bytes: &[u8]) -> u64 {
    std::str::from_utf8(bytes).unwrap().parse().unwrap()
}

/// Does nothing but as a child of the test before.
#[test]
fn a_child_of_the_test_before() {
    let Ok(told) = std::env::var(CHILD) else {
        return;
    };
    let told: Vec<String> = told.split(' ').map(str::to_owned).collect();
    run(async move {
        let seed: u64 = told[2].parse().unwrap();
        let place = std::mem::ManuallyDrop::new(Place {
            schema: told[1].clone(),
        });
        let store = std::sync::Arc::new(Postgres::open(&told[0], place.options(NOW)).await.unwrap());
        let mut tasks = JoinSet::new();
        for task in 0..TASKS {
            tasks.spawn(steps(std::sync::Arc::clone(&store), seed + task));
        }
        let mut text = String::new();
        for seen in tasks.join_all().await.into_iter().flatten() {
            let Seen {
                key,
                began,
                ended,
                version,
                wrote,
            } = seen;
            writeln!(text, "seen {key} {began} {ended} {version} {wrote}").unwrap();
        }
        print!("\n{text}");
        store.close(soon()).await.unwrap();
    });
}

async fn steps(store: std::sync::Arc<Postgres>, seed: u64) -> Vec<Seen> {
    let mut random = StdRng::seed_from_u64(seed);
    let retry = Retry::seeded(seed);
    let mut seen = Vec::new();
    for _ in 0..STEPS {
        let n = random.random_range(0..KEYS);
        let began = ticks();
        let version = store.get(&key(n)).await.unwrap().unwrap().version.get();
        seen.push(Seen {
            key: n,
            began,
            ended: ticks(),
            version,
            wrote: false,
        });
        if random.random_range(0..3) == 0 {
            seen.extend(two_at_once(&store, n, (n + 1) % KEYS).await);
        } else {
            seen.extend(increment(&store, &retry, n).await);
        }
    }
    seen
}

async fn increment(store: &Postgres, retry: &Retry, n: u64) -> Option<Seen> {
    let mut began = ticks();
    let hot = key(n);
    let updated = cas_update(store, &hot, retry, |entry| {
        began = ticks();
        let value = (number(&entry.unwrap().value) + 1).to_string();
        let mut more = Batch::new(Lane::System);
        more.append(log(n), value.clone());
        Ok::<_, std::convert::Infallible>((Change::put(KIND, value).with(more), ()))
    });
    let updated = updated.await;
    match updated {
        Ok(updated) => Some(Seen {
            key: n,
            began,
            ended: ticks(),
            version: updated.entry.unwrap().version.get(),
            wrote: true,
        }),
        // 64 tasks on three keys, without a combiner: some have no luck.
        Err(UpdateError::Contended { .. } | UpdateError::Deadline) => None,
        Err(other) => panic!("{other}"),
    }
}

/// Two keys in the other order than the next task may have; tried once.
async fn two_at_once(store: &Postgres, first: u64, second: u64) -> Vec<Seen> {
    let read = store.get_many(&[key(first), key(second)]).await.unwrap();
    let mut batch = Batch::new(Lane::System);
    for (n, entry) in [first, second].into_iter().zip(read) {
        let entry = entry.unwrap();
        let value = (number(&entry.value) + 1).to_string();
        batch
            .put(key(n), Expected::At(entry.version), KIND, value.clone())
            .append(log(n), value);
    }
    let began = ticks();
    match store.commit(batch, soon()).await {
        Ok(committed) => {
            let ended = ticks();
            let wrote = |key| Seen {
                key,
                began,
                ended,
                version: committed.version.unwrap().get(),
                wrote: true,
            };
            vec![wrote(first), wrote(second)]
        }
        Err(CommitError::Conflict { .. }) => Vec::new(),
        Err(other) => panic!("{other}"),
    }
}
