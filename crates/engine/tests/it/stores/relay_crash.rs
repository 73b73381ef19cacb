//! What a killed process committed is told, and what it did not is not.

use std::sync::atomic::Ordering;

use dormouse_engine::TaskId;
use dormouse_engine::task::NewTask;

use super::gates_crash::{Child, SEAT, say};
use super::hooked::Hooked;
use super::house::{House, name, operator};
use super::place::Place;
use super::relay::{Recorder, Relay};

/// The child: makes tasks until it is killed, and says each that was acknowledged.
pub(super) async fn commits(house: &House) {
    house.agent("alice").await;
    // Ends when it is killed.
    for nth in 0.. {
        let task = house.task(NewTask::new(name("alice"), format!("sheep {nth}"))).await;
        say(task.id);
    }
}

async fn a_killed_process(place: Place) {
    let mut child = Child::start(&place, SEAT, "commits");
    let acknowledged: Vec<TaskId> = (0..25).map(|_| child.said()[0].parse().unwrap()).collect();
    child.kill();
    let house = House::at(place).await;
    house.recover().await;
    let sink = Recorder::new("audit");
    let relay = Relay::of(&house.engine, vec![sink.clone()]);
    sink.has(house.event_count().await - 1).await;
    relay.leaves().await;
    let logged = house.events().await;
    let taken: Vec<_> = sink.taken().into_iter().map(|event| event.event).collect();
    assert_eq!(taken, logged, "each once, with its id, in the order of the log");
    for task in acknowledged {
        let subject = format!("task:{task}");
        let told = taken.iter().filter(|event| event.subject == subject);
        assert_eq!(told.count(), 1, "{task}");
    }
    for event in taken.iter().filter(|event| event.kind == "task.created") {
        let id = event.subject.strip_prefix("task:").unwrap().parse().unwrap();
        house.tenant.tasks.get(id).await.unwrap();
    }
}

/// ST-64, with `a_commit_that_failed_is_told_to_nobody` and `a_killed_process_is_relayed_on_a_server`.
#[tokio::test]
async fn a_killed_process_is_relayed_from_a_folder() {
    a_killed_process(Place::sled()).await;
}

#[tokio::test]
async fn a_killed_process_is_relayed_on_a_server() {
    if let Some(place) = Place::postgres() {
        a_killed_process(place).await;
    }
}

#[tokio::test]
async fn a_commit_that_failed_is_told_to_nobody() {
    let store = Hooked::new();
    let house = House::over_shared(store.clone()).await;
    house.agent("alice").await;
    store.is_full.store(true, Ordering::SeqCst);
    let new = NewTask::new(name("alice"), "never");
    house.tenant.tasks.create(&operator(), new).await.unwrap_err();
    store.is_full.store(false, Ordering::SeqCst);
    house.agent("bob").await;
    assert_eq!(house.event_types().await, ["agent.created", "agent.created"]);
    let sink = Recorder::new("audit");
    let relay = Relay::of(&house.engine, vec![sink.clone()]);
    sink.has(2).await;
    relay.leaves().await;
    assert_eq!(sink.positions(), [1, 2]);
}
