//! What a process itself let go of: the lease of a run that nobody holds any more is ended by that process while it lives,
//! when it is over and no sooner; what is held is not; and where nothing was let go of, nothing is read.

use std::sync::Arc;
use std::time::Duration;

use dormouse_engine::agent::AtWork;
use dormouse_engine::limits::RESOLVE_ATTEMPTS_MAX;
use dormouse_engine::run::ClaimOptions;
use dormouse_engine::task::{NewTask, Task, TaskState};
use dormouse_engine::{CommandError, Engine, Settled};
use dormouse_filesystem::wrapper::{Counted, FaultKind, Operation};
use dormouse_filesystem::{Memory, RecordStore};
use jiff::Timestamp;
use tokio::task::JoinSet;

use super::house::{House, NoOrphans, facts, operator, success, tenant_id};
use super::wakes::until;
use super::wakes_rung::Unhurried;

super::on_every_store! {
    a_run_that_was_let_go_of_is_ended_when_its_lease_is_over;
    a_run_that_is_held_is_left_to_its_holder;
    a_claim_that_nobody_knows_of_is_ended_when_its_lease_is_over;
}

/// Time to live and what clocks may differ.
const OVER: i64 = 95;

async fn state(house: &House, task: &Task) -> (TaskState, u32) {
    let task = house.tenant.tasks.get(task.id).await.unwrap();
    (task.state.clone(), task.reclaims)
}

/// What is over ends; nothing of it is kept, so that its agent can go.
async fn ends(house: &House, engine: &Engine, row: &Task) {
    house.clock.advance(OVER - 1);
    engine.serve_leases_once(&NoOrphans).await.unwrap();
    assert_eq!(
        state(house, row).await,
        (TaskState::Running, 0),
        "it may be held still"
    );
    house.clock.advance(1);
    engine.serve_leases_once(&NoOrphans).await.unwrap();
    assert_eq!(state(house, row).await, (TaskState::Ready, 1));
    let agents = &house.tenant.agents;
    agents
        .delete(&operator(), &row.assignee, AtWork::Refuse, None)
        .await
        .unwrap();
    until("it is gone", async || agents.get(&row.assignee).await.is_err()).await;
}

async fn a_run_that_was_let_go_of_is_ended_when_its_lease_is_over(house: House) {
    let row = house.ready_task().await;
    drop(house.claim(&row).await);
    ends(&house, &house.engine, &row).await;
}

async fn a_run_that_is_held_is_left_to_its_holder(house: House) {
    let row = house.ready_task().await;
    let claimed = house.claim(&row).await;
    // The machine slept.
    house.clock.advance(3600);
    house.engine.serve_leases_once(&NoOrphans).await.unwrap();
    assert_eq!(state(&house, &row).await, (TaskState::Running, 0));
    let renewed = house.tenant.runs.heartbeat(&claimed, None).await;
    match house.place().is_shared() {
        true => assert!(matches!(renewed, Err(CommandError::LeaseExpired { .. }))),
        false => drop(renewed.unwrap()),
    }
}

async fn a_claim_that_nobody_knows_of_is_ended_when_its_lease_is_over(house: House) {
    let row = house.ready_task().await;
    let (engine, fault) = house.faulty().await;
    let tenant = engine.tenant(&tenant_id()).await.unwrap();
    fault.next(Operation::Commit, FaultKind::LoseAfter);
    for _ in 0..RESOLVE_ATTEMPTS_MAX {
        fault.next(Operation::Commit, FaultKind::LoseBefore);
    }
    let claim = tenant
        .runs
        .claim(&operator(), row.id, ClaimOptions::default())
        .await;
    let Err(CommandError::Indeterminate { op: Some(op), .. }) = claim else {
        panic!("no answer comes")
    };
    fault.forget();
    assert_eq!(tenant.resolve(op).await.unwrap(), Settled::Done);
    ends(&house, &engine, &row).await;
}

/// So much time passes, on both clocks.
async fn pass(house: &House, seconds: u32) {
    for _ in 0..seconds {
        tokio::time::sleep(Duration::from_secs(1)).await;
        house.clock.advance(1);
    }
}

fn serve(house: &House) -> JoinSet<()> {
    let (mut serving, engine) = (JoinSet::new(), house.engine.clone());
    serving.spawn(async move { engine.serve_leases(&NoOrphans, std::future::pending()).await });
    serving
}

#[tokio::test(start_paused = true)]
async fn a_store_of_ones_own_is_looked_at_when_something_was_let_go_of_and_at_no_other_time() {
    let store = Arc::new(Counted::new(Memory::new(Timestamp::UNIX_EPOCH)));
    let house = House::over_exclusive(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    let alice = house.agent("alice").await;
    let _serving = serve(&house);
    for round in 1..=2 {
        let row = house.task(NewTask::new(alice.clone(), "count the sheep")).await;
        let held = house.claim(&row).await;
        let before = store.counts().operations();
        pass(&house, 300).await;
        assert_eq!(store.counts().operations(), before, "it is held");
        house.tenant.runs.heartbeat(&held, None).await.unwrap();
        drop(held);
        pass(&house, 94).await;
        assert_eq!(state(&house, &row).await, (TaskState::Running, 0), "{round}");
        pass(&house, 3).await;
        assert_eq!(state(&house, &row).await, (TaskState::Ready, 1), "{round}");
        let again = house.claim(&row).await;
        house.tenant.runs.started(&again, None).await.unwrap();
        house
            .tenant
            .runs
            .finish(&again, &success(), &facts())
            .await
            .unwrap();
        drop(again);
        // Once more, whatever it finds; then it sleeps.
        pass(&house, 100).await;
        let before = store.counts().operations();
        pass(&house, 3600).await;
        assert_eq!(store.counts().operations(), before, "nothing is leased");
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_caller_is_gone_ends_where_nobody_else_writes() {
    let store = Unhurried::new();
    let house = House::over_exclusive(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    let row = house.ready_task().await;
    let _serving = serve(&house);
    let (runs, id) = (house.tenant.runs.clone(), row.id);
    let claim = async move { runs.claim(&operator(), id, ClaimOptions::default()).await };
    store.land_without_caller(claim).await;
    pass(&house, 1).await;
    assert_eq!(
        state(&house, &row).await,
        (TaskState::Running, 0),
        "it was done all the same"
    );
    pass(&house, 97).await;
    assert_eq!(state(&house, &row).await, (TaskState::Ready, 1));
}

#[tokio::test(start_paused = true)]
async fn where_others_write_too_a_process_ends_what_it_let_go_of() {
    let house = House::shared().await;
    let row = house.ready_task().await;
    let _serving = serve(&house);
    drop(house.claim(&row).await);
    pass(&house, 94).await;
    assert_eq!(state(&house, &row).await, (TaskState::Running, 0));
    pass(&house, 3 + 60).await;
    assert_eq!(state(&house, &row).await, (TaskState::Ready, 1));
}
