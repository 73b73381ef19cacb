//! Supervisors that are killed: a child of this test is the supervisor, and dies without a word.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use dormouse_engine::worker::{self, ProcessId, ProcessRow, orphans};
use rustix::process::{Pid, Signal};

use crate::worker_bed::{Bed, launch};
use crate::worker_tree::gone;

/// The variable that makes [`a_supervisor`] one: what it does, and where.
const ROLE: &str = "DORMOUSE_TEST_SUPERVISOR";
const FOLDER: &str = "DORMOUSE_TEST_FOLDER";
const SCRIPT: &str = "trap '' TERM; setsid sh -c \"trap '' TERM; while :; do sleep 1; done\" & \
                      (setsid sleep 300 &); echo ran > ran; while :; do sleep 1; done";

/// Not a test: the program of the tests below.
#[tokio::test]
#[ignore = "the supervisor that the crash tests start and kill"]
async fn a_supervisor() {
    let (Ok(role), Ok(folder)) = (std::env::var(ROLE), std::env::var(FOLDER)) else {
        return;
    };
    let prepared = worker::prepare(&launch(folder.as_ref(), &["sh", "-c", SCRIPT]))
        .await
        .unwrap();
    if role == "prepared" {
        println!("\nROW {}", serde_json::to_string(prepared.row()).unwrap());
        std::future::pending::<()>().await;
    }
    let live = prepared.go().await.unwrap();
    println!("\nROW {}", serde_json::to_string(live.row()).unwrap());
    std::future::pending::<()>().await;
}

/// Starts one, and waits until it says that it is as far.
fn supervisor(bed: &Bed, role: &str) -> (Child, ProcessRow) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "worker_crash::a_supervisor",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env(ROLE, role)
        .env(FOLDER, bed.workspace().parent().unwrap())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let row = lines
        .map(Result::unwrap)
        .find_map(|line| Some(line.strip_prefix("ROW ")?.to_owned()))
        .unwrap();
    (child, serde_json::from_str(&row).unwrap())
}

fn kill(process: ProcessId) {
    rustix::process::kill_process(Pid::from_raw(process.pid).unwrap(), Signal::KILL).unwrap();
}

/// WK-6
#[tokio::test]
async fn a_supervisor_killed_before_go_ran_nothing_and_after_it_leaves_nothing() {
    let bed = Bed::new();
    let (mut child, row) = supervisor(&bed, "prepared");
    assert!(orphans::lives(&row).unwrap());
    child.kill().unwrap();
    child.wait().unwrap();
    gone(&row, Duration::from_secs(3)).await;
    assert!(!bed.workspace().join("ran").exists(), "nothing ran");

    let bed = Bed::new();
    let (mut child, row) = supervisor(&bed, "live");
    bed.written("ran").await;
    child.kill().unwrap();
    child.wait().unwrap();
    gone(&row, Duration::from_secs(3)).await;
}

#[tokio::test]
async fn what_a_killed_keeper_and_its_killed_supervisor_left_is_ended_by_the_row() {
    let bed = Bed::new();
    let (mut child, row) = supervisor(&bed, "live");
    bed.written("ran").await;
    child.kill().unwrap();
    kill(row.keeper);
    child.wait().unwrap();
    assert!(orphans::lives(&row).unwrap());
    // At least the worker, the shell in its own session, the sleep in another one.
    assert!(matches!(
        orphans::end(&row).await.unwrap(),
        orphans::Swept::Killed(3..)
    ));
    assert!(!orphans::lives(&row).unwrap());
    assert_eq!(orphans::end(&row).await.unwrap(), orphans::Swept::Gone);
}

#[tokio::test]
async fn a_number_that_another_process_has_now_and_another_boot_are_spared() {
    let mut bystander = Command::new("sleep").arg("300").spawn().unwrap();
    let now = ProcessId::of(i32::try_from(bystander.id()).unwrap()).unwrap();
    let former = ProcessId {
        start_time: now.start_time - 1,
        ..now
    };
    let boot = worker::Boot::current().unwrap();
    let row = |boot, id| ProcessRow {
        boot,
        keeper: id,
        worker: Some(id),
        run: "run_of_nobody".into(),
    };

    assert_eq!(
        orphans::end(&row(boot.clone(), former)).await.unwrap(),
        orphans::Swept::Gone
    );
    let other_boot = worker::Boot {
        boot_id: "another".into(),
        ..boot.clone()
    };
    assert_eq!(
        orphans::end(&row(other_boot, now)).await.unwrap(),
        orphans::Swept::Gone
    );
    let other_host = worker::Boot {
        host: "another".into(),
        ..boot
    };
    assert_eq!(
        orphans::end(&row(other_host, now)).await.unwrap(),
        orphans::Swept::Elsewhere
    );

    assert!(bystander.try_wait().unwrap().is_none(), "it lives");
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}
