//! The loop that serves deadlines: what wakes it, what it is not kept from, and what it does not read.

use std::sync::Arc;
use std::time::Duration;

use dormouse_engine::gate::{Gate, NewGate, Timeout};
use dormouse_engine::task::NewTask;
use dormouse_engine::{Clock as _, DueServed, Engine};
use dormouse_filesystem::wrapper::Counted;
use dormouse_filesystem::{Memory, RecordStore};
use dormouse_state::Event;
use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::gates::{open, status};
use super::house::{House, name};
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
    let task = house.task(NewTask::new(name("alice"), "count the sheep")).await;
    let new = NewGate {
        task: Some(task.id),
        timeout: Timeout::After(Duration::from_secs(seconds)),
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
