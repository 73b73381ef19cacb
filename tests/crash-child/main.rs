//! The process that the crash test kills: it commits as fast as it can and says what was acknowledged.
//!
//! `crash-child BACKEND STORE SEED`, on standard output one [`Report`] a line, each after what it says is certain; or
//! `crash-child once BACKEND STORE`, which commits once.
#![allow(clippy::print_stdout, reason = "the pipe to the parent")]

mod once;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::{Deadline, OpenError, RecordStore, Retry};
use dormouse_tests::store::{self, Backend};
use dormouse_tests::workload::{self, FIGHTERS, Held, Names, Report, WRITERS};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Longer than any round: the child ends by being killed.
const COMMIT_DEADLINE: Duration = Duration::from_secs(60);

/// Longer than a store that was dropped is at its end.
const IN_USE_MAX: Duration = Duration::from_secs(20);

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, first, second, third] = arguments.as_slice() else {
        panic!("usage: crash-child BACKEND STORE SEED, or crash-child once BACKEND STORE");
    };
    let backend = |name| Backend::parse(name).expect("the backend is sled or local");
    if first == "once" {
        return once::run(backend(second), Path::new(third)).await;
    }
    let seed = third.parse().expect("a seed is a number");
    commit_for_ever(backend(first), Path::new(second), seed).await;
}

async fn commit_for_ever(backend: Backend, folder: &Path, seed: u64) {
    let store = opened(backend, folder).await;
    let mut found = Vec::new();
    for writer in 0..WRITERS {
        found.push(Writer::find(Arc::clone(&store), seed, writer).await);
    }
    say(Report::Ready);
    let mut tasks = JoinSet::new();
    for writer in found {
        tasks.spawn(writer.run());
    }
    for fighter in 0..FIGHTERS {
        tasks.spawn(fight(Arc::clone(&store), fighter));
    }
    tasks.join_all().await;
}

/// The parent looked at it and let it go without closing it, and may on a busy machine still be at its end.
async fn opened(backend: Backend, folder: &Path) -> Arc<dyn RecordStore> {
    let until = Instant::now() + IN_USE_MAX;
    loop {
        match backend.open(folder).await {
            Err(OpenError::InUse { .. }) if Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            opened => return opened.expect("the store opens"),
        }
    }
}

fn say(report: Report) {
    print(&report.to_string());
}

/// A line is one write to the pipe: half of one is the last thing a killed process leaves.
fn print(line: &str) {
    let line = format!("{line}\n");
    let _ = std::io::stdout().lock().write_all(line.as_bytes());
}

struct Writer {
    store: Arc<dyn RecordStore>,
    seed: u64,
    writer: u64,
    n: u64,
    held: Held,
}

impl Writer {
    /// Goes on where the last child was killed.
    async fn find(store: Arc<dyn RecordStore>, seed: u64, writer: u64) -> Self {
        let names = Names::of(writer);
        let keys = [names.left, names.right, names.odd];
        let entries = store.get_many(&keys).await.expect("the store can be read");
        let version = |at: usize| entries[at].as_ref().map(|entry| entry.version);
        let n = entries[0].as_ref().map_or(0, |entry| {
            workload::number_in(&entry.value).expect("a value begins with its number")
        });
        say(Report::Found { writer, n });
        let held = Held {
            left: version(0),
            right: version(1),
            odd: version(2),
        };
        Self {
            store,
            seed,
            writer,
            n,
            held,
        }
    }

    /// Runs for ever: the process is killed.
    async fn run(mut self) {
        loop {
            self.n += 1;
            let batch = workload::batch(self.seed, self.writer, self.n, self.held);
            let committed = self.store.commit(batch, Deadline::after(COMMIT_DEADLINE)).await;
            let committed = committed.expect("nobody else writes these keys");
            let version = committed.version.expect("a batch with puts has a version");
            say(Report::Done {
                writer: self.writer,
                n: self.n,
                version: version.get(),
                position: committed.positions[0].1.get(),
            });
            self.held = Held::after(self.n, version);
        }
    }
}

/// Raises the fighter's own count in the one hot key. Runs for ever: the process is killed.
async fn fight(store: Arc<dyn RecordStore>, fighter: u64) {
    let retry = Retry::seeded(fighter);
    loop {
        if let Some((count, version)) = store::raise(&*store, &retry, fighter).await {
            say(Report::Hot {
                fighter,
                count,
                version: version.get(),
            });
        }
    }
}
