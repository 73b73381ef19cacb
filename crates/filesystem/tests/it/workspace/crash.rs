//! Kills at any moment: a file is old or new, whole. The child is this test binary itself.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use dormouse_filesystem::workspace::{Digest, Workspace, WorkspaceError, WorkspaceOptions};
use jiff::ToSpan;
use rand::{RngExt, SeedableRng};

use super::{NOW, Place, names_in};

/// Names the folder and the role of a child.
const FOLDER: &str = "DORMOUSE_TEST_WORKSPACE";
const ROLE: &str = "DORMOUSE_TEST_ROLE";
const READY: &str = "workspace child ready";
/// How each entry of the log begins.
const APPENDED: &str = "appended whole ";

fn start(place: &Place, role: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "workspace::crash::child", "--ignored", "--nocapture"])
        .env(FOLDER, place.inside(""))
        .env(ROLE, role)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn wait_ready(child: &mut Child) {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let is_ready = lines.any(|line| line.unwrap().contains(READY));
    assert!(is_ready, "the child ended by itself");
}

/// The whole process, started by the tests of this file.
#[test]
#[ignore = "the child process of the tests beside it"]
fn child() {
    let (Some(folder), Ok(role)) = (std::env::var_os(FOLDER), std::env::var(ROLE)) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let workspace = Workspace::open(Path::new(&folder), WorkspaceOptions::new(NOW))
            .await
            .unwrap();
        println!("{READY}");
        match role.as_str() {
            "change" => change(&workspace).await,
            "create" => create_all(&workspace).await,
            "append" => append_all(&workspace).await,
            "refused" => refused(&workspace).await,
            other => panic!("no such role: {other}"),
        }
    });
}

/// Appends where no file may have a byte.
async fn refused(workspace: &Workspace) {
    let appended = workspace.append(Path::new("new"), "entry").await;
    assert!(appended.is_err(), "{appended:?}");
}

/// A call that failed leaves no file that was not there.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_append_that_finds_no_room_leaves_no_empty_file() {
    let place = Place::new().await;
    // The shell refuses its child every byte of a file, and lets it live to see the error.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "workspace::crash::child", "--ignored", "--nocapture"])
        .env(FOLDER, place.inside(""))
        .env(ROLE, "refused")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains(READY), "{output:?}");
    assert_eq!(place.names(), Vec::<String>::new());
}

/// Content that tells whether it is whole.
fn content(n: u64) -> String {
    format!("{n:08}\n").repeat(usize::try_from(n % 7).unwrap() * 3000 + 1)
}

fn number_of(bytes: &[u8]) -> u64 {
    let text = std::str::from_utf8(bytes).unwrap();
    let n = text.lines().next().expect("it has a line").parse().unwrap();
    assert!(text == content(n), "content {n} is not whole");
    n
}

/// Replaces, creates, removes and appends for ever: it is killed.
async fn change(workspace: &Workspace) {
    let file = Path::new("replaced");
    let mut digest = match workspace.read(file, u64::MAX).await {
        Ok(read) => read.digest,
        Err(WorkspaceError::Missing { .. }) => workspace.create(file, content(0)).await.unwrap(),
        Err(other) => panic!("{other:?}"),
    };
    for n in number_of(&workspace.read(file, u64::MAX).await.unwrap().bytes) + 1.. {
        digest = workspace.replace(file, content(n), digest).await.unwrap();
        let made = format!("made-{:02}", n % 8);
        let made = Path::new(&made);
        match workspace.create(made, content(n)).await {
            Ok(_) => {}
            Err(WorkspaceError::Exists { .. }) => {
                let there = workspace.read(made, u64::MAX).await.unwrap();
                workspace.remove(made, there.digest).await.unwrap();
            }
            Err(other) => panic!("{other:?}"),
        }
        workspace
            .append(Path::new("log"), format!("{APPENDED}{n:08}\n"))
            .await
            .unwrap();
    }
}

/// FS-76, but for a kill in the very write of an append, of which the system may leave a part.
#[tokio::test]
async fn a_killed_process_leaves_old_or_new_whole() {
    let seed: u64 = rand::TryRng::try_next_u64(&mut rand::rngs::SysRng).unwrap();
    println!("seed {seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let place = Place::new().await;
    for _ in 0..40 {
        let mut child = start(&place, "change");
        wait_ready(&mut child);
        // Here the time itself is the thing: a random moment is what is tested.
        std::thread::sleep(Duration::from_micros(random.random_range(0..30_000)));
        assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
        whole(&place);
    }
    // What the kills left goes in time, and nothing else.
    let now = jiff::Timestamp::try_from(std::fs::metadata(place.inside("")).unwrap().modified().unwrap());
    place.workspace.sweep(now.unwrap() + 2.hours()).await.unwrap();
    let left = place.names();
    assert!(
        left.iter()
            .all(|name| !name.starts_with('.') && !name.contains("kept")),
        "{left:?}"
    );
}

fn whole(place: &Place) {
    for name in place.names() {
        let bytes = place.bytes(&name);
        match name.as_str() {
            "log" => {
                let text = String::from_utf8(bytes).unwrap();
                assert!(text.ends_with('\n'));
                assert!(
                    text.lines()
                        .all(|line| line.len() == APPENDED.len() + 8 && line.starts_with(APPENDED))
                );
            }
            name if name.starts_with(".dormouse-") => {}
            _ => drop(number_of(&bytes)),
        }
    }
}

/// A hundred files that another process makes too.
async fn create_all(workspace: &Workspace) {
    let own = std::process::id().to_string();
    for n in 0..100 {
        match workspace
            .create(Path::new(&format!("one-{n}")), own.clone())
            .await
        {
            Ok(_) => workspace
                .append(Path::new("winners"), format!("{n} {own}\n"))
                .await
                .unwrap(),
            Err(WorkspaceError::Exists { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
}

async fn append_all(workspace: &Workspace) {
    let own = std::process::id().to_string();
    for n in 0..25 {
        // Many pages long, so that two could mix.
        let entry = format!("{own} {n} {}\n", own.repeat(5000));
        workspace.append(Path::new("log"), entry).await.unwrap();
    }
}

fn end(children: Vec<Child>) {
    for child in children {
        let ended = child.wait_with_output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
    }
}

/// FS-76
#[tokio::test]
async fn of_two_processes_that_create_one_wins() {
    let place = Place::new().await;
    end((0..2).map(|_| start(&place, "create")).collect());
    let winners = String::from_utf8(place.bytes("winners")).unwrap();
    assert_eq!(winners.lines().count(), 100, "{winners}");
    for line in winners.lines() {
        let (n, winner) = line.split_once(' ').unwrap();
        assert_eq!(place.bytes(&format!("one-{n}")), winner.as_bytes());
    }
    assert_eq!(names_in(&place.inside("")).len(), 101);
}

/// FS-76
#[tokio::test]
async fn a_hundred_appends_of_four_processes_are_each_whole() {
    let place = Place::new().await;
    end((0..4).map(|_| start(&place, "append")).collect());
    let log = String::from_utf8(place.bytes("log")).unwrap();
    assert_eq!(log.lines().count(), 100);
    for line in log.lines() {
        let mut parts = line.split(' ');
        let (own, _n, rest) = (
            parts.next().unwrap(),
            parts.next().unwrap(),
            parts.next().unwrap(),
        );
        assert!(rest == own.repeat(5000), "an entry is torn");
    }
    assert_eq!(Digest::of(log.as_bytes()), place.digest("log").await);
}
