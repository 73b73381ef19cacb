//! What is left of a dead supervisor: killed first, and lapsed when it is gone.

use std::process::{Command, Stdio};

use async_trait::async_trait;
use dormouse_engine::recovery::{OrphanFate, Orphans};
use dormouse_engine::run::{Process, ProcessMark, RunState};
use dormouse_engine::worker::ProcessId;

use super::*;
use crate::stores::KilledInTheEnd;

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
    let claimed = house.claimed(task).await;
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
    house.tenant.runs.started(&claimed, Some(&row)).await.unwrap();
    claimed.run.id
}

/// WK-7: of one process after the other; killed with its keepers it is
/// `a_server_killed_with_twenty_workers_ends_them_all_before_it_claims_again` of the program.
#[test]
fn recovery_kills_first_and_spares_a_number_that_is_another_s() {
    let bed = bed();
    let mark = unique_sleep();
    let own = unique_sleep();
    let bystander = Command::new("sleep").arg(&own).stdout(Stdio::null()).spawn();
    let bystander = KilledInTheEnd(bystander.unwrap());
    let script = format!("trap '' TERM; setsid sleep {mark} & echo up; while :; do sleep {mark}; done");
    // With its keeper: nobody but the next start ends it, and it does not hear that its owner is gone.
    let mut keeper = None;
    let run = vanish_after(&bed, &script, async || keeper = Some(stopped_keeper(&mark).await));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let former = bed.open().await;
        let now = ProcessId::of(i32::try_from(bystander.0.id()).unwrap()).unwrap();
        let reused = ProcessId {
            start_time: now.start_time - 1,
            ..now
        };
        let another = with_process(&former, reused).await;

        let killed = rustix::process::kill_process(keeper.unwrap(), rustix::process::Signal::KILL);
        killed.unwrap();
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
}
