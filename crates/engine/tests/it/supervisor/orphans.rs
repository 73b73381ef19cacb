//! What is left of a dead supervisor: killed first, and lapsed when it is gone.

use std::process::{Command, Stdio};

use async_trait::async_trait;
use dormouse_engine::recovery::{OrphanFate, Orphans};
use dormouse_engine::run::{ClaimOptions, Process, ProcessMark, RunState};
use dormouse_engine::worker::ProcessId;

use super::*;

/// Ends what is left, and looks at what is written of each run while it does.
#[derive(Debug)]
struct Watched {
    tenant: Tenant,
    marks: Vec<String>,
}

#[async_trait]
impl Orphans for Watched {
    async fn end(&self, process: &Process) -> OrphanFate {
        let state = self.tenant.runs.get(process.run).await.unwrap().run.state;
        assert_ne!(state, RunState::Ended, "it is lost before it is dead");
        let fate = SystemOrphans.end(process).await;
        let state = self.tenant.runs.get(process.run).await.unwrap().run.state;
        assert_ne!(state, RunState::Ended, "it is lost while others are ended");
        for mark in &self.marks {
            assert!(fate != OrphanFate::Killed || !is_running(mark), "{mark} lives");
        }
        fate
    }
}

/// A run of a former process whose row names this one.
async fn with_process(house: &House, process: ProcessId) -> RunId {
    let task = NewTask {
        command: Some(sh("true")),
        ..NewTask::new(alice(), "a task")
    };
    let task = house.tenant.tasks.create(&operator(), task).await.unwrap();
    let runs = &house.tenant.runs;
    let claimed = runs
        .claim(&operator(), task.id, ClaimOptions::default())
        .await
        .unwrap();
    let boot = Boot::current().unwrap();
    let mark = ProcessMark {
        pid: process.pid,
        start_time: process.start_time,
    };
    let row = Process {
        run: claimed.run.id,
        host: boot.host,
        boot_id: boot.boot_id,
        keeper: mark,
        worker: None,
    };
    runs.started(&claimed, Some(&row)).await.unwrap();
    claimed.run.id
}

/// WK-7: of one process after the other; killed with its keepers it is
/// `a_server_killed_with_twenty_workers_ends_them_all_before_it_claims_again` of the program.
#[test]
fn recovery_kills_first_and_spares_a_number_that_is_another_s() {
    let bed = bed();
    let mark = format!("37{}.5", std::process::id());
    let own = format!("38{}.5", std::process::id());
    let mut bystander = Command::new("sleep")
        .arg(&own)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let script = format!("trap '' TERM; setsid sleep {mark} & echo up; while :; do sleep {mark}; done");
    let run = vanish(&bed, &script);
    // With its keeper: nobody but the next start ends it.
    let keeper = loop {
        // Its shell has said that it is up a little before its sleep has its name.
        if let Some(keeper) = keeper_of(&mark) {
            break keeper;
        }
        std::thread::yield_now();
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let former = bed.open().await;
        let now = ProcessId::of(i32::try_from(bystander.id()).unwrap()).unwrap();
        let reused = ProcessId {
            start_time: now.start_time - 1,
            ..now
        };
        let another = with_process(&former, reused).await;

        let keeper = rustix::process::Pid::from_raw(keeper).unwrap();
        let _ = rustix::process::kill_process(keeper, rustix::process::Signal::KILL);
        let house = bed.open().await;
        let orphans = Watched {
            tenant: house.tenant.clone(),
            marks: vec![mark.clone()],
        };
        let recovery = house.engine.recover(&orphans).await.unwrap();
        assert_eq!(
            (recovery.ended.len(), recovery.left.len()),
            (2, 0),
            "{recovery:?}"
        );
        for run in [run, another] {
            let row = house.tenant.runs.get(run).await.unwrap();
            assert!(matches!(outcome(&row), Outcome::Lost { .. }), "{row:?}");
        }
        assert_eq!(recovery.killed, [run], "of the other nothing was left to kill");
    });
    assert!(!is_running(&mark));
    assert!(is_running(&own), "who has the number now is spared");
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}
