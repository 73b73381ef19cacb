//! Recovery: what a process that is gone left behind is ended at the next start.

use std::collections::HashSet;
use std::sync::Mutex;

use dormouse_engine::command::CommandSpec;
use dormouse_engine::outcome::{Facts, Outcome};
use dormouse_engine::recovery::{LeftBecause, OrphanFate, Orphans};
use dormouse_engine::run::{OutcomeKind, Process, ProcessMark, RunState};
use dormouse_engine::task::{NewTask, Steps, Task, TaskState};
use dormouse_engine::{Clock, RunId};

use super::house::{House, facts, operator, success};

super::on_every_store! {
    a_run_without_checkpoint_is_ready_again_at_once;
    the_fourth_lapse_in_a_row_fails_the_task;
    a_run_with_an_effect_open_fails_and_is_not_tried_again;
    a_run_that_was_stopping_ends_by_its_stop;
    recovery_twice_is_recovery_once;
    a_run_of_this_process_is_left_alone;
    what_ended_before_the_kill_stays_as_it_ended;
    an_orphan_that_lives_keeps_its_run_from_lapsing;
    processes_of_another_boot_are_gone_without_a_look;
    processes_that_outlive_their_run_are_found_again;
}

async fn a_run_without_checkpoint_is_ready_again_at_once(house: House) {
    let task = house.ready_task().await;
    let claimed = house.claim(&task).await;
    let beat_at = house.clock.now();
    house.clock.advance(3);
    let house = house.reopened().await;
    let recovery = house.recover().await;
    assert_eq!(recovery.ended.len(), 1);

    let row = house.tenant.runs.get(claimed.run.id).await.unwrap();
    assert_eq!(row.run.state, RunState::Ended);
    let lost = Outcome::Lost {
        last_heartbeat_at: Some(beat_at),
    };
    assert_eq!(row.outcome.unwrap().outcome, lost);
    let again = house.tenant.tasks.get(task.id).await.unwrap();
    assert_eq!((&again.state, again.reclaims), (&TaskState::Ready, 1));
    let told = &house.event_types().await[3..];
    assert_eq!(told, ["lease.expired", "run.ended", "task.ready"]);
}

async fn the_fourth_lapse_in_a_row_fails_the_task(mut house: House) {
    let task = house.ready_task().await;
    for _ in 0..4 {
        house.claim(&task).await;
        house = house.reopened().await;
        house.recover().await;
    }
    let failed = house.tenant.tasks.get(task.id).await.unwrap();
    let outcome = OutcomeKind::Lost;
    assert_eq!(
        (&failed.state, failed.reclaims),
        (&TaskState::Failed { outcome }, 3)
    );
}

/// A task of an opaque command, running with this process.
pub(super) async fn running(house: &House, process: impl FnOnce(RunId) -> Process) -> (Task, RunId) {
    let alice = house.agent("alice").await;
    let new = NewTask {
        command: Some(CommandSpec::new(vec!["sleep".to_owned(), "300".to_owned()])),
        ..NewTask::new(alice, "sleep")
    };
    let task = house.task(new).await;
    let claimed = house.claim(&task).await;
    let run = claimed.run.id;
    house
        .tenant
        .runs
        .started(&claimed, Some(&process(run)))
        .await
        .unwrap();
    (task, run)
}

pub(super) fn here(run: RunId) -> Process {
    Process {
        run,
        host: "burrow".to_owned(),
        boot_id: "this-boot".to_owned(),
        keeper: ProcessMark {
            pid: 4_242,
            start_time: 17,
        },
        worker: None,
    }
}

async fn a_run_with_an_effect_open_fails_and_is_not_tried_again(house: House) {
    let (task, _) = running(&house, here).await;
    let house = house.reopened().await;
    house.recover().await;
    let outcome = OutcomeKind::Lost;
    let tasks = &house.tenant.tasks;
    assert_eq!(
        tasks.get(task.id).await.unwrap().state,
        TaskState::Failed { outcome }
    );
    assert_eq!(house.event_types().await.last().unwrap(), "task.failed");
    // A human may say that it is to be tried again.
    let again = tasks.retry(&operator(), task.id, Steps::Kept).await.unwrap();
    assert_eq!(house.claim(&again).await.run.attempt, 2);
}

async fn a_run_that_was_stopping_ends_by_its_stop(house: House) {
    let (task, run) = running(&house, here).await;
    house
        .tenant
        .tasks
        .cancel(&operator(), task.id, None)
        .await
        .unwrap();
    let house = house.reopened().await;
    house.recover().await;
    assert_eq!(
        house.tenant.tasks.get(task.id).await.unwrap().state,
        TaskState::Cancelled
    );
    let outcome = house.tenant.runs.get(run).await.unwrap().outcome.unwrap();
    assert_eq!(outcome.outcome.name(), "cancelled");
}

