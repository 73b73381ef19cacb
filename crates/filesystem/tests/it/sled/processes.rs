//! A store and several processes: who holds it is told, and what a process leaves behind holds nothing.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use dormouse_filesystem::{OpenError, RecordStore};

use super::kit::{content, created, open_at};

/// Names the folder of a child.
const FOLDER: &str = "DORMOUSE_TEST_SLED";
const READY: &str = "sled child ready";
/// Longer than any test.
const SLEEP: &str = "600";

/// The whole process, started by the test below: it opens a store, has a child of its own, and waits to be killed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the child process of the test beside it"]
async fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let store = open_at(Path::new(&folder)).await.unwrap();
    created(&store, "by-the-child", "").await;
    // Forked while the store is open; it outlives its parent.
    let grandchild = Command::new("sleep")
        .arg(SLEEP)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn();
    println!("{READY} {}", grandchild.unwrap().id());
    std::future::pending::<()>().await;
}

fn start(folder: &Path) -> (Child, u32) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sled::processes::child", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = lines.find_map(|line| {
        let line = line.unwrap();
        line.split_once(READY).map(|(_, rest)| rest.trim().to_owned())
    });
    let grandchild = ready.expect("the child ended by itself").parse().unwrap();
    (child, grandchild)
}

/// FS-57
#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_use_names_the_process_opens_after_its_kill_and_no_child_of_it_holds_the_lock() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let (mut holder, grandchild) = start(&path);
    match open_at(&path).await {
        Err(OpenError::InUse { pid, program, .. }) => {
            assert_eq!((pid, program.as_str()), (holder.id(), "dormouse test"));
        }
        other => panic!("{other:?}"),
    }
    holder.kill().unwrap();
    holder.wait().unwrap();
    let is_alive =
        |pid: u32| Path::new(&format!("/proc/{pid}")).exists() || !Path::new("/proc/self").exists();
    assert!(is_alive(grandchild), "its own child is still there");
    let store = open_at(&path).await.expect("nobody holds it any more");
    assert_eq!(content(&store).await.records.len(), 1);
    assert_eq!(store.health().await.notices, Vec::<String>::new());
    let pid = rustix::process::Pid::from_raw(i32::try_from(grandchild).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}
