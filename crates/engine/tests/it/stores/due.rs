//! The loop that serves deadlines: what wakes it, what it is not kept from, and what it does not read.

use std::sync::Arc;
use std::time::Duration;

use dormouse_engine::capability::{CapabilityEnd, CapabilityState};
use dormouse_engine::gate::{Gate, NewGate, Timeout};
use dormouse_engine::task::NewTask;
use dormouse_engine::{Clock as _, CommandError, DueServed, Engine};
use dormouse_filesystem::wrapper::{Counted, Fault, FaultKind, Operation};
use dormouse_filesystem::{Memory, RecordStore};
use dormouse_state::Event;
use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::gates::{Asker, approve, open, status};
use super::hooked::Hooked;
use super::house::{House, facts, name, success};
use super::sessions::{at_work, done, seen};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// The loop of an engine, until this is left.
struct Serving {
    leave: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Serving {
    fn of(engine: &Engine) -> Self {
        let (leave, left) = oneshot::channel::<()>();
        let engine = engine.clone();
        let task = tokio::spawn(async move { engine.serve_due(async { drop(left.await) }).await });
        Self { leave, task }
    }

    async fn left(self) {
        self.leave.send(()).unwrap();
        self.task.await.unwrap();
    }
}

/// A store that nobody else writes, and that counts what is asked of it.
async fn counted() -> (Arc<Counted<Memory>>, House) {
    let store = Arc::new(Counted::new(Memory::new(Timestamp::UNIX_EPOCH)));
    let house = House::over_exclusive(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    house.agent("alice").await;
    (store, house)
}

/// A gate that nobody waits for, with so many seconds.
async fn gate(house: &House, seconds: u64) -> Gate {
    gate_for(house, Timeout::After(Duration::from_secs(seconds))).await
}

async fn gate_for(house: &House, timeout: Timeout) -> Gate {
    let task = house.task(NewTask::new(name("alice"), "count the sheep")).await;
    let new = NewGate {
        task: Some(task.id),
        timeout,
        ..NewGate::notification(name("alice"), "look")
    };
    open(house, &new).await
}

/// Both clocks go on, a second at a time.
async fn pass(house: &House, seconds: u64) {
    for _ in 0..seconds {
        house.clock.advance(1);
        sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_row_whose_time_is_up_is_looked_at_once_a_minute_and_no_other_is_late() {
    let (store, house) = counted().await;
    let damaged = gate(&house, 10).await;
    house.spoil("gate", &damaged.id).await;
    house.clock.advance(10);
    let serving = Serving::of(&house.engine);
    pass(&house, 20).await;
    let before = store.counts().operations();
    pass(&house, 600).await;
    let looked = store.counts().operations() - before;
    assert!(
        (10..=150).contains(&looked),
        "{looked} operations of ten looks or so"
    );
    let good = gate(&house, 30).await;
    pass(&house, 29).await;
    assert_eq!(status(&house, &good).await, "pending");
    pass(&house, 2).await;
    assert_eq!(status(&house, &good).await, "expired");
    serving.left().await;
}

#[tokio::test(start_paused = true)]
async fn a_damaged_row_whose_time_comes_first_keeps_no_other_from_its_time() {
    let (_store, house) = counted().await;
    for seconds in 100..120 {
        let damaged = gate(&house, seconds).await;
        house.spoil("gate", &damaged.id).await;
    }
    let good = gate(&house, 7200).await;
    let serving = Serving::of(&house.engine);
    sleep(Duration::from_secs(1)).await;
    // The clock stands: nothing is due, and nothing hints.
    house.clock.advance(7201);
    sleep(Duration::from_secs(61)).await;
    assert_eq!(status(&house, &good).await, "expired");
    let served = house.engine.serve_due_once().await.unwrap();
    assert_eq!(
        served,
        DueServed {
            left: 20,
            ..DueServed::default()
        }
    );
    serving.left().await;
}

#[tokio::test(start_paused = true)]
async fn an_entry_of_an_index_whose_row_is_gone_costs_nothing() {
    let (store, house) = counted().await;
    for seconds in [10, 500_000] {
        let gone = gate(&house, seconds).await;
        house.lose("gate", &gone.id).await;
    }
    let Asker { claimed, session } = Asker::next(&house).await;
    let runs = &house.tenant.runs;
    runs.finish(&claimed, &success(), &facts()).await.unwrap();
    house.lose("session", &session).await;
    let serving = Serving::of(&house.engine);
    pass(&house, 20).await;
    let before = store.counts().operations();
    pass(&house, 3600).await;
    assert_eq!(store.counts().operations(), before, "no read, no write");
    serving.left().await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_its_driver_makes_idle_is_passed_over_and_said_so() {
    let house = House::in_memory().await;
    let (claimed, session) = at_work(&house).await;
    let sessions = &house.tenant.sessions;
    for (seq, event) in [(1, Event::Thinking), (2, done())] {
        let observed = seen(&house, Some(&claimed), seq, event);
        sessions.observe(session, &observed).await.unwrap();
    }
    assert_eq!(sessions.at_work(), 1);
    house.clock.advance(3);
    let served = house.engine.serve_due_once().await.unwrap();
    assert_eq!((served.driven, served.sessions, served.left), (1, 0, 0));
    house.engine.close().await;
}

/// Timers stand while a machine sleeps, and its clock does not.
#[tokio::test(start_paused = true)]
async fn a_deadline_that_passed_while_the_machine_slept_is_served_within_a_minute() {
    let (store, house) = counted().await;
    let slept_over = gate(&house, 8 * 3600).await;
    let serving = Serving::of(&house.engine);
    sleep(Duration::from_secs(30)).await;
    let before = store.counts().operations();
    sleep(HOUR).await;
    assert_eq!(
        store.counts().operations(),
        before,
        "looking at the clock reads nothing"
    );
    let at = slept_over.expires_at.unwrap();
    let left = at.duration_since(house.clock.now()).as_secs();
    house.clock.advance(left - 1);
    sleep(Duration::from_secs(61)).await;
    assert_eq!(status(&house, &slept_over).await, "pending");
    house.clock.advance(1);
    sleep(Duration::from_secs(61)).await;
    assert_eq!(status(&house, &slept_over).await, "expired");
    serving.left().await;
}

/// In a store that others may write too, which is looked at often.
#[tokio::test(start_paused = true)]
async fn a_damaged_row_is_read_each_minute_however_often_others_are_due() {
    let store = Hooked::new();
    let house = House::over_shared(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    house.agent("alice").await;
    let damaged = gate(&house, 10).await;
    let key = store.key_of("gate", &damaged.id).await;
    house.spoil("gate", &damaged.id).await;
    house.clock.advance(10);
    store.count(key);
    let serving = Serving::of(&house.engine);
    let mut last = damaged;
    for _ in 0..300 {
        last = gate(&house, 1).await;
        pass(&house, 1).await;
    }
    let reads = store.reads();
    // Each look reads it twice: to decide, and to see what is to be set aside of it.
    assert!((5..=14).contains(&reads), "{reads} reads in five minutes");
    pass(&house, 1).await;
    assert_eq!(status(&house, &last).await, "expired");
    serving.left().await;
}

#[tokio::test(start_paused = true)]
async fn those_that_never_expire_are_not_read_as_the_loop_looks() {
    let (store, house) = counted().await;
    for _ in 0..100 {
        gate_for(&house, Timeout::Never).await;
    }
    let timed = gate(&house, 10).await;
    let serving = Serving::of(&house.engine);
    pass(&house, 5).await;
    let before = store.counts().operations();
    pass(&house, 10).await;
    let looked = store.counts().operations() - before;
    assert!((1..=40).contains(&looked), "{looked} operations");
    assert_eq!(status(&house, &timed).await, "expired");
    serving.left().await;
}

#[tokio::test(start_paused = true)]
async fn the_time_of_an_approval_that_went_on_with_its_run_is_kept() {
    let (_store, house) = counted().await;
    let asker = Asker::next(&house).await;
    let gate = open(&house, &asker.approval("1", "{}")).await;
    let runs = &house.tenant.runs;
    runs.started(&asker.claimed, None).await.unwrap();
    runs.park(&asker.claimed, gate.id, Duration::from_secs(1))
        .await
        .unwrap();
    let serving = Serving::of(&house.engine);
    pass(&house, 1).await;
    approve(&house, &gate).await;
    pass(&house, 60).await;
    let task = house.tenant.tasks.get(asker.claimed.task.id).await.unwrap();
    let resumed = house.claim(&task).await;
    house.live_on(&resumed, 3602).await;
    sleep(Duration::from_secs(61)).await;
    let row = house.tenant.capabilities.get(gate.id).await.unwrap().unwrap();
    let end = CapabilityEnd::Expired;
    assert_eq!(row.state, CapabilityState::Closed { end });
    serving.left().await;
}

/// Each row that is tried takes all the tries of a command.
#[tokio::test(start_paused = true)]
async fn a_store_that_takes_no_commit_is_told_soon_and_not_after_all_rows_were_tried() {
    let store = Arc::new(Fault::scripted(Memory::new(Timestamp::UNIX_EPOCH)));
    let house = House::over_exclusive(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    house.agent("alice").await;
    for _ in 0..50 {
        gate(&house, 1).await;
    }
    house.clock.advance(1);
    store.always(Operation::Commit, Some(FaultKind::Refuse));
    let began = Instant::now();
    let failed = house.engine.expire_due().await;
    assert!(matches!(failed, Err(CommandError::Unavailable(_))), "{failed:?}");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?}");
    store.always(Operation::Commit, None);
    assert_eq!(house.engine.expire_due().await.unwrap().gates, 50);
}

mod in_turn {
    use super::*;

    super::super::on_every_store! {
        much_that_is_due_of_one_kind_keeps_no_other_from_its_time;
    }

    async fn much_that_is_due_of_one_kind_keeps_no_other_from_its_time(house: House) {
        house.agent("alice").await;
        let at = house.clock.now() + Duration::from_secs(5);
        for nth in 0..40 {
            let new = NewTask {
                not_before: Some(at),
                ..NewTask::new(name("alice"), format!("later {nth}"))
            };
            house.task(new).await;
        }
        gate(&house, 10).await;
        let before = house.event_types().await.len();
        house.clock.advance(11);
        let served = house.engine.serve_due_once().await.unwrap();
        assert_eq!((served.tasks, served.gates), (40, 1));
        let told = house.event_types().await.split_off(before);
        let expired = told.iter().position(|kind| kind.starts_with("gate."));
        assert!(expired.unwrap() < 4, "{told:?}");
    }
}
