//! What has ended goes: tasks with all that is theirs, tombstones, and events from the front of their log.

use std::sync::Arc;
use std::time::Duration;

use dormouse_engine::EngineOptions;
use dormouse_engine::limits::SWEEP_PAGE;
use dormouse_engine::relay::SinkState;
use dormouse_engine::retention::{Retention, Sweeper, Swept};
use dormouse_engine::task::{NewTask, Task, TaskTombstone};
use dormouse_filesystem::wrapper::{Counted, Fault, FaultKind, Operation};
use dormouse_filesystem::{Memory, Position, RecordStore, Records};
use jiff::Timestamp;
use tokio::sync::oneshot;

use super::house::{House, facts, failed, name, operator, success};
use super::relay::{Recorder, Relay, reaches};

const DAY: i64 = 24 * 60 * 60;

super::on_every_store! {
    an_ended_task_goes_with_its_runs_and_leaves_a_tombstone_without_payload;
    what_has_not_ended_or_began_anew_stays;
    a_row_that_cannot_be_believed_keeps_nothing_else_from_its_end;
    events_go_when_they_are_old_and_never_beyond_the_end;
    no_event_goes_that_a_live_sink_has_yet_to_be_told;
}

/// Sweeps until nothing more is due.
pub(super) async fn sweep(sweeper: &mut Sweeper) -> Swept {
    let mut all = Swept::default();
    // Ends: each look does a page.
    loop {
        let swept = sweeper.look().await.unwrap();
        all.removed += swept.removed;
        all.events += swept.events;
        all.detached += swept.detached;
        if !swept.is_more {
            return all;
        }
    }
}

async fn ended(house: &House, title: &'static str) -> Task {
    let new = NewTask {
        body: format!("{title}, and all that is to be known of it"),
        ..NewTask::new(name("alice"), title)
    };
    let task = house.task(new).await;
    let claimed = house.claim(&task).await;
    let finished = house
        .tenant
        .runs
        .finish(&claimed, &success(), &facts())
        .await
        .unwrap();
    finished.task.unwrap()
}

