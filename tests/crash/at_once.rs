//! A thousand times: a commit is acknowledged, and the process is killed before it does anything else.

use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use dormouse_filesystem::{Key, RecordStore};
use dormouse_tests::store::Backend;
use tempfile::TempDir;

/// Stores that are written and killed beside each other: most of the time is the disk's.
const STORES: usize = 4;
const KILLS: usize = 1000;

/// FS-53
#[tokio::test]
async fn a_commit_killed_at_once_after_its_answer_is_there_a_thousand_times() {
    a_thousand_times(Backend::Sled).await;
}

/// FS-53
#[tokio::test]
async fn a_commit_killed_at_once_after_its_answer_is_there_a_thousand_times_as_files_too() {
    a_thousand_times(Backend::Local).await;
}

async fn a_thousand_times(backend: Backend) {
    let stores = (0..STORES).map(|_| tokio::task::spawn_blocking(move || kills(backend, KILLS / STORES)));
    for (folder, path) in futures::future::join_all(stores)
        .await
        .into_iter()
        .map(Result::unwrap)
    {
        let store = backend.open(&path).await.unwrap();
        for n in 0..KILLS / STORES {
            let entry = store
                .get(&Key::parse(&format!("once/{n}")).unwrap())
                .await
                .unwrap();
            assert_eq!(entry.unwrap().value, format!("record {n}"));
        }
        drop(store);
        drop(folder);
    }
}

/// Kills so many children of one store, each at once after its answer. The folder goes with its guard.
fn kills(backend: Backend, kills: usize) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("store");
    for acknowledged in 0..kills {
        let mut child = Once::start(backend, &path);
        // Whoever opens it next finds all of it.
        assert_eq!(child.line(), format!("found {acknowledged}"));
        assert_eq!(child.line(), "done");
        child.process.kill().unwrap();
        child.process.wait().unwrap();
    }
    (folder, path)
}

struct Once {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Once {
    fn start(backend: Backend, store: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_crash-child"))
            .args(["once", backend.name()])
            .arg(store)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    /// What the child says next.
    #[track_caller]
    fn line(&mut self) -> String {
        self.lines
            .next()
            .expect("the child lives until it is killed")
            .unwrap()
    }
}

impl Drop for Once {
    fn drop(&mut self) {
        // A test that failed leaves no child behind.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
