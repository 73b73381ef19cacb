//! Truncations that the power cuts short, and the space that they give back.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::{
    Batch, Deadline, Expected, Key, Lane, LogError, Position, RecordKind, RecordStore, Stream, Version,
};

use super::lives::Backend;
use crate::sim_files::SimFiles;

const KIND: RecordKind = RecordKind::of("test");
/// Of the log that is truncated: many steps of it.
const ENTRIES: u64 = 1500;
/// What it is truncated to.
const BEFORE: Position = Position::new(1401);
const SEEDS: u64 = 20;

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

fn log() -> Stream {
    Stream::new(Key::parse("log").unwrap())
}

fn entry(position: u64) -> String {
    format!("{position} {}", "x".repeat(60))
}

async fn append(store: &dyn RecordStore, from: u64, to: u64) {
    for first in (from..to).step_by(1000) {
        let mut batch = Batch::new(Lane::System);
        for position in first..to.min(first + 1000) {
            batch.append(log(), entry(position));
        }
        store.commit(batch, soon()).await.unwrap();
    }
}

/// Where the log begins, with all of it from there on.
async fn holds(store: &dyn RecordStore, what: &str) -> Position {
    let head = store.head(&log()).await.unwrap();
    assert_eq!(head.next.get(), ENTRIES + 1, "{what}");
    let (mut after, mut bytes) = (head.first.get() - 1, 0);
    while after < ENTRIES {
        let tail = store.tail(&log(), Position::new(after), 1000).await.unwrap();
        for logged in tail {
            after += 1;
            assert_eq!(logged.position.get(), after, "{what}");
            assert_eq!(logged.entry, entry(after).as_bytes(), "{what}");
            bytes += logged.entry.len() as u64;
        }
    }
    assert_eq!(head.bytes, bytes, "{what}");
    if head.first > Position::FIRST {
        let gone = store.tail(&log(), Position::START, 1).await;
        assert!(
            matches!(gone, Err(LogError::ReplayGap { first, .. }) if first == head.first),
            "{gone:?}"
        );
    }
    head.first
}

async fn is_resumed(backend: Backend) {
    let (mut within, mut failed) = (0, 0);
    for seed in 0..SEEDS {
        let what = format!("{backend:?} seed {seed}");
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let (folder, disk) = (folder.unwrap(), SimFiles::default());
        let path = folder.path().join("store");
        let store = backend.open(&path, &disk).await.unwrap();
        append(&*store, 1, ENTRIES + 1).await;
        disk.light_fuse(seed % 16);
        let truncated = store.truncate(&log(), BEFORE).await;
        drop(store);
        disk.cut_power(seed);

        let store = backend.open(&path, &disk).await.unwrap();
        let first = holds(&*store, &what).await;
        match truncated {
            Ok(told) => assert_eq!((told, first), (BEFORE, BEFORE), "{what}: it was acknowledged"),
            Err(_) => failed += 1,
        }
        assert!(first <= BEFORE, "{what}");
        within += usize::from(Position::FIRST < first && first < BEFORE);
        for _ in 0..2 {
            assert_eq!(store.truncate(&log(), BEFORE).await.unwrap(), BEFORE, "{what}");
            assert_eq!(holds(&*store, &what).await, BEFORE, "{what}");
        }
        let past = store.truncate(&log(), Position::new(ENTRIES + 2)).await;
        assert!(
            matches!(past, Err(LogError::ReplayGap { .. })),
            "{what}: {past:?}"
        );
    }
    assert!(
        within > 4 && failed > within,
        "{within} were cut within, {failed} failed"
    );
}

/// FS-22 on the sled store, with the clauses of the contract: killed within, it goes on where it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_truncation_of_a_sled_store_cut_short_by_the_power_is_resumed() {
    is_resumed(Backend::Sled).await;
}

/// FS-22 on the local store.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_truncation_of_a_local_store_cut_short_by_the_power_is_resumed() {
    is_resumed(Backend::Local).await;
}

fn used(disk: &SimFiles) -> usize {
    disk.bytes().values().map(Vec::len).sum()
}

/// A log through which a hundred times its length goes, cut short now and then, with a store that is used beside.
async fn space_returns(backend: Backend) {
    let folder = tempfile::tempdir().unwrap();
    let (path, disk) = (folder.path().join("store"), SimFiles::default());
    let mut store = backend.open(&path, &disk).await.unwrap();
    let (mut next, mut beside) = (1, None);
    let mut written = 0;
    for round in 0..30_u64 {
        let to = next + 700;
        append(&*store, next, to).await;
        written += (next..to).map(|position| entry(position).len()).sum::<usize>();
        next = to;
        if round % 4 == 3 {
            store = cut_short(backend, store, &path, &disk, next, round).await;
        }
        store.truncate(&log(), Position::new(next - 10)).await.unwrap();
        beside = put(&*store, beside).await;
    }
    store.close(soon()).await.unwrap();
    drop(store);
    // What is live is less than a segment; some of those, a checkpoint and files are there in any case.
    let used = used(&disk);
    assert!(
        written > 10 * used,
        "{used} bytes are used, {written} went through"
    );
    let store = backend.open(&path, &disk).await.unwrap();
    let head = store.head(&log()).await.unwrap();
    assert_eq!((head.first.get(), head.next.get()), (next - 10, next));
}

/// The power fails within a truncation.
async fn cut_short(
    backend: Backend,
    store: Arc<dyn RecordStore>,
    path: &Path,
    disk: &SimFiles,
    next: u64,
    seed: u64,
) -> Arc<dyn RecordStore> {
    disk.light_fuse(3);
    drop(store.truncate(&log(), Position::new(next - 10)).await);
    drop(store);
    disk.cut_power(seed);
    backend.open(path, disk).await.unwrap()
}

async fn put(store: &dyn RecordStore, at: Option<Version>) -> Option<Version> {
    let mut batch = Batch::new(Lane::System);
    let expected = at.map_or(Expected::Absent, Expected::At);
    batch.put(Key::parse("beside").unwrap(), expected, KIND, "x".repeat(2000));
    store.commit(batch, soon()).await.unwrap().version
}

/// FS-22: the space of what was truncated returns.
#[tokio::test(flavor = "multi_thread")]
async fn the_space_of_what_was_truncated_in_a_sled_store_returns() {
    space_returns(Backend::Sled).await;
}

/// FS-22
#[tokio::test(flavor = "multi_thread")]
async fn the_space_of_what_was_truncated_in_a_local_store_returns() {
    space_returns(Backend::Local).await;
}
