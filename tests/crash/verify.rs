//! Opens the store that a killed child left, and looks at all of it.

use std::path::Path;
use std::time::Duration;

use dormouse_filesystem::{Deadline, Entry, LogHead, PAGE_MAX, Position, RecordStore};
use dormouse_tests::store::{Backend, SEGMENT_BYTES};
use dormouse_tests::workload::{self, Counts, Names, Part, hot_key};

use crate::ledger::{Ledger, Line};

/// Reads every record and every new log entry. What is there is certain from now on.
pub(crate) async fn check(backend: Backend, folder: &Path, seed: u64, ledger: &mut Ledger, end: End) {
    let store = backend.open(folder).await.expect("the store opens after kill -9");
    for writer in 0..workload::WRITERS {
        check_writer(&*store, seed, writer, ledger).await;
    }
    check_hot(&*store, ledger).await;
    if end == End::Clean {
        let live = live(&*store).await;
        let closed = store.close(Deadline::after(Duration::from_secs(10))).await;
        closed.expect("an idle store closes");
        let used = log_bytes(folder);
        assert!(
            backend == Backend::Local || used <= 2 * live + LOG_SLACK,
            "the log has {used} bytes, {live} are live"
        );
    }
}

/// Bytes of the log beside twice what is live. The contract has 64 MiB, for segments 64 times as long.
const LOG_SLACK: u64 = 8 * SEGMENT_BYTES;

/// Bytes that all of it takes in the log, at least.
async fn live(store: &dyn RecordStore) -> u64 {
    let mut live = 0;
    for writer in 0..workload::WRITERS {
        let names = Names::of(writer);
        let head = store.head(&names.log).await.expect("the log can be read");
        live += head.bytes + 32 * (head.next.get() - head.first.get());
        let keys = [names.left, names.right, names.odd];
        let entries = store.get_many(&keys).await.expect("the store can be read");
        let values = entries.iter().flatten().map(|entry| entry.value.len() as u64);
        live += values.sum::<u64>();
    }
    live
}

fn log_bytes(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder.join("log")).expect("the store has a log");
    let bytes = files.map(|file| {
        file.and_then(|file| file.metadata())
            .map_or(0, |about| about.len())
    });
    bytes.sum()
}

/// How the parent leaves the store to the next child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Closed.
    Clean,
    /// Dropped, as if the parent had died.
    Unclean,
}

impl End {
    /// They take turns.
    pub(crate) fn of(round: u64) -> Self {
        if round.is_multiple_of(2) {
            Self::Clean
        } else {
            Self::Unclean
        }
    }
}

async fn check_writer(store: &dyn RecordStore, seed: u64, writer: u64, ledger: &mut Ledger) {
    let who = format!("writer {writer}, found by the parent,");
    let names = Names::of(writer);
    let keys = [names.left.clone(), names.right.clone(), names.odd.clone()];
    let entries = store.get_many(&keys).await.expect("the store can be read");
    let left = entries[0].as_ref();
    let n = left.map_or(0, |entry| {
        workload::number_in(&entry.value).expect("a value has its number")
    });
    let line = &mut ledger.writers[writer as usize];
    line.is_at(n, &who);
    let known = *line;
    for (entry, part) in entries.iter().zip([Part::Left, Part::Right, Part::Odd]) {
        let is_there = n > 0 && (part != Part::Odd || workload::is_odd(n));
        let wanted = is_there.then(|| workload::bytes(seed, writer, n, part));
        let found = entry.as_ref().map(|entry| entry.value.clone());
        assert!(
            found == wanted,
            "{who}: {part:?} is not that of batch {n}, so the batch was torn"
        );
        let version = entry.as_ref().map(|entry| entry.version);
        assert!(
            version.is_none() || version == version_of(left),
            "{who}: one batch, two versions"
        );
    }
    let version = version_of(left);
    if known.is_version_of_n {
        assert_eq!(version, known.version, "{who}: the version acknowledged");
    }
    assert!(version >= known.version, "{who}: a version went back");
    ledger.writers[writer as usize] = Line {
        version,
        is_version_of_n: true,
        ..known
    };
    check_log(store, seed, writer, n, ledger).await;
}

fn version_of(entry: Option<&Entry>) -> Option<dormouse_filesystem::Version> {
    entry.map(|entry| entry.version)
}

/// Batch `n` was the last, so the log ends with entry `n`.
async fn check_log(store: &dyn RecordStore, seed: u64, writer: u64, n: u64, ledger: &mut Ledger) {
    let log = Names::of(writer).log;
    let head = store.head(&log).await.expect("the log can be read");
    assert_eq!(
        head.first,
        Position::FIRST,
        "writer {writer}: nobody truncated the log"
    );
    assert_eq!(
        head.next.get(),
        n + 1,
        "writer {writer}: the log ends with batch {n}: {head:?}"
    );
    assert!(n > 0 || head == LogHead::NONE);
    let seen = &mut ledger.seen[writer as usize];
    while *seen < n {
        let after = Position::new(*seen);
        let entries = store
            .tail(&log, after, PAGE_MAX)
            .await
            .expect("the log can be read");
        assert!(
            !entries.is_empty(),
            "writer {writer}: the log ends at {seen}, before {n}"
        );
        for entry in entries {
            *seen += 1;
            assert_eq!(entry.position.get(), *seen, "writer {writer}: a gap in the log");
            let wanted = workload::bytes(seed, writer, *seen, Part::Entry);
            assert!(
                entry.entry == wanted,
                "writer {writer}: entry {seen} has other bytes"
            );
        }
    }
}

async fn check_hot(store: &dyn RecordStore, ledger: &mut Ledger) {
    let entry = store.get(&hot_key()).await.expect("the store can be read");
    let version = version_of(entry.as_ref());
    let counts = entry.map_or(Counts::default(), |entry| {
        Counts::read(&entry.value).expect("the value is counts")
    });
    for (fighter, (line, count)) in ledger.fighters.iter_mut().zip(counts.0).enumerate() {
        line.is_at(count, &format!("fighter {fighter}, found by the parent,"));
    }
    assert!(version >= ledger.hot_version, "the hot key's version went back");
    ledger.hot_version = version;
}
