//! Supervisors that are killed: a child of this test is the supervisor, and dies without a word.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use dormouse_engine::worker::{self, Launch, ProcessId, ProcessRow, isolation, orphans};
use rustix::process::{Pid, Signal};
use serde::de::DeserializeOwned;

use crate::worker_bed::{Bed, launch, run};
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
    if let Some(policy) = role.strip_prefix("environment ") {
        println!("\nROW {}", environment(policy, folder.as_ref()).await);
        return;
    }
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

/// Runs a worker that shows its environment and its descriptors, and shows both.
async fn environment(policy: &str, folder: &Path) -> String {
    let isolation = match policy {
        "unset" => None,
        policy => Some(serde_json::from_str(&format!("\"{policy}\"")).unwrap()),
    };
    let launch = Launch {
        isolation,
        ..launch(folder, &["sh", "-c", "env; echo; ls /proc/self/fd"])
    };
    let seen = run(&launch).await;
    serde_json::to_string(&(launch.environment, seen.text())).unwrap()
}

/// WK-1 SE-45
#[tokio::test]
async fn a_worker_has_the_documented_variables_and_nothing_of_its_supervisor_under_every_policy() {
    for policy in ["unset", "required", "best_effort", "off"] {
        if policy == "required" && isolation::offered() == isolation::Offered::Nothing {
            continue;
        }
        let bed = Bed::new();
        let mut child = start(&bed, &format!("environment {policy}"));
        let (built, shown): (BTreeMap<String, String>, String) = told(&mut child);
        child.wait().unwrap();
        let (environment, descriptors) = shown.split_once("\n\n").unwrap();
        let found: BTreeMap<String, String> = environment
            .lines()
            .map(|l| l.split_once('=').unwrap())
            .map(|(n, v)| (n.into(), v.into()))
            .collect();
        let mut expected = built;
        // The shell sets this one itself.
        expected.insert(
            "PWD".into(),
            bed.workspace().canonicalize().unwrap().to_str().unwrap().into(),
        );
        assert_eq!(found, expected, "{policy}");
        let names: Vec<&str> = expected.keys().map(String::as_str).collect();
        let documented = "CI DORMOUSE_REPORT_FD DORMOUSE_RUN DORMOUSE_RUN_DIR HOME LANG NO_COLOR PATH PWD TERM TMPDIR TZ USER";
        assert_eq!(names.join(" "), documented);
        // The fourth is the report channel, the fifth the folder that `ls` reads.
        assert_eq!(descriptors, "0\n1\n2\n3\n4\n", "{policy}");
    }
}

/// Starts one, among variables that are nobody's business, with a descriptor that leaks.
fn start(bed: &Bed, role: &str) -> Child {
    let variables = (0..50).map(|nth| (format!("VARIABLE_{nth}"), "value".to_owned()));
    let keys = [
        "ANTHROPIC_API_KEY",
        "OPENAI_API_KEY",
        "LD_DEBUG_OUTPUT",
        "NODE_OPTIONS",
    ];
    Command::new("sh")
        .args(["-c", "exec \"$0\" \"$@\" 7</dev/zero"])
        .arg(std::env::current_exe().unwrap())
        .args([
            "worker_crash::a_supervisor",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .envs(variables)
        .envs(keys.map(|key| (key, "sk-secret")))
        .env(ROLE, role)
        .env(FOLDER, bed.workspace().parent().unwrap())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until it says how far it is.
fn told<T: DeserializeOwned>(child: &mut Child) -> T {
    let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let told = lines
        .map(Result::unwrap)
        .find_map(|line| Some(line.strip_prefix("ROW ")?.to_owned()));
    serde_json::from_str(&told.expect("it says it")).unwrap()
}

fn supervisor(bed: &Bed, role: &str) -> (Child, ProcessRow) {
    let mut child = start(bed, role);
    let row = told(&mut child);
    (child, row)
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
