//! How long a sled store of many records takes to open, and what it then holds in memory.
//!
//! `cargo run --release --example opening [folder] [records]`: makes a store of so many records of 300 bytes, then opens
//! it after a close, after an end without one, and with its index removed; for each it prints the time, the memory
//! that is resident behind it, and the time of the first read. Each opening is a process of its own.

// An example talks to a terminal, stops at what goes wrong, and is the edge where time is read.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::disallowed_methods)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use dormouse_filesystem::{Batch, Deadline, Expected, Key, Lane, RecordKind, RecordStore, Sled, SledOptions};

const RECORD_BYTES: usize = 300;
const BATCH: usize = 500;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().map_or_else(|| PathBuf::from("."), PathBuf::from);
    let records = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    match arguments.next().as_deref() {
        Some("make") => make(&folder, records),
        Some(end) => open(&folder, records, end),
        None => all(&folder, records),
    }
}

fn all(folder: &Path, records: usize) {
    let folder = tempfile::tempdir_in(folder).unwrap();
    let path = folder.path().join("store");
    let run = |step: &str| {
        let program = std::env::current_exe().unwrap();
        let records = records.to_string();
        let status = Command::new(program).arg(&path).args([&records, step]).status();
        assert!(status.unwrap().success(), "{step}");
    };
    run("make");
    println!(
        "index {} MiB, log {} MiB",
        mebibytes(&path.join("index")),
        mebibytes(&path.join("log"))
    );
    // What an opening is named for is how the life before ended.
    for step in ["close", "kill", "close", "close"] {
        run(step);
    }
    std::fs::remove_dir_all(path.join("index")).unwrap();
    run("close");
}

fn options() -> SledOptions {
    SledOptions::new(jiff::Timestamp::now())
}

fn key(n: usize) -> Key {
    Key::parse(&format!("t/{}/r/{n:08}", n % 97)).unwrap()
}

#[tokio::main]
async fn make(path: &Path, records: usize) {
    let store = Sled::open(path, options()).await.unwrap();
    let begin = Instant::now();
    for first in (0..records).step_by(BATCH) {
        let mut batch = Batch::new(Lane::System);
        for n in first..records.min(first + BATCH) {
            batch.put(
                key(n),
                Expected::Absent,
                RecordKind::of("bench"),
                vec![7; RECORD_BYTES],
            );
        }
        store.commit(batch, patience()).await.unwrap();
    }
    println!("made in {:?}", begin.elapsed());
    let begin = Instant::now();
    store.close(patience()).await.unwrap();
    println!("closed in {:?}", begin.elapsed());
}

#[tokio::main]
async fn open(path: &Path, records: usize, end: &str) {
    let begin = Instant::now();
    let store = Sled::open(path, options()).await.unwrap();
    let opened = begin.elapsed();
    let resident = resident();
    let begin = Instant::now();
    assert!(store.get(&key(records / 2)).await.unwrap().is_some());
    println!(
        "opened in {opened:?}, {resident} MiB resident, first read {:?}, {:?}",
        begin.elapsed(),
        store.health().await.notices
    );
    if end == "kill" {
        let mut batch = Batch::new(Lane::System);
        batch.put(
            Key::parse("z/last").unwrap(),
            Expected::Absent,
            RecordKind::of("bench"),
            "",
        );
        store.commit(batch, patience()).await.unwrap();
        std::process::exit(0);
    }
    store.close(patience()).await.unwrap();
}

fn patience() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kibibytes.unwrap_or(0) / 1024
}

fn mebibytes(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let bytes = |entry: std::fs::DirEntry| {
        let about = entry.metadata().unwrap();
        if about.is_dir() {
            mebibytes(&entry.path()) << 20
        } else {
            about.len()
        }
    };
    files.map(bytes).sum::<u64>() >> 20
}