async fn recovery_twice_is_recovery_once(house: House) {
    running(&house, here).await;
    let house = house.reopened().await;
    assert!(!house.recover().await.is_empty());
    let events = house.events().await;
    assert!(house.recover().await.is_empty());
    let house = house.reopened().await;
    assert!(house.recover().await.is_empty());
    assert_eq!(house.events().await, events);
}

async fn a_run_of_this_process_is_left_alone(house: House) {
    let task = house.ready_task().await;
    let claimed = house.claim(&task).await;
    assert!(house.recover().await.is_empty());
    house
        .tenant
        .runs
        .finish(&claimed, &success(), &facts())
        .await
        .unwrap();
}

async fn what_ended_before_the_kill_stays_as_it_ended(house: House) {
    let task = house.ready_task().await;
    let claimed = house.claim(&task).await;
    house
        .tenant
        .runs
        .finish(&claimed, &success(), &facts())
        .await
        .unwrap();
    let run = claimed.run.id;
    let before = house.tenant.runs.get(run).await.unwrap().outcome;
    let house = house.reopened().await;
    assert!(house.recover().await.is_empty());
    assert_eq!(house.tenant.runs.get(run).await.unwrap().outcome, before);
}

/// Answers as it is told, and remembers what it was asked.
#[derive(Debug)]
pub(super) struct Fate(OrphanFate, Mutex<HashSet<RunId>>);

impl Fate {
    pub(super) fn new(fate: OrphanFate) -> Self {
        Self(fate, Mutex::default())
    }

    /// The runs whose processes were to be ended.
    pub(super) fn asked(&self) -> HashSet<RunId> {
        self.1.lock().unwrap().clone()
    }
}

#[async_trait::async_trait]
impl Orphans for Fate {
    async fn end(&self, process: &Process) -> OrphanFate {
        self.1.lock().unwrap().insert(process.run);
        self.0
    }
}

async fn an_orphan_that_lives_keeps_its_run_from_lapsing(house: House) {
    let (task, run) = running(&house, here).await;
    let house = house.reopened().await;
    let alive = Fate::new(OrphanFate::Alive);
    let recovery = house.engine.recover(&alive).await.unwrap();
    assert!(matches!(recovery.left[0].why, LeftBecause::ProcessAlive));
    assert!(recovery.ended.is_empty());
    assert_eq!(
        house.tenant.tasks.get(task.id).await.unwrap().state,
        TaskState::Running
    );

    let killed = Fate::new(OrphanFate::Killed);
    let recovery = house.engine.recover(&killed).await.unwrap();
    assert_eq!((recovery.killed, recovery.ended.len()), (vec![run], 1));
    assert!(house.engine.recover(&alive).await.unwrap().is_empty());
}

/// A run ends though the kernel does not let go of its processes: they stay written down, and are ended by the next start
/// that can.
async fn processes_that_outlive_their_run_are_found_again(house: House) {
    let alice = house.agent("alice").await;
    let command = Some(CommandSpec::new(vec!["true".to_owned()]));
    let task = NewTask {
        command,
        ..NewTask::new(alice, "sleep")
    };
    let claimed = house.claim(&house.task(task).await).await;
    let (run, runs) = (claimed.run.id, &house.tenant.runs);
    runs.started(&claimed, Some(&here(run))).await.unwrap();
    let facts = Facts { alive: 2, ..facts() };
    let finished = runs.finish(&claimed, &success(), &facts).await.unwrap();
    assert_eq!(finished.outcome.facts.unwrap().alive, 2);
    let house = house.reopened().await;
    let alive = Fate::new(OrphanFate::Alive);
    house.engine.recover(&alive).await.unwrap();
    assert_eq!(alive.asked(), HashSet::from([run]));
    let killed = house
        .engine
        .recover(&Fate::new(OrphanFate::Killed))
        .await
        .unwrap();
    assert_eq!(killed.killed, [run]);
    let nothing = Fate::new(OrphanFate::Gone);
    house.engine.recover(&nothing).await.unwrap();
    assert!(nothing.asked().is_empty(), "nobody looks for them any more");
}

async fn processes_of_another_boot_are_gone_without_a_look(house: House) {
    let another = |run| Process {
        boot_id: "another-boot".to_owned(),
        ..here(run)
    };
    running(&house, another).await;
    let house = house.reopened().await;
    let asked = Fate::new(OrphanFate::Alive);
    let recovery = house.engine.recover(&asked).await.unwrap();
    assert_eq!(recovery.ended.len(), 1);
    assert!(asked.asked().is_empty());
}
