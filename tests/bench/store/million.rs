//! A million records: how long a store of them takes to open, what it needs of memory and disk.
//!
//! Each is measured in a process of its own, which says a number a line and then waits to be ended, or is killed.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::ChildStdout;
use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::{Deadline, Expected, GET_MANY_MAX, Key, RecordStore};
use dormouse_tests::measure::{Figure, Samples, Series, Target};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use redb::ReadableDatabase;
use tokio::time::Instant;

use crate::child;
use crate::context::{self, Context};
use crate::disk::Disk;
use crate::fill;
use crate::load;
use crate::physical::RECORD_BYTES;

const MIB: f64 = 1024.0 * 1024.0;
/// The default of a store.
const CACHE_MIB: f64 = 64.0;
/// Rebuilding reads every byte: fewer rounds say as much.
const REBUILDS: usize = 3;
/// So do fewer of as many reads.
const READS: usize = 3;
const TABLE: redb::TableDefinition<'_, u64, &[u8]> = redb::TableDefinition::new("bench");

pub(crate) async fn run(context: &Context) -> Vec<Figure> {
    let count = context.million();
    let (store, redb) = (context.folder("million/sled"), context.folder("million/redb"));
    let mut samples = Samples::default();
    ask("write", &store, count);
    samples.push("disk", bytes_below(&store) as f64 / MIB);
    ask("redb-write", &redb, count);
    for round in 0..context.rounds {
        samples.push("clean", ask("open", &store, count)[0]);
        if round < READS {
            let [_, rss, read] = three(ask("read", &store, count));
            samples.push("rss", rss);
            samples.push("rss read", read);
        }
        kill("commit", &store, count);
        samples.push("killed", ask("open", &store, count)[0]);
        kill("redb-commit", &redb, count);
        samples.push("redb killed", ask("redb-open", &redb, count)[0]);
        if round < REBUILDS {
            kill("commit", &store, count);
            fs::remove_dir_all(store.join("index")).expect("the index is a folder of the store");
            samples.push("rebuilt", ask("open", &store, count)[0]);
        }
    }
    figures(&samples, count, context.rounds)
}

fn figures(samples: &Samples, count: u64, rounds: usize) -> Vec<Figure> {
    let of = |value: f64| {
        (0..rounds).fold(Series::default(), |mut series, _| {
            series.push(value);
            series
        })
    };
    let live = count as f64 * (RECORD_BYTES + fill::key(0).stored().len()) as f64 / MIB;
    let figure = |name: &str, value: &str, unit, (against, other): (String, Series), target| Figure {
        name: format!("sled, {count} records, {name}"),
        value: samples.of(value),
        unit,
        against: Some((against, other)),
        target: Target::AtMost(target),
    };
    vec![
        figure(
            "open after a clean end",
            "clean",
            "ms",
            ("200 ms".into(), of(200.0)),
            1.0,
        ),
        figure(
            "open after a kill",
            "killed",
            "ms",
            ("redb after a kill".into(), samples.of("redb killed")),
            0.5,
        ),
        figure(
            "open with the index rebuilt",
            "rebuilt",
            "ms",
            ("30 s".into(), of(30_000.0)),
            1.0,
        ),
        figure(
            "resident after opening",
            "rss",
            "MiB",
            ("64 MiB".into(), of(64.0)),
            1.0,
        ),
        figure(
            "resident after as many reads",
            "rss read",
            "MiB",
            ("cache + 64 MiB".into(), of(CACHE_MIB + 64.0)),
            1.0,
        ),
        figure(
            "disk after as many writes again",
            "disk",
            "MiB",
            ("live bytes".into(), of(live)),
            3.0,
        ),
    ]
}

fn three(numbers: Vec<f64>) -> [f64; 3] {
    numbers.try_into().expect("the child says three numbers")
}

/// Runs a child to its end; what it said.
fn ask(task: &str, folder: &Path, count: u64) -> Vec<f64> {
    let mut child = child::start(task, folder, count);
    let mut said = String::new();
    let mut out = child.stdout.take().expect("it is a pipe");
    out.read_to_string(&mut said).expect("it says text");
    assert!(
        child.wait().is_ok_and(|status| status.success()),
        "the child {task} failed"
    );
    said.lines()
        .map(|line| line.parse().expect("a number a line"))
        .collect()
}

