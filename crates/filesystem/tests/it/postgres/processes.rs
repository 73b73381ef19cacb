//! Four processes on one store.

use std::fmt::Write as _;
use std::time::Duration;

use dormouse_filesystem::{
    Batch, Change, CommitError, Deadline, Entry, Expected, Failed, Key, Lane, Position, Postgres, RecordKind,
    RecordStore, RecordStoreExt, Retry, Stream, UpdateError, Version, cas_update,
};
use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng, TryRng};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::one_order::{Op, Saw, Written, check, parse};
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
        let mut written = Written::new();
        for n in 0..KEYS {
            let version = store.create(key(n), KIND, "0", soon()).await.unwrap();
            written.insert((n, 0), version.get());
        }
        let children = (0..PROCESSES).map(|n| child(&database, &place, seed.wrapping_add(n * 1000)));
        let ops: Vec<Op> = join_all(children).await.into_iter().flatten().collect();
        for n in 0..KEYS {
            let values = values_in_order(&store, n, &mut written).await;
            let entry = store.get(&key(n)).await.unwrap().unwrap();
            assert_eq!(number(&entry.value), values, "every increment is there");
            assert!(values > 0);
        }
        let wrote = written.len() - usize::try_from(KEYS).unwrap();
        assert!(
            wrote >= usize::try_from(PROCESSES * TASKS).unwrap() * STEPS / 2,
            "{wrote}"
        );
        if let Err(why) = check(ops, &written) {
            panic!("seed {seed}: {why}");
        }
        drop(store);
        assert_eq!(deadlocks(&database).await, 0);
    });
}

/// What the server counted, once all that its other connections counted is among it: they tell as they end.
async fn deadlocks(database: &Database) -> i64 {
    let client = beside(&database.url()).await;
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                  AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
    let patience = Instant::now() + Duration::from_secs(30);
    while client.query_one(others, &[]).await.unwrap().get::<_, i64>(0) > 0 {
        assert!(Instant::now() < patience, "connections do not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    client.query_one(deadlocks, &[]).await.unwrap().get(0)
}

async fn child(database: &Database, place: &Place, seed: u64) -> Vec<Op> {
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
    text.lines().filter_map(parse).collect()
}

/// The log of a key has each value once, one behind the other, at contiguous positions and rising versions. Returns
/// the last, and notes the version of each.
async fn values_in_order(store: &Postgres, n: u64, written: &mut Written) -> u64 {
    let (mut after, mut version) = (Position::START, Version::new(written[&(n, 0)]));
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
            written.insert((n, after.get()), version.get());
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
        for op in tasks.join_all().await.into_iter().flatten() {
            writeln!(text, "{op}").unwrap();
        }
        print!("\n{text}");
        store.close(soon()).await.unwrap();
    });
}

async fn steps(store: std::sync::Arc<Postgres>, seed: u64) -> Vec<Op> {
    let mut random = StdRng::seed_from_u64(seed);
    let retry = Retry::seeded(seed);
    let mut ends = vec![Position::START; usize::try_from(KEYS).unwrap()];
    let mut ops = Vec::new();
    for _ in 0..STEPS {
        let n = random.random_range(0..KEYS);
        let began = ticks();
        let entry = store.get(&key(n)).await.unwrap().unwrap();
        ops.push(Op {
            began,
            ended: ticks(),
            saw: vec![saw(n, &entry)],
            wrote: None,
        });
        ops.push(tail(&store, n, &mut ends[usize::try_from(n).unwrap()]).await);
        if random.random_range(0..3) == 0 {
            ops.extend(two_at_once(&store, n, (n + 1) % KEYS).await);
        } else {
            ops.extend(increment(&store, &retry, n).await);
        }
    }
    ops
}

fn saw(key: u64, entry: &Entry) -> Saw {
    Saw {
        key,
        version: Some(entry.version.get()),
        value: Some(number(&entry.value)),
    }
}

/// Reads a log on from where it was read to: its end is that of its record, since they are written together.
async fn tail(store: &Postgres, n: u64, end: &mut Position) -> Op {
    let began = ticks();
    let tail = store.tail(&log(n), *end, 1000).await.unwrap();
    let ended = ticks();
    for entry in &tail {
        assert_eq!(entry.position, end.next(), "nothing is behind it, nothing twice");
        assert_eq!(number(&entry.entry), entry.position.get());
        *end = entry.position;
    }
    let last = Saw {
        key: n,
        version: tail.last().map(|last| last.version.get()),
        value: Some(end.get()),
    };
    Op {
        began,
        ended,
        saw: vec![last],
        wrote: None,
    }
}

async fn increment(store: &Postgres, retry: &Retry, n: u64) -> Option<Op> {
    let (mut began, mut before) = (ticks(), None);
    let hot = key(n);
    let updated = cas_update(store, &hot, retry, |entry| {
        let entry = entry.unwrap();
        (began, before) = (ticks(), Some(saw(n, entry)));
        let value = (number(&entry.value) + 1).to_string();
        let mut more = Batch::new(Lane::System);
        more.append(log(n), value.clone());
        Ok::<_, std::convert::Infallible>((Change::put(KIND, value).with(more), ()))
    });
    let updated = updated.await;
    match updated {
        Ok(updated) => Some(Op {
            began,
            ended: ticks(),
            saw: before.into_iter().collect(),
            wrote: Some(updated.entry.unwrap().version.get()),
        }),
        // 64 tasks on three keys, without a combiner: some have no luck.
        Err(UpdateError::Contended { .. } | UpdateError::Deadline) => None,
        Err(other) => panic!("{other}"),
    }
}

/// Two keys in the other order than the next task may have; tried once. A refusal tells what is there instead: it is a
/// read too.
async fn two_at_once(store: &Postgres, first: u64, second: u64) -> [Op; 2] {
    let began = ticks();
    let read = store.get_many(&[key(first), key(second)]).await.unwrap();
    let ended = ticks();
    let mut batch = Batch::new(Lane::System);
    let mut before = Vec::new();
    for (n, entry) in [first, second].into_iter().zip(read) {
        let entry = entry.unwrap();
        let value = (number(&entry.value) + 1).to_string();
        batch
            .put(key(n), Expected::At(entry.version), KIND, value.clone())
            .append(log(n), value);
        before.push(saw(n, &entry));
    }
    let read = Op {
        began,
        ended,
        saw: before.clone(),
        wrote: None,
    };
    let began = ticks();
    let answer = store.commit(batch, soon()).await;
    let ended = ticks();
    let (saw, wrote) = match answer {
        Ok(committed) => (before, Some(committed.version.unwrap().get())),
        Err(CommitError::Conflict { failed }) => (instead(before, &failed), None),
        Err(other) => panic!("{other}"),
    };
    let commit = Op {
        began,
        ended,
        saw,
        wrote,
    };
    [read, commit]
}

/// What a refused commit found: what it expected, but for what it names.
fn instead(expected: Vec<Saw>, failed: &[Failed]) -> Vec<Saw> {
    assert!(!failed.is_empty());
    let found = expected.into_iter().map(|saw| {
        let other = failed.iter().find(|failed| failed.key == key(saw.key));
        other.map_or(saw, |other| Saw {
            version: Some(other.actual.expect("nobody removes it").get()),
            value: None,
            ..saw
        })
    });
    found.collect()
}
