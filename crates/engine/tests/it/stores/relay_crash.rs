//! What a killed process committed is told, and what it did not is not.

use std::sync::atomic::Ordering;

use dormouse_engine::TaskId;
use dormouse_engine::task::NewTask;
use dormouse_filesystem::Position;
use futures::StreamExt;

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
        let task = house
            .task(NewTask::new(name("alice"), format!("sheep {nth}")))
            .await;
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

/// Tasks that each of the processes makes.
const EACH: usize = 8;

/// The child: makes some tasks of an agent that is there.
pub(super) async fn appends(house: &House) {
    for nth in 0..EACH {
        house
            .task(NewTask::new(name("alice"), format!("sheep {nth}")))
            .await;
    }
    say("done");
}

/// ST-65, with `sixteen_appenders_and_a_tailer_agree`.
#[tokio::test]
async fn sixteen_processes_append_in_one_order() {
    let Some(place) = Place::postgres() else { return };
    let house = House::at(place).await;
    house.agent("alice").await;
    let mut children: Vec<Child> = (0..16)
        .map(|nth| Child::start(house.place(), &format!("seat {nth}"), "appends"))
        .collect();
    let mut tail = Box::pin(house.tenant.events.follow(Position::START));
    let mut seen = Vec::new();
    while seen.len() < 1 + 16 * EACH {
        seen.push(tail.next().await.unwrap().unwrap());
    }
    for child in &mut children {
        assert_eq!(child.said(), ["done"]);
    }
    let positions: Vec<u64> = seen.iter().map(|event| event.position.get()).collect();
    assert_eq!(
        positions,
        (1..=1 + 16 * EACH as u64).collect::<Vec<_>>(),
        "none found late, none twice"
    );
    let numbers: Vec<u64> = seen[1..]
        .iter()
        .map(|event| event.event.data["number"].as_u64().unwrap())
        .collect();
    assert_eq!(
        numbers,
        (1..=16 * EACH as u64).collect::<Vec<_>>(),
        "in the order of the commits"
    );
    let mut ids: Vec<_> = seen.iter().map(|event| event.event.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), seen.len());
}