/// Kills a child as soon as it has said that it is at work.
fn kill(task: &str, folder: &Path, count: u64) {
    let mut child = child::start(task, folder, count);
    let mut out: BufReader<ChildStdout> = BufReader::new(child.stdout.take().expect("it is a pipe"));
    let mut line = String::new();
    out.read_line(&mut line).expect("it says a line");
    assert!(!line.is_empty(), "the child {task} failed");
    child
        .kill()
        .and_then(|()| child.wait().map(drop))
        .expect("it can be killed");
}

/// One of these processes.
pub(crate) async fn child(task: &str, folder: &Path, count: u64) {
    match task {
        "write" => write(folder, count).await,
        "open" => close(&open(folder).await).await,
        "read" => read(folder, count).await,
        "commit" => commit(folder, count).await,
        "redb-write" => redb_write(&redb(folder), count),
        "redb-open" => redb_open(folder),
        "redb-commit" => redb_commit(&redb(folder), count),
        _ => panic!("no such child"),
    }
}

/// Every record, and every record again.
async fn write(folder: &Path, count: u64) {
    let store = context::sled(folder, Disk::Own).await;
    fill::fill(&store, count).await;
    fill::rewrite(&store, count).await;
    close(&store).await;
}

/// How long it took.
async fn open(folder: &Path) -> Arc<dyn RecordStore> {
    let before = Instant::now();
    let store = context::sled(folder, Disk::Own).await;
    println!("{}", before.elapsed().as_secs_f64() * 1e3);
    store
}

/// What the process needs once it is open, and what after as many reads.
async fn read(folder: &Path, count: u64) {
    let store = open(folder).await;
    println!("{}", resident());
    let mut random = StdRng::seed_from_u64(1);
    for _ in 0..count.div_ceil(GET_MANY_MAX as u64) {
        let keys: Vec<Key> = (0..GET_MANY_MAX)
            .map(|_| fill::key(random.random_range(0..count)))
            .collect();
        let read = store.get_many(&keys).await.expect("the store can be read");
        assert!(read.iter().all(Option::is_some));
    }
    println!("{}", resident());
    close(&store).await;
}

/// Commits until it is killed, and says so once it has begun.
async fn commit(folder: &Path, count: u64) {
    const SAY_AFTER: u64 = 2000;
    let store = context::sled(folder, Disk::Own).await;
    let mut done = 0;
    // Ends with the process.
    loop {
        let key = fill::key(done % count);
        let read = store.get(&key).await.expect("the store can be read");
        let expected = read.map_or(Expected::Absent, |entry| Expected::At(entry.version));
        load::put(&*store, key, expected).await;
        done += 1;
        if done == SAY_AFTER {
            println!("{done}");
        }
    }
}

async fn close(store: &Arc<dyn RecordStore>) {
    let deadline = Deadline::after(Duration::from_secs(60));
    store.close(deadline).await.expect("nothing is on the way");
}

/// MiB of this process in memory.
fn resident() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<f64>().ok());
    kib.map_or(f64::NAN, |kib| kib / 1024.0)
}

/// What files take of the disk.
fn bytes_below(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(folder).expect("the folder is there").flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => bytes_below(&entry.path()),
            Ok(meta) => meta.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

fn redb(folder: &Path) -> redb::Database {
    redb::Database::create(redb_path(folder)).expect("redb opens")
}

fn redb_path(folder: &Path) -> PathBuf {
    folder.join("redb")
}

fn redb_put(database: &redb::Database, records: impl Iterator<Item = u64>) {
    let write = database.begin_write().expect("redb begins");
    {
        let mut table = write.open_table(TABLE).expect("redb makes a table");
        for record in records {
            table
                .insert(record, load::record().as_slice())
                .expect("redb inserts");
        }
    }
    write.commit().expect("redb commits");
}

fn redb_write(database: &redb::Database, count: u64) {
    for start in (0..count).step_by(10_000) {
        redb_put(database, start..count.min(start + 10_000));
    }
}

fn redb_open(folder: &Path) {
    let before = Instant::now();
    let database = redb(folder);
    let read = database.begin_read().expect("redb begins");
    assert!(read.open_table(TABLE).is_ok());
    println!("{}", before.elapsed().as_secs_f64() * 1e3);
}

/// Commits until it is killed.
fn redb_commit(database: &redb::Database, count: u64) {
    const SAY_AFTER: u64 = 200;
    // Ends with the process.
    for done in 1.. {
        redb_put(database, std::iter::once(done % count));
        if done == SAY_AFTER {
            println!("{done}");
        }
    }
}
