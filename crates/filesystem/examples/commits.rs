//! Durable commits a second of the sled store, beside what the disk itself can do.
//!
//! `cargo run --release --example commits [folder] [seconds]`: for 1, 8, 64 and 256 tasks, each creating records of
//! 300 bytes one after the other, it prints commits a second, their share of `phys(tasks)` (write and sync that many
//! such records in a loop, same file system), the mean group, and the 50th and 99th percentile of a commit's time.
//! First on the disk as it is, then with a flush of 2 ms.

// An example talks to a terminal, stops at what goes wrong, and is the edge where time is read.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::disallowed_methods)]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dormouse_filesystem::commit_log::{FileLayer, LogFile, StdFiles};
use dormouse_filesystem::{Batch, Deadline, Expected, Key, Lane, RecordKind, RecordStore, Sled, SledOptions};

const RECORD_BYTES: usize = 300;
const PATIENCE: Duration = Duration::from_secs(30);
const TASKS: [usize; 4] = [1, 8, 64, 256];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().map_or_else(|| PathBuf::from("."), PathBuf::from);
    let seconds = arguments.next().and_then(|s| s.parse().ok()).unwrap_or(3);
    let folder = tempfile::tempdir_in(folder).unwrap();
    let time = Duration::from_secs(seconds);
    for flush in [Duration::ZERO, Duration::from_millis(2)] {
        println!("flush of the disk plus {flush:?}");
        for tasks in TASKS {
            let (physical, bare) = physical(folder.path(), tasks, flush);
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let mut measured = runtime.block_on(measure(folder.path(), tasks, time, flush));
            measured.times.sort();
            let at = |share: f64| measured.times[(measured.times.len() as f64 * share) as usize];
            println!(
                "{tasks:4} tasks {:8.0}/s {:5.2} of phys {physical:9.0}/s, group {:6.1}, bare flush {bare:?}, p50 {:?}, p99 {:?}",
                measured.rate,
                measured.rate / physical,
                measured.group,
                at(0.5),
                at(0.99),
            );
        }
    }
}

/// Records a second that a loop of writing and syncing `tasks` of them makes, and the time of one round.
fn physical(folder: &Path, tasks: usize, flush: Duration) -> (f64, Duration) {
    let files = Slow::new(folder, flush);
    let file = files.create("physical").unwrap();
    file.write_at(&vec![0; 32 << 20], 0).unwrap();
    file.sync().unwrap();
    let group = vec![7; RECORD_BYTES * tasks];
    let begin = Instant::now();
    let mut rounds = 0_u32;
    while begin.elapsed() < Duration::from_secs(2) {
        file.write_at(&group, u64::from(rounds) * group.len() as u64 % (30 << 20))
            .unwrap();
        file.sync().unwrap();
        rounds += 1;
    }
    let took = begin.elapsed();
    files.remove("physical").unwrap();
    (
        f64::from(rounds) * tasks as f64 / took.as_secs_f64(),
        took / rounds,
    )
}

struct Measured {
    rate: f64,
    group: f64,
    times: Vec<Duration>,
}

async fn measure(folder: &Path, tasks: usize, time: Duration, flush: Duration) -> Measured {
    let path = folder.join("store");
    std::fs::create_dir(&path).unwrap();
    let files = Arc::new(Slow::new(&path, flush));
    let options = SledOptions::new(jiff::Timestamp::now());
    let store = Arc::new(Sled::open_on(&path, options, files).await.unwrap());
    let begin = Instant::now();
    let running: Vec<_> = (0..tasks)
        .map(|task| tokio::spawn(create_records(Arc::clone(&store), task, begin + time)))
        .collect();
    let mut times = Vec::new();
    for task in running {
        times.extend(task.await.unwrap());
    }
    let took = begin.elapsed();
    let health = store.health().await;
    store.close(Deadline::after(PATIENCE)).await.unwrap();
    drop(store);
    std::fs::remove_dir_all(&path).unwrap();
    Measured {
        rate: times.len() as f64 / took.as_secs_f64(),
        group: health.commits as f64 / health.flushes as f64,
        times,
    }
}

async fn create_records(store: Arc<Sled>, task: usize, end: Instant) -> Vec<Duration> {
    let mut times = Vec::new();
    while Instant::now() < end {
        let key = Key::parse(&format!("t/{task}/r/{}", times.len())).unwrap();
        let mut batch = Batch::new(Lane::System);
        batch.put(
            key,
            Expected::Absent,
            RecordKind::of("bench"),
            vec![7; RECORD_BYTES],
        );
        let begin = Instant::now();
        store.commit(batch, Deadline::after(PATIENCE)).await.unwrap();
        times.push(begin.elapsed());
    }
    times
}

/// The real files, whose flush takes longer.
#[derive(Debug)]
struct Slow {
    files: StdFiles,
    flush: Duration,
}

#[derive(Debug)]
struct SlowFile {
    file: Arc<dyn LogFile>,
    flush: Duration,
}

impl Slow {
    fn new(folder: &Path, flush: Duration) -> Self {
        Self {
            files: StdFiles::new(folder).unwrap(),
            flush,
        }
    }

    fn slow(&self, file: Arc<dyn LogFile>) -> Arc<dyn LogFile> {
        Arc::new(SlowFile {
            file,
            flush: self.flush,
        })
    }
}

impl FileLayer for Slow {
    fn open(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        Ok(self.slow(self.files.open(name)?))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        Ok(self.slow(self.files.create(name)?))
    }

    fn names(&self, folder: &str) -> io::Result<Vec<String>> {
        self.files.names(folder)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.files.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files.remove(name)
    }

    fn make_folder(&self, folder: &str) -> io::Result<bool> {
        self.files.make_folder(folder)
    }

    fn remove_folder(&self, folder: &str) -> io::Result<()> {
        self.files.remove_folder(folder)
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        self.files.sync_folder(folder)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.files.free_bytes()
    }

    fn boot(&self) -> [u8; 16] {
        self.files.boot()
    }
}

impl LogFile for SlowFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()?;
        std::thread::sleep(self.flush);
        Ok(())
    }

    fn bytes(&self) -> io::Result<u64> {
        self.file.bytes()
    }
}