async fn kinds(house: &House) -> Vec<String> {
    let entries = house.entries().await;
    let mut kinds: Vec<String> = entries
        .iter()
        .map(|entry| entry.kind.as_str().to_owned())
        .filter(|kind| kind != "index")
        .collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

async fn an_ended_task_goes_with_its_runs_and_leaves_a_tombstone_without_payload(house: House) {
    house.agent("alice").await;
    let task = ended(&house, "count the black sheep").await;
    let mut sweeper = house.engine.sweeper();
    assert_eq!(sweep(&mut sweeper).await, Swept::default(), "nothing is old");
    house.clock.advance(90 * DAY - 1);
    assert_eq!(sweep(&mut sweeper).await.removed, 0);
    house.clock.advance(2);
    let swept = sweep(&mut sweeper).await;
    assert_eq!(swept.removed, 1);
    assert_eq!(
        house.tenant.tasks.get(task.id).await.unwrap_err().code(),
        "not_found"
    );
    let runs = house
        .tenant
        .runs
        .list(&Default::default(), None, 10)
        .await
        .unwrap();
    assert!(runs.rows.is_empty(), "{runs:?}");
    for kind in ["task", "run", "outcome", "lease", "heartbeat"] {
        assert!(!kinds(&house).await.contains(&kind.to_owned()), "{kind}");
    }
    let tombstones = Records::<TaskTombstone>::new(house.tenant.space());
    let tombstone = tombstones.get(&task.id).await.unwrap().unwrap();
    assert_eq!(
        (tombstone.number, tombstone.state.as_str()),
        (task.number, "done")
    );
    let stored = house.entry("task_tombstone", &task.id).await;
    let stored = String::from_utf8(stored.value.to_vec()).unwrap();
    assert!(!stored.contains("sheep"), "{stored}");
    assert_eq!(tombstone.digest.len(), 64);
    // And then that goes too; nothing tells of the task any more but the number, which is not given again.
    house.clock.advance(90 * DAY + 1);
    assert_eq!(sweep(&mut sweeper).await.removed, 1);
    assert!(tombstones.get(&task.id).await.unwrap().is_none());
    let left = house.stored().await;
    assert!(!left.contains(&task.id.to_string()), "{left}");
    let next = house.task(NewTask::new(name("alice"), "again")).await;
    assert_eq!(next.number, task.number + 1);
}

async fn what_has_not_ended_or_began_anew_stays(house: House) {
    house.agent("alice").await;
    let waiting = house.task(NewTask::new(name("alice"), "wait")).await;
    let retried = house.task(NewTask::new(name("alice"), "try")).await;
    let claimed = house.claim(&retried).await;
    let runs = &house.tenant.runs;
    runs.finish(&claimed, &failed(true), &facts()).await.unwrap();
    house.clock.advance(90 * DAY - 10);
    let tasks = &house.tenant.tasks;
    tasks
        .retry(&operator(), retried.id, Default::default())
        .await
        .unwrap();
    house.clock.advance(20);
    let mut sweeper = house.engine.sweeper();
    assert_eq!(sweep(&mut sweeper).await.removed, 0);
    for id in [waiting.id, retried.id] {
        tasks.get(id).await.unwrap();
    }
}

async fn head(house: &House) -> (u64, u64) {
    let head = house.tenant.events.head().await.unwrap();
    (head.first.get(), head.next.get())
}

async fn events_go_when_they_are_old_and_never_beyond_the_end(house: House) {
    house.agent("alice").await;
    house.agent("bob").await;
    house.clock.advance(20 * DAY);
    house.agent("carol").await;
    let mut sweeper = house.engine.sweeper();
    assert_eq!(sweep(&mut sweeper).await.events, 0);
    house.clock.advance(10 * DAY + 1);
    assert_eq!(sweep(&mut sweeper).await.events, 2);
    assert_eq!(head(&house).await, (3, 5));
    let told = house
        .tenant
        .events
        .read_after(Position::new(3), 10)
        .await
        .unwrap();
    let [told] = &told.events[..] else {
        panic!("{told:?}")
    };
    assert_eq!(told.event.kind, "events.truncated");
    assert_eq!(
        serde_json::json!(told.event.data),
        serde_json::json!({ "first": 3, "count": 2 })
    );
    // Everything is old: all of it goes, and the one that says so stays.
    house.clock.advance(60 * DAY);
    assert_eq!(sweep(&mut sweeper).await.events, 2);
    assert_eq!(head(&house).await, (5, 6));
    assert_eq!(sweep(&mut sweeper).await.events, 0);
}

pub(super) async fn no_event_goes_that_a_live_sink_has_yet_to_be_told(house: House) {
    house.agent("alice").await;
    let sink = Recorder::new("audit");
    let relay = Relay::of(&house.engine, vec![sink.clone()]);
    sink.has(1).await;
    reaches(&house, 1).await;
    relay.leaves().await;
    house.agent("bob").await;
    house.clock.advance(31 * DAY);
    let mut sweeper = house.engine.sweeper();
    let swept = sweep(&mut sweeper).await;
    assert_eq!((swept.events, swept.detached), (1, 0), "what it has goes");
    assert_eq!(head(&house).await.0, 2);
    // It is seen again that far behind, and is told nothing any more.
    house.clock.advance(10 * 60);
    let swept = sweep(&mut sweeper).await;
    assert_eq!(swept.detached, 1);
    let sinks = house.tenant.sinks.list().await.unwrap();
    assert_eq!(sinks[0].state, SinkState::Detached);
    assert!(
        house
            .event_types_from(3)
            .await
            .contains(&"sink.detached".to_owned())
    );
    house.clock.advance(31 * DAY);
    sweep(&mut sweeper).await;
    assert!(head(&house).await.0 > 2);
    // Resumed, it goes on with what is kept.
    house
        .tenant
        .sinks
        .resume(&operator(), sinks[0].consumer.id().parse().as_ref().unwrap())
        .await
        .unwrap();
    house.agent("carol").await;
    let last = head(&house).await.1 - 1;
    let relay = Relay::of(&house.engine, vec![sink.clone()]);
    sink.has(last).await;
    relay.leaves().await;
}

impl House {
    async fn event_types_from(&self, first: u64) -> Vec<String> {
        let after = Position::new(first - 1);
        let page = self.tenant.events.read_after(after, 1000).await.unwrap();
        page.events.into_iter().map(|event| event.event.kind).collect()
    }
}

/// Somebody who was switched off for weeks is served first.
#[tokio::test]
async fn a_sink_that_gets_on_is_not_detached_however_far_behind_it_begins() {
    let house = House::in_memory().await;
    house.agent("alice").await;
    let sink = Recorder::new("audit");
    let relay = Relay::of(&house.engine, vec![sink.clone()]);
    sink.has(1).await;
    reaches(&house, 1).await;
    relay.leaves().await;
    house.agent("bob").await;
    house.clock.advance(20 * DAY);
    let mut sweeper = house.engine.sweeper();
    assert_eq!(sweep(&mut sweeper).await.detached, 0);
    let relay = Relay::of(&house.engine, vec![sink.clone()]);
    sink.has(2).await;
    reaches(&house, 2).await;
    relay.leaves().await;
    house.clock.advance(DAY);
    assert_eq!(sweep(&mut sweeper).await.detached, 0);
    assert_eq!(
        house.tenant.sinks.list().await.unwrap()[0].state,
        SinkState::Active
    );
}

#[tokio::test]
async fn events_beyond_their_number_go_whatever_their_age() {
    let house = House::in_memory().await;
    let options = EngineOptions {
        retention: Retention {
            events_max: 10,
            ..Retention::default()
        },
        ..EngineOptions::default()
    };
    let engine = house.neighbour_set(options).await;
    house.agent("alice").await;
    for nth in 0..29 {
        house
            .task(NewTask::new(name("alice"), format!("sheep {nth}")))
            .await;
    }
    let mut sweeper = engine.sweeper();
    assert_eq!(sweep(&mut sweeper).await.events, 20);
    assert_eq!(head(&house).await, (21, 32));
}

/// A sweep is bounded: a page at a look, several rows a commit.
#[tokio::test]
async fn a_look_removes_a_page_and_says_that_there_is_more() {
    let house = House::in_memory().await;
    house.agent("alice").await;
    let count = SWEEP_PAGE + 20;
    for nth in 0..count {
        let task = house
            .task(NewTask::new(name("alice"), format!("sheep {nth}")))
            .await;
        house
            .tenant
            .tasks
            .cancel(&operator(), task.id, None)
            .await
            .unwrap();
    }
    house.clock.advance(90 * DAY + 1);
    let mut sweeper = house.engine.sweeper();
    let first = sweeper.look().await.unwrap();
    assert_eq!((first.removed, first.is_more), (SWEEP_PAGE, true));
    let second = sweeper.look().await.unwrap();
    assert_eq!((second.removed, second.is_more), (20, false));
    assert_eq!(sweeper.look().await.unwrap().removed, 0);
}

#[tokio::test]
async fn a_row_that_cannot_be_believed_keeps_no_other_from_its_end() {
    let house = House::in_memory().await;
    house.agent("alice").await;
    let damaged = ended(&house, "first").await;
    let whole = ended(&house, "second").await;
    house.spoil("task", &damaged.id).await;
    house.clock.advance(90 * DAY + 1);
    let mut sweeper = house.engine.sweeper();
    assert_eq!(sweep(&mut sweeper).await.removed, 1);
    assert_eq!(
        house.tenant.tasks.get(whole.id).await.unwrap_err().code(),
        "not_found"
    );
    assert_eq!(
        house.tenant.tasks.get(damaged.id).await.unwrap_err().code(),
        "corrupt"
    );
}

/// A task with more runs than a commit takes goes in several, and is there until the last of them.
#[tokio::test]
async fn a_task_with_many_runs_goes_in_parts() {
    let house = House::in_memory().await;
    house.agent("alice").await;
    let task = house.task(NewTask::new(name("alice"), "try and try")).await;
    for _ in 0..40 {
        let claimed = house.claim(&task).await;
        house
            .tenant
            .runs
            .finish(&claimed, &failed(true), &facts())
            .await
            .unwrap();
        house
            .tenant
            .tasks
            .retry(&operator(), task.id, Default::default())
            .await
            .unwrap();
    }
    house
        .tenant
        .tasks
        .cancel(&operator(), task.id, None)
        .await
        .unwrap();
    house.clock.advance(90 * DAY + 1);
    let mut sweeper = house.engine.sweeper();
    assert_eq!(sweep(&mut sweeper).await.removed, 1);
    assert!(!kinds(&house).await.contains(&"run".to_owned()));
    assert!(!kinds(&house).await.contains(&"outcome".to_owned()));
}

#[tokio::test]
async fn what_was_said_to_go_goes_also_when_its_cutting_was_broken_off() {
    let store = Arc::new(Fault::scripted(Memory::new(Timestamp::UNIX_EPOCH)));
    let house = House::over_exclusive(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    house.agent("alice").await;
    house.clock.advance(31 * DAY);
    house.agent("bob").await;
    store.next(Operation::Truncate, FaultKind::Refuse);
    let mut sweeper = house.engine.sweeper();
    assert!(sweeper.look().await.is_err());
    assert_eq!(head(&house).await.0, 1, "said, and not done");
    let mut next = house.engine.sweeper();
    sweep(&mut next).await;
    assert_eq!(head(&house).await.0, 2);
    let said = house.event_types_from(2).await;
    assert_eq!(
        said.iter().filter(|kind| *kind == "events.truncated").count(),
        1,
        "once"
    );
}

/// ST-71, with `a_look_removes_a_page_and_says_that_there_is_more`,
/// `an_ended_task_goes_with_its_runs_and_leaves_a_tombstone_without_payload`,
/// `events_go_when_they_are_old_and_never_beyond_the_end` and `no_event_goes_that_a_live_sink_has_yet_to_be_told`.
#[tokio::test(start_paused = true)]
async fn nothing_is_read_while_nothing_is_due_and_what_is_due_goes_by_itself() {
    let store = Arc::new(Counted::new(Memory::new(Timestamp::UNIX_EPOCH)));
    let house = House::over_exclusive(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    house.agent("alice").await;
    let task = ended(&house, "count the sheep").await;
    let (leave, left) = oneshot::channel::<()>();
    let engine = house.engine.clone();
    let serving = tokio::spawn(async move { engine.serve_retention(async { drop(left.await) }).await });
    tokio::time::sleep(Duration::from_secs(60)).await;
    let before = store.counts().operations();
    tokio::time::sleep(Duration::from_secs(DAY as u64)).await;
    assert_eq!(
        store.counts().operations(),
        before,
        "a day in which nothing was due"
    );
    house.clock.advance(90 * DAY + 1);
    tokio::time::sleep(Duration::from_secs(2 * 60 * 60)).await;
    assert_eq!(
        house.tenant.tasks.get(task.id).await.unwrap_err().code(),
        "not_found"
    );
    leave.send(()).unwrap();
    serving.await.unwrap();
}

async fn a_row_that_cannot_be_believed_keeps_nothing_else_from_its_end(house: House) {
    house.agent("alice").await;
    let (first, second) = (ended(&house, "first").await, ended(&house, "second").await);
    house.spoil("outcome", &first.last_run.unwrap()).await;
    house.clock.advance(91 * DAY);
    let mut sweeper = house.engine.sweeper();
    let swept = sweep(&mut sweeper).await;
    assert!(
        swept.events > 0,
        "the logs come behind all kinds of rows: {swept:?}"
    );
    assert!(house.tenant.tasks.get(first.id).await.is_ok());
    assert_eq!(
        house.tenant.tasks.get(second.id).await.unwrap_err().code(),
        "not_found"
    );
}
