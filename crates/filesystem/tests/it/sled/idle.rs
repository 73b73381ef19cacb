//! A store that nobody uses does nothing.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use dormouse_filesystem::RecordStore;

use super::kit::{created, open_at};

/// The number of the system call in which a thread waits until a word in memory changes.
#[cfg(target_arch = "x86_64")]
const FUTEX: &str = "202";
#[cfg(not(target_arch = "x86_64"))]
const FUTEX: &str = "98";
/// What the system is asked for often enough to see a change, and how long that takes.
const LOOKS: usize = 30;
const BETWEEN: Duration = Duration::from_millis(100);
/// A store at rest has come to it by then.
const REST_MAX: Duration = Duration::from_secs(30);

/// The store's threads, by number: their names.
fn threads() -> BTreeMap<String, String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let named = tasks.filter_map(|task| {
        let task = task.ok()?;
        let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
        let is_ours = name.starts_with("dormouse-");
        is_ours.then(|| (task.file_name().into_string().unwrap(), name.trim().to_owned()))
    });
    named.collect()
}

fn about(thread: &str, what: &str) -> String {
    let path: PathBuf = ["/proc/self/task", thread, what].iter().collect();
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Whether a thread sleeps until another one wakes it: in a futex, without a time at which it wakes by itself.
fn sleeps_for_ever(thread: &str) -> bool {
    let call = about(thread, "syscall");
    let words: Vec<&str> = call.split(' ').collect();
    // futex(word, operation, value, timeout, …)
    words.first() == Some(&FUTEX) && words.get(4) == Some(&"0x0")
}

/// How often it was given a processor.
fn switches(thread: &str) -> Vec<String> {
    let status = about(thread, "status");
    let lines = status.lines().filter(|line| line.contains("ctxt_switches"));
    lines.map(str::to_owned).collect()
}

/// Case 63 of filesystem.md, but for the threads within sled 0.34, which wake once a second whatever its user does.
///
/// Every thread of ours sleeps until it is woken, with no time at which it would wake by itself. So none makes a system
/// call in an hour, or in any time. It is looked at for some seconds that none is woken by another.
#[tokio::test(flavor = "multi_thread")]
async fn without_commits_no_thread_of_ours_runs_or_would() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_at(&folder.path().join("store")).await.unwrap();
    for n in 0..100 {
        created(&store, &format!("k/{n}"), &"x".repeat(300)).await;
    }
    // The last checkpoint, then rest.
    let begin = tokio::time::Instant::now();
    while !threads().keys().all(|thread| sleeps_for_ever(thread)) {
        assert!(begin.elapsed() < REST_MAX, "{:?}", threads());
        tokio::time::sleep(BETWEEN).await;
    }
    let before: Vec<_> = threads()
        .into_keys()
        .map(|thread| (switches(&thread), thread))
        .collect();
    assert!(
        threads().values().any(|name| name.starts_with("dormouse-commit")),
        "{:?}",
        threads()
    );
    for _ in 0..LOOKS {
        tokio::time::sleep(BETWEEN).await;
        let now: Vec<_> = threads()
            .into_keys()
            .map(|thread| (switches(&thread), thread))
            .collect();
        assert_eq!(now, before);
    }
    created(&store, "again", "").await;
    drop(store.health().await);
}
