//! Reads: of one record beside a `pread`, of a page in a large store beside a small one, of an index beside sled's own.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::{Page, Prefix, RecordStore};
use dormouse_tests::measure::{Figure, Samples, Target};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::Instant;

use crate::context::{self, Context};
use crate::disk::Disk;
use crate::fill;
use crate::load;
use crate::physical::RECORD_BYTES;

const TIME: u64 = 800;
const FEW: u64 = 1000;
const PAGE: usize = 100;
const SEED: u64 = 1;

/// A store of many records, one of few, and sled alone with many.
struct Subjects {
    many: Arc<dyn RecordStore>,
    few: Arc<dyn RecordStore>,
    alone: sled::Db,
    file: Arc<File>,
    count: u64,
}

pub(crate) async fn run(context: &Context) -> Vec<Figure> {
    let subjects = open(context).await;
    let mut samples = Samples::default();
    let mut random = StdRng::seed_from_u64(SEED);
    let time = context.time(TIME);
    for _ in 0..context.rounds {
        let count = subjects.count;
        samples.push("get", get(&*subjects.many, count, time, &mut random).await);
        samples.push("pread", pread(&subjects.file, time, &mut random).await);
        samples.push(
            "page of many",
            page(&*subjects.many, count, time, &mut random).await,
        );
        samples.push("page of few", page(&*subjects.few, FEW, time, &mut random).await);
        samples.push("gets", gets(&subjects.many, count, time).await);
        samples.push("sled gets", sled_gets(&subjects.alone, count, time).await);
    }
    figures(&samples, subjects.count)
}

fn figures(samples: &Samples, count: u64) -> Vec<Figure> {
    let figure = |name: String, value: &str, unit, (against, other): (&str, &str), target| Figure {
        name,
        value: samples.of(value),
        unit,
        against: Some((against.to_owned(), samples.of(other))),
        target,
    };
    vec![
        figure(
            format!("sled, get of one of {count} records, one task"),
            "get",
            "µs",
            ("a pread on a reader thread", "pread"),
            Target::AtMost(2.0),
        ),
        figure(
            format!("sled, list page of {PAGE} of {count} records"),
            "page of many",
            "µs",
            ("the same of 1000", "page of few"),
            Target::AtMost(1.5),
        ),
        figure(
            format!("sled, point reads of {count} records, {GETTERS} tasks"),
            "gets",
            "reads/s",
            ("sled's own get, a thread a core", "sled gets"),
            Target::AtLeast(0.7),
        ),
    ]
}

async fn open(context: &Context) -> Subjects {
    let folder = context.folder("reads");
    let count = context.million();
    let many = context::sled(&folder.join("many"), Disk::Own).await;
    fill::fill(&many, count).await;
    let few = context::sled(&folder.join("few"), Disk::Own).await;
    fill::fill(&few, FEW).await;
    Subjects {
        many,
        few,
        alone: sled_alone(&folder, count),
        file: Arc::new(file(&folder)),
        count,
    }
}

fn sled_alone(folder: &Path, count: u64) -> sled::Db {
    let tree = sled::Config::new()
        .path(folder.join("alone"))
        .flush_every_ms(None)
        .cache_capacity(64 * 1024 * 1024)
        .open()
        .expect("sled opens");
    for record in 0..count {
        tree.insert(fill::key(record).stored(), load::record().as_slice())
            .expect("sled inserts");
    }
    tree.flush().expect("sled flushes");
    tree
}

/// As long as the records of a store, in the system's cache as they are.
const FILE_BYTES: u64 = 64 * 1024 * 1024;

fn file(folder: &Path) -> File {
    let path = folder.join("bytes");
    std::fs::write(&path, vec![0x5a; FILE_BYTES as usize]).expect("the disk has room");
    File::open(path).expect("it was written")
}

/// Microseconds of a `get`, one after the other.
async fn get(store: &dyn RecordStore, count: u64, time: Duration, random: &mut StdRng) -> f64 {
    let start = Instant::now();
    let mut done = 0_u32;
    while start.elapsed() < time {
        let read = store.get(&fill::key(random.random_range(0..count))).await;
        assert!(read.expect("the store can be read").is_some());
        done += 1;
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(done)
}

/// Microseconds of a `pread` of as many bytes, asked of a thread that may block.
async fn pread(file: &Arc<File>, time: Duration, random: &mut StdRng) -> f64 {
    let start = Instant::now();
    let mut done = 0_u32;
    while start.elapsed() < time {
        let file = Arc::clone(file);
        let at = random.random_range(0..FILE_BYTES - RECORD_BYTES as u64);
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = [0; RECORD_BYTES];
            file.read_exact_at(&mut bytes, at).map(|()| bytes)
        });
        read.await
            .expect("it does not panic")
            .expect("the file is as long");
        done += 1;
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(done)
}

/// Microseconds of a page, from anywhere in the first nine tenths.
async fn page(store: &dyn RecordStore, count: u64, time: Duration, random: &mut StdRng) -> f64 {
    let start = Instant::now();
    let mut done = 0_u32;
    while start.elapsed() < time {
        let mut page = Page::of(Prefix::root());
        page.limit = PAGE;
        page.after = Some(fill::key(random.random_range(0..count * 9 / 10)));
        let listed = store.list(&page).await.expect("the store can be read");
        assert_eq!(listed.items.len(), PAGE);
        done += 1;
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(done)
}

/// Tasks that read at once.
const GETTERS: usize = 64;

async fn gets(store: &Arc<dyn RecordStore>, count: u64, time: Duration) -> f64 {
    let until = Instant::now() + time;
    let load = load::run(GETTERS, |task| {
        let store = Arc::clone(store);
        async move {
            let mut random = StdRng::seed_from_u64(SEED + task as u64);
            let mut taken = Vec::new();
            while Instant::now() < until {
                let read = store.get(&fill::key(random.random_range(0..count))).await;
                assert!(read.expect("the store can be read").is_some());
                taken.push(Duration::ZERO);
            }
            taken
        }
    });
    load.await.rate()
}

async fn sled_gets(tree: &sled::Db, count: u64, time: Duration) -> f64 {
    let tree = tree.clone();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let reading = tokio::task::spawn_blocking(move || {
        let start = Instant::now();
        let read = &|thread: usize| {
            let mut random = StdRng::seed_from_u64(SEED + thread as u64);
            let mut done = 0_u32;
            while start.elapsed() < time {
                let read = tree.get(fill::key(random.random_range(0..count)).stored());
                assert!(read.expect("sled can be read").is_some());
                done += 1;
            }
            f64::from(done)
        };
        let done: f64 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..cores)
                .map(|thread| scope.spawn(move || read(thread)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("sled does not panic"))
                .sum()
        });
        done / start.elapsed().as_secs_f64()
    });
    reading.await.expect("it does not panic")
}
