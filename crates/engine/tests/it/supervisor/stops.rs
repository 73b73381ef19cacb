//! Stops: the first stands, a deletion takes the tree with it, and a shutdown is counted nowhere.

use dormouse_engine::agent::AtWork;
use dormouse_engine::command::Effects;
use dormouse_engine::run::RunState;
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::*;
use crate::stores::hooked::Hooked;

const DEAF: &str = "trap '' TERM INT; echo up; while :; do sleep 0.1; done";

/// A worker that leaves when it is killed, by a clock or whoever stops it.
async fn deaf(house: &House, wall_clock_ms: u64, grace_ms: u64) -> RunId {
    let command = CommandSpec {
        wall_clock_ms: Some(wall_clock_ms),
        grace_ms: Some(grace_ms),
        ..sh(DEAF)
    };
    let run = house.begin(command).await;
    house.printed(run, "up").await;
    run
}

async fn is_stopping(house: &House, run: RunId) {
    until("it is told to stop", async || {
        let row = house.tenant.runs.get(run).await.unwrap();
        assert_ne!(row.run.state, RunState::Ended, "nobody saw it stop: {row:?}");
        row.run.state == RunState::Stopping
    })
    .await;
}

/// WK-22
#[tokio::test]
async fn of_two_stops_the_first_stands_and_a_deletion_and_a_shutdown_leave_no_process() {
    let bed = bed();
    let house = bed.open_with_alice().await;
    let by = operator();
    let cancel = async |run| {
        let cancel = house
            .supervisor
            .cancel(&house.tenant, &by, run, Force::Cooperative, None);
        cancel.await.unwrap();
    };
    // The clock, and then a person, within its grace.
    let run = deaf(&house, 1_000, 2_000).await;
    is_stopping(&house, run).await;
    cancel(run).await;
    let row = house.ended(run).await;
    assert!(matches!(outcome(&row), Outcome::Timeout { .. }), "{row:?}");
    // A person, and then the clock.
    let run = deaf(&house, 4_000, 6_000).await;
    cancel(run).await;
    let row = house.ended(run).await;
    let facts = facts(&row);
    assert!(facts.clock_ms > 4_000, "the clock ran out meanwhile: {facts:?}");
    assert_eq!(cancelled_by(&row), Some(CancelledBy::Principal), "{row:?}");

    // A shutdown: drained, ended, and counted nowhere.
    let mark = unique_sleep();
    let stays = format!("setsid sleep {mark} & echo up; exec sleep {mark}");
    let repeatable = CommandSpec {
        effects: Some(Effects::Repeatable),
        ..sh(&stays)
    };
    let run = house.begin(repeatable).await;
    house.printed(run, "up").await;
    house.supervisor.shutdown().await;
    assert!(!is_running(&mark), "it outlived the shutdown");
    let row = house.tenant.runs.get(run).await.unwrap();
    assert_eq!(cancelled_by(&row), Some(CancelledBy::Shutdown), "{row:?}");
    let task = house.tenant.tasks.get(row.run.task.unwrap()).await.unwrap();
    assert_eq!(
        (&task.state, task.failures, task.reclaims),
        (&TaskState::Ready, 0, 0)
    );

    // The agent is deleted: its tree is gone when it is.
    let supervisor = Supervisor::new(&house.engine, options(bed.folder()));
    let house = House { supervisor, ..house };
    let mark = unique_sleep();
    let run = house
        .begin(sh(&format!("setsid sleep {mark} & echo up; exec sleep {mark}")))
        .await;
    house.printed(run, "up").await;
    let agents = &house.tenant.agents;
    agents
        .delete(&operator(), &alice(), AtWork::Stop, None)
        .await
        .unwrap();
    until("the agent is gone", async || {
        matches!(agents.get(&alice()).await, Err(CommandError::NotFound { .. }))
    })
    .await;
    assert!(!is_running(&mark), "it outlived its agent");
    house.supervisor.wait(run).await;
}

/// Of what happens within the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    Cancel,
    Success,
}

/// WK-21: each is one commit on the versions that were read, so what counts is where between reads and commit of the one
/// the other happens.
#[tokio::test]
async fn a_cancel_at_any_step_of_a_success_leaves_one_outcome_and_a_later_one_gets_it() {
    const KINDS: [&str; 8] = [
        "task",
        "run",
        "lease",
        "heartbeat",
        "agent",
        "account",
        "process",
        "outcome",
    ];
    let mut met = 0;
    for (within, step) in [Within::Cancel, Within::Success]
        .into_iter()
        .flat_map(|within| (0..KINDS.len() + 3).map(move |step| (within, step)))
    {
        let store = Hooked::new();
        let bed = bed_over(Arc::clone(&store) as Arc<dyn RecordStore>);
        let house = bed.open_with_alice().await;
        let claimed = house.claimed(NewTask::new(alice(), "a task")).await;
        let (runs, task) = (&house.tenant.runs, claimed.run.task.unwrap());
        runs.started(&claimed, None).await.unwrap();
        let run = claimed.run.id;
        let tenant = house.tenant.clone();
        let cancel = async move { tenant.tasks.cancel(&operator(), task, None).await.map(drop) };
        let tenant = house.tenant.clone();
        let success = async move {
            let done = Outcome::Success { text: None };
            tenant
                .runs
                .finish(&claimed, &done, &crate::stores::facts())
                .await
                .map(drop)
        };
        let (inner, outer): (BoxFuture<'_, _>, BoxFuture<'_, _>) = match within {
            Within::Cancel => (cancel.boxed(), success.boxed()),
            Within::Success => (success.boxed(), cancel.boxed()),
        };
        let inner = async move { inner.await.unwrap() };
        match KINDS.get(step) {
            Some(kind) => store.after_read(kind, inner),
            None => store.before_nth_commit(step - KINDS.len(), inner),
        }
        outer.await.unwrap();
        if !store.was_met() {
            continue;
        }
        met += 1;
        let row = runs.get(run).await.unwrap();
        assert_eq!(outcome(&row).name(), "success", "{within:?} at {step}");
        assert!(matches!(house.task_state(&row).await, TaskState::Done { .. }));
        let ends = house.event_types().await;
        let ends = ends.iter().filter(|kind| *kind == "run.ended").count();
        assert_eq!(ends, 1, "{within:?} at {step}");
        let again = house
            .supervisor
            .cancel(&house.tenant, &operator(), run, Force::Kill, None)
            .await
            .unwrap();
        assert_eq!(again.outcome, row.outcome, "{within:?} at {step}");
    }
    assert!(met >= 4, "only {met} steps were met");
}
