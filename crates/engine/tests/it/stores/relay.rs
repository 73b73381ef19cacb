//! Sinks and observers: told every event at least once, in order, behind cursors that are rows.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dormouse_engine::event::{EventAt, EventFilter, Glob};
use dormouse_engine::relay::{
    Delivery, FileSink, NotAcknowledged, Observer, OnRefused, Portion, Sent, Sink, SinkEvent, SinkOptions,
    SinkState, decide,
};
use dormouse_engine::task::NewTask;
use dormouse_engine::{Decision, Engine, SinkName, Tenant, TenantId};
use dormouse_secrets::Scrubbed;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::golden;
use super::hooked::Hooked;
use super::house::{House, facts, name, operator, success};

super::on_every_store! {
    every_event_is_sent_in_order_and_the_cursor_moves_behind_it;
    what_was_not_acknowledged_is_sent_again_under_the_same_ids;
    an_event_that_is_refused_for_good_lies_apart_where_the_policy_says_so;
    a_sink_that_refuses_for_good_is_disabled_until_somebody_resumes_it;
    a_sink_that_is_paused_is_told_afterwards;
    what_a_filter_leaves_out_is_passed_by_the_cursor;
    /// ST-68
    an_observer_that_panics_hangs_or_calls_back_harms_nobody;
    a_sink_that_is_removed_begins_anew;
    what_a_relay_that_vanished_held_is_taken_over;
}

/// Long enough for any store.
const PATIENCE: Duration = Duration::from_secs(60);

/// A sink that writes down what it is sent, and answers what it is told to.
#[derive(Debug)]
pub(super) struct Recorder {
    name: SinkName,
    options: SinkOptions,
    answers: Mutex<VecDeque<Sent>>,
    /// While it is down, nothing is answered well.
    is_down: Mutex<bool>,
    sent: Mutex<Vec<Delivery>>,
    taken: Mutex<Vec<EventAt>>,
    at_work: AtomicUsize,
    most_at_work: AtomicUsize,
    count: watch::Sender<usize>,
}

impl Recorder {
    pub(super) fn new(name: &str) -> Arc<Self> {
        Self::set(name, SinkOptions::default())
    }

    fn set(name: &str, options: SinkOptions) -> Arc<Self> {
        Arc::new(Self {
            name: name.parse().unwrap(),
            options: SinkOptions {
                delay_min: Duration::from_millis(10),
                delay_max: Duration::from_secs(60),
                ..options
            },
            answers: Mutex::default(),
            is_down: Mutex::default(),
            sent: Mutex::default(),
            taken: Mutex::default(),
            at_work: AtomicUsize::new(0),
            most_at_work: AtomicUsize::new(0),
            count: watch::Sender::new(0),
        })
    }

    fn answers(&self, answers: impl IntoIterator<Item = Sent>) {
        self.answers.lock().unwrap().extend(answers);
    }

    fn is_down(&self, is_down: bool) {
        *self.is_down.lock().unwrap() = is_down;
    }

    /// Waits until it was asked so often.
    async fn asked(&self, times: usize) {
        let mut count = self.count.subscribe();
        timeout(PATIENCE, count.wait_for(|count| *count >= times))
            .await
            .unwrap_or_else(|_| panic!("it was asked {} times", *self.count.borrow()))
            .unwrap();
    }

    /// Waits until it has an event of this position.
    pub(super) async fn has(&self, position: u64) {
        let mut count = self.count.subscribe();
        let has = |_: &usize| self.positions().contains(&position);
        timeout(PATIENCE, count.wait_for(has))
            .await
            .unwrap_or_else(|_| panic!("it has {:?}", self.positions()))
            .unwrap();
    }

    pub(super) fn taken(&self) -> Vec<EventAt> {
        self.taken.lock().unwrap().clone()
    }

    pub(super) fn positions(&self) -> Vec<u64> {
        self.taken().iter().map(|event| event.position.get()).collect()
    }

    fn sent(&self) -> Vec<Vec<u64>> {
        let sent = self.sent.lock().unwrap();
        let positions = |delivery: &Delivery| delivery.events.iter().map(|e| e.position.get()).collect();
        sent.iter().map(positions).collect()
    }
}

#[async_trait]
impl Sink for Recorder {
    fn name(&self) -> &SinkName {
        &self.name
    }

    fn options(&self) -> &SinkOptions {
        &self.options
    }

    async fn send(&self, delivery: &Delivery) -> Sent {
        let at_work = self.at_work.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_work.fetch_max(at_work, Ordering::SeqCst);
        tokio::task::yield_now().await;
        self.sent.lock().unwrap().push(delivery.clone());
        let next = self.answers.lock().unwrap().pop_front();
        let answer = match next {
            Some(answer) => answer,
            None if *self.is_down.lock().unwrap() => unknown(),
            None => Sent::Taken,
        };
        let taken = match &answer {
            Sent::Taken => delivery.events.len(),
            Sent::Refused { taken, .. } => *taken,
            Sent::Unknown { .. } | Sent::Gone { .. } => 0,
        };
        self.taken
            .lock()
            .unwrap()
            .extend_from_slice(&delivery.events[..taken]);
        self.at_work.fetch_sub(1, Ordering::SeqCst);
        self.count.send_modify(|count| *count += 1);
        answer
    }
}

fn unknown() -> Sent {
    Sent::Unknown {
        reason: Scrubbed::constant("connection reset"),
        retry_after: None,
    }
}

fn refused(taken: usize) -> Sent {
    Sent::Refused {
        taken,
        reason: Scrubbed::constant("not of this shape"),
    }
}

/// A relay under way.
pub(super) struct Relay {
    leave: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Relay {
    pub(super) fn of(engine: &Engine, sinks: Vec<Arc<dyn Sink>>) -> Self {
        let (leave, left) = oneshot::channel::<()>();
        let engine = engine.clone();
        let serving =
            tokio::spawn(async move { engine.serve_relay(sinks, async { drop(left.await) }).await });
        Self { leave, serving }
    }

    fn observers(engine: &Engine, observers: Vec<Arc<dyn Observer>>) -> Self {
        let (leave, left) = oneshot::channel::<()>();
        let engine = engine.clone();
        let serving = tokio::spawn(async move {
            engine
                .serve_observers(observers, async { drop(left.await) })
                .await;
        });
        Self { leave, serving }
    }

    pub(super) async fn leaves(self) {
        self.leave.send(()).unwrap();
        self.serving.await.unwrap();
    }
}

/// So many tasks of an agent that is there.
async fn tasks(tenant: &Tenant, count: usize) {
    for nth in 0..count {
        let new = NewTask::new(name("alice"), format!("sheep {nth}"));
        tenant.tasks.create(&operator(), new).await.unwrap();
    }
}

/// How the only sink is, and where; none before it was served.
async fn found(house: &House) -> Option<(SinkState, u64)> {
    let sinks = house.tenant.sinks.list().await.unwrap();
    sinks.first().map(|sink| (sink.state, sink.after.get()))
}

async fn state(house: &House) -> (SinkState, u64) {
    found(house).await.unwrap()
}

/// Waits until the cursor of the only sink is there.
pub(super) async fn reaches(house: &House, position: u64) {
    let looking = async {
        while found(house).await.is_none_or(|(_, after)| after != position) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if timeout(PATIENCE, looking).await.is_err() {
        panic!("{:?} and not {position}", found(house).await);
    }
}

/// Waits until the only sink is so.
async fn becomes(house: &House, wanted: SinkState) {
    let looking = async {
        while found(house).await.is_none_or(|(state, _)| state != wanted) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if timeout(PATIENCE, looking).await.is_err() {
        panic!("{:?} and not {wanted:?}", found(house).await);
    }
}

async fn every_event_is_sent_in_order_and_the_cursor_moves_behind_it(house: House) {
    house.agent("alice").await;
    tasks(&house.tenant, 9).await;
    let sink = Recorder::new("audit");
    let relay = Relay::of(&house.engine, vec![sink.clone()]);
    sink.has(10).await;
    tasks(&house.tenant, 20).await;
    sink.has(30).await;
    reaches(&house, 30).await;
    relay.leaves().await;
    assert_eq!(sink.positions(), (1..=30).collect::<Vec<_>>());
    assert_eq!(state(&house).await, (SinkState::Active, 30));
    let left = house.entries().await;
    assert!(
        left.iter().all(|entry| entry.kind.as_str() != "lease"),
        "the lease was given back"
    );
    // The next one goes on behind it.
    let house = house.reopened().await;
    tasks(&house.tenant, 1).await;
    let again = Recorder::new("audit");
    let relay = Relay::of(&house.engine, vec![again.clone()]);
    again.has(31).await;
    relay.leaves().await;
    assert_eq!(again.positions(), [31]);
}

async fn what_was_not_acknowledged_is_sent_again_under_the_same_ids(house: House) {
    house.agent("alice").await;
    tasks(&house.tenant, 2).await;
    let sink = Recorder::new("audit");
    sink.answers([unknown(), Sent::Taken]);
    let relay = Relay::of(&house.engine, vec![sink.clone()]);
    sink.asked(1).await;
    becomes(&house, SinkState::BackingOff).await;
    assert_eq!(state(&house).await.1, 0, "nothing was acknowledged");
    house.clock.advance(1);
    sink.has(3).await;
    relay.leaves().await;
    assert_eq!(
        sink.sent(),
        [vec![1, 2, 3], vec![1], vec![2, 3]],
        "one alone after a failure"
    );
    let ids: Vec<_> = house.events().await.iter().map(|event| event.id).collect();
    let taken: Vec<_> = sink.taken().iter().map(|event| event.event.id).collect();
    assert_eq!(taken, ids);
    let first = sink.sent.lock().unwrap()[0].events[0].event.id;
    assert_eq!(first, ids[0]);
}

pub(super) async fn an_event_that_is_refused_for_good_lies_apart_where_the_policy_says_so(house: House) {
    house.agent("alice").await;
    tasks(&house.tenant, 3).await;
    let options = SinkOptions {
        on_refused: OnRefused::DeadLetter,
        ..SinkOptions::default()
    };
    let sink = Recorder::set("audit", options);
    sink.answers([refused(1)]);
    let relay = Relay::of(&house.engine, vec![sink.clone()]);
    sink.has(4).await;
    relay.leaves().await;
    assert_eq!(sink.positions(), [1, 3, 4]);
    let letters = house
        .tenant
        .sinks
        .dead_letters(&sink.name, None, 10)
        .await
        .unwrap();
    let [letter] = &letters[..] else {
        panic!("{letters:?}")
    };
    let event = house.events().await.into_iter().nth(1).unwrap();
    assert_eq!(letter.event().unwrap().event, event);
    assert_eq!(letter.reason.as_str(), "not of this shape");
    let told = house.events().await.pop().unwrap();
    assert_eq!(
        (told.kind.as_str(), told.subject.as_str()),
        ("sink.dead_lettered", "relay:audit")
    );
    assert_eq!(state(&house).await.0, SinkState::Active);
    let sinks = &house.tenant.sinks;
    assert!(
        sinks
            .discard(&operator(), &sink.name, letter.position)
            .await
            .unwrap()
    );
    assert!(
        !sinks
            .discard(&operator(), &sink.name, letter.position)
            .await
            .unwrap()
    );
}

pub(super) async fn a_sink_that_refuses_for_good_is_disabled_until_somebody_resumes_it(house: House) {
    house.agent("alice").await;
    tasks(&house.tenant, 3).await;
    let sink = Recorder::new("audit");
    sink.answers([refused(1)]);
    let relay = Relay::of(&house.engine, vec![sink.clone()]);
    becomes(&house, SinkState::Disabled).await;
    assert_eq!(state(&house).await.1, 1, "what it took is behind the cursor");
    tasks(&house.tenant, 1).await;
    let sinks = &house.tenant.sinks;
    assert_eq!(
        sinks.pause(&operator(), &sink.name).await.unwrap_err().code(),
        "rejected"
    );
    sinks.resume(&operator(), &sink.name).await.unwrap();
    sink.has(6).await;
    relay.leaves().await;
    // The two that tell of the sink itself are not for it.
    assert_eq!(sink.positions(), [1, 2, 3, 4, 6]);
    let types = house.event_types().await;
    assert_eq!(types[4..], ["sink.disabled", "task.created", "sink.resumed"]);
    let unknown: SinkName = "nobody".parse().unwrap();
    assert_eq!(
        sinks.resume(&operator(), &unknown).await.unwrap_err().code(),
        "not_found"
    );
}

async fn a_sink_that_is_paused_is_told_afterwards(house: House) {
    house.agent("alice").await;
    let sink = Recorder::new("audit");
    let relay = Relay::of(&house.engine, vec![sink.clone()]);
    sink.has(1).await;
    reaches(&house, 1).await;
    let sinks = &house.tenant.sinks;
    let paused = sinks.pause(&operator(), &sink.name).await.unwrap();
    assert_eq!((paused.state, paused.after.get()), (SinkState::Paused, 1));
    let again = sinks.pause(&operator(), &sink.name).await.unwrap();
    assert_eq!(again, paused, "it is so already");
    tasks(&house.tenant, 3).await;
    sinks.resume(&operator(), &sink.name).await.unwrap();
    sink.has(5).await;
    relay.leaves().await;
    assert_eq!(sink.positions(), [1, 3, 4, 5]);
}

async fn what_a_filter_leaves_out_is_passed_by_the_cursor(house: House) {
    house.agent("alice").await;
    tasks(&house.tenant, 300).await;
    let options = SinkOptions {
        filter: EventFilter {
            kind: Some(Glob::new("agent.*")),
            ..EventFilter::default()
        },
        ..SinkOptions::default()
    };
    let sink = Recorder::set("agents", options);
    let relay = Relay::of(&house.engine, vec![sink.clone()]);
    sink.has(1).await;
    house.agent("bob").await;
    sink.has(302).await;
    reaches(&house, 302).await;
    relay.leaves().await;
    assert_eq!(sink.positions(), [1, 302]);
    assert_eq!(state(&house).await, (SinkState::Active, 302));
    tasks(&house.tenant, 2).await;
    let relay = Relay::of(&house.engine, vec![sink.clone()]);
    house.agent("carol").await;
    sink.has(305).await;
    relay.leaves().await;
    assert_eq!(sink.positions(), [1, 302, 305]);
}

async fn a_sink_that_is_removed_begins_anew(house: House) {
    house.agent("alice").await;
    let sink = Recorder::new("audit");
    let relay = Relay::of(&house.engine, vec![sink.clone()]);
    sink.has(1).await;
    relay.leaves().await;
    let sinks = &house.tenant.sinks;
    sinks.remove(&operator(), &sink.name).await.unwrap();
    assert!(sinks.list().await.unwrap().is_empty());
    assert_eq!(
        sinks.remove(&operator(), &sink.name).await.unwrap_err().code(),
        "not_found"
    );
    let again = Recorder::new("audit");
    let relay = Relay::of(&house.engine, vec![again.clone()]);
    again.has(1).await;
    relay.leaves().await;
}

pub(super) async fn what_a_relay_that_vanished_held_is_taken_over(house: House) {
    house.agent("alice").await;
    let sink = Recorder::new("audit");
    let relay = Relay::of(&house.engine, vec![sink.clone()]);
    sink.has(1).await;
    relay.serving.abort();
    let house = house.reopened().await;
    tasks(&house.tenant, 1).await;
    let again = Recorder::new("audit");
    let relay = Relay::of(&house.engine, vec![again.clone()]);
    again.has(2).await;
    relay.leaves().await;
    let taken = house
        .events()
        .await
        .into_iter()
        .find(|event| event.kind == "lease.taken")
        .unwrap();
    assert_eq!(taken.subject, "relay:audit");
}

/// A hint that is lost costs time, and nothing else.
#[tokio::test(start_paused = true)]
async fn a_store_without_hints_is_looked_at_now_and_then() {
    let store = Hooked::new();
    store.is_deaf.store(true, Ordering::SeqCst);
    let house = House::over_shared(store).await;
    house.agent("alice").await;
    let sink = Recorder::new("audit");
    let relay = Relay::of(&house.engine, vec![sink.clone()]);
    sink.has(1).await;
    tasks(&house.tenant, 1).await;
    sink.has(2).await;
    // So does a tenant that another machine made.
    let other: TenantId = "other".parse().unwrap();
    let neighbour = house.neighbour().await.tenant(&other).await.unwrap();
    neighbour
        .agents
        .create(&operator(), &name("alice"), Default::default())
        .await
        .unwrap();
    let mut count = sink.count.subscribe();
    let is_there = |_: &usize| sink.sent.lock().unwrap().iter().any(|sent| sent.tenant == other);
    timeout(PATIENCE, count.wait_for(is_there))
        .await
        .unwrap()
        .unwrap();
    relay.leaves().await;
}

/// What an observer does.
#[derive(Debug)]
enum Does {
    Panic,
    Hang,
    /// Makes a task for each agent.
    CallBack(Box<Tenant>),
    Count,
}

#[derive(Debug)]
struct Watcher {
    name: SinkName,
    filter: EventFilter,
    does: Does,
    commits: Mutex<Vec<Vec<String>>>,
    begun: watch::Sender<usize>,
}

impl Watcher {
    fn new(does: Does) -> Arc<Self> {
        let word = match does {
            Does::Panic => "panics",
            Does::Hang => "hangs",
            Does::CallBack(_) => "calls-back",
            Does::Count => "counts",
        };
        Arc::new(Self {
            name: word.parse().unwrap(),
            filter: EventFilter::default(),
            does,
            commits: Mutex::default(),
            begun: watch::Sender::new(0),
        })
    }

    fn commits(&self) -> Vec<Vec<String>> {
        self.commits.lock().unwrap().clone()
    }

    async fn has_begun(&self, times: usize) {
        let mut begun = self.begun.subscribe();
        let waited = timeout(PATIENCE, begun.wait_for(|begun| *begun >= times)).await;
        waited
            .unwrap_or_else(|_| panic!("{}: {:?}", self.name, self.commits()))
            .unwrap();
    }
}

#[async_trait]
impl Observer for Watcher {
    fn name(&self) -> &SinkName {
        &self.name
    }

    fn filter(&self) -> &EventFilter {
        &self.filter
    }

    async fn observe(&self, _: &TenantId, events: &[EventAt]) -> Result<(), NotAcknowledged> {
        let kinds: Vec<String> = events.iter().map(|event| event.event.kind.clone()).collect();
        self.commits.lock().unwrap().push(kinds.clone());
        self.begun.send_modify(|begun| *begun += 1);
        match &self.does {
            Does::Panic => panic!("as it was told to"),
            Does::Hang => std::future::pending().await,
            Does::Count => {}
            Does::CallBack(tenant) => {
                if kinds.iter().any(|kind| kind == "agent.created") {
                    let new = NewTask::new(name("alice"), "greet");
                    tenant
                        .tasks
                        .create(&operator(), new)
                        .await
                        .map_err(|_| NotAcknowledged)?;
                }
            }
        }
        Ok(())
    }
}

async fn an_observer_that_panics_hangs_or_calls_back_harms_nobody(house: House) {
    let panics = Watcher::new(Does::Panic);
    let hangs = Watcher::new(Does::Hang);
    let calls = Watcher::new(Does::CallBack(Box::new(house.tenant.clone())));
    let counts = Watcher::new(Does::Count);
    let observers: Vec<Arc<dyn Observer>> =
        vec![panics.clone(), hangs.clone(), calls.clone(), counts.clone()];
    let relay = Relay::observers(&house.engine, observers);
    house.agent("alice").await;
    for watcher in [&panics, &hangs] {
        watcher.has_begun(1).await;
    }
    // What it made by calling back is told to everybody, it included.
    calls.has_begun(2).await;
    counts.has_begun(2).await;
    let listed = house
        .tenant
        .tasks
        .list(&Default::default(), None, 10)
        .await
        .unwrap();
    let task = listed.rows.into_iter().next().unwrap().into_inner();
    let claimed = house.claim(&task).await;
    let runs = &house.tenant.runs;
    let finished = runs.finish(&claimed, &success(), &facts()).await.unwrap();
    // Several events of one commit are told once.
    counts.has_begun(4).await;
    let told = counts.commits();
    assert_eq!(told[0], ["agent.created"]);
    assert_eq!(told[1], ["task.created"]);
    assert_eq!(told[3], ["run.ended", "task.done"]);
    let again = runs.finish(&claimed, &success(), &facts()).await.unwrap();
    assert_eq!(again, finished, "a replay");
    house.agent("bob").await;
    counts.has_begun(5).await;
    assert_eq!(counts.commits()[4], ["agent.created"], "a replay tells nobody");
    // Its neighbour still hangs at the first, and the other was not acknowledged.
    assert_eq!(hangs.commits().len(), 1);
    relay.leaves().await;
    let after =
        |name: &'static str,
         sinks: &[dormouse_filesystem::Versioned<dormouse_engine::relay::RelayCursor>]| {
            let sink = sinks.iter().find(|sink| sink.consumer.id() == name).unwrap();
            sink.after.get()
        };
    let sinks = house.tenant.sinks.list().await.unwrap();
    assert_eq!((after("panics", &sinks), after("hangs", &sinks)), (0, 0));
    assert!(after("counts", &sinks) >= 5);
}

/// An observer that hangs has its time, and is told again.
#[tokio::test(start_paused = true)]
async fn an_observer_that_hangs_is_told_again_when_its_time_is_up() {
    let house = House::in_memory().await;
    house.agent("alice").await;
    let hangs = Watcher::new(Does::Hang);
    let relay = Relay::observers(&house.engine, vec![hangs.clone()]);
    hangs.has_begun(1).await;
    becomes_after(&house, Duration::from_secs(31)).await;
    house.clock.advance(2);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(hangs.commits().len(), 2);
    relay.leaves().await;
}

async fn becomes_after(house: &House, time: Duration) {
    tokio::time::sleep(time).await;
    assert_eq!(state(house).await, (SinkState::BackingOff, 0));
}

#[tokio::test]
async fn an_hour_down_and_two_relays_lose_nothing_in_memory_that_is_shared() {
    an_hour_down_and_two_relays_lose_nothing(House::over_shared(Hooked::new()).await).await;
}

/// ST-69
#[tokio::test]
async fn an_hour_down_and_two_relays_lose_nothing_on_a_server() {
    if let Some(house) = House::in_postgres().await {
        an_hour_down_and_two_relays_lose_nothing(house).await;
    }
}

async fn an_hour_down_and_two_relays_lose_nothing(house: House) {
    house.agent("alice").await;
    let sink = Recorder::new("audit");
    sink.is_down(true);
    let other = house.neighbour().await;
    let relays = [&house.engine, &other].map(|engine| Relay::of(engine, vec![sink.clone()]));
    let mut asked = 0;
    for _ in 0..30 {
        tasks(&house.tenant, 1).await;
        sink.asked(asked + 1).await;
        becomes(&house, SinkState::BackingOff).await;
        asked = *sink.count.borrow();
        // Beyond the lease's time: the next attempt is made by whoever is first.
        house.clock.advance(120);
    }
    sink.is_down(false);
    house.clock.advance(120);
    tasks(&house.tenant, 30).await;
    let last = *house_positions(&house).await.last().unwrap();
    sink.has(last).await;
    for relay in relays {
        relay.leaves().await;
    }
    let mut once = sink.positions();
    assert!(once.is_sorted(), "{once:?}");
    once.dedup();
    let expected: Vec<u64> = house_positions(&house).await;
    assert_eq!(once, expected);
    assert_eq!(sink.most_at_work.load(Ordering::SeqCst), 1, "one relay at a time");
}

/// The positions of all events but those that tell of relays.
async fn house_positions(house: &House) -> Vec<u64> {
    let page = house
        .tenant
        .events
        .read_after(dormouse_filesystem::Position::START, 1000)
        .await
        .unwrap();
    let of_others = page
        .events
        .iter()
        .filter(|event| event.event.subject != "relay:audit");
    of_others.map(|event| event.position.get()).collect()
}

#[tokio::test]
async fn a_file_has_an_event_a_line_and_a_line_that_was_cut_comes_again() {
    let house = House::in_memory().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    std::fs::write(&path, "{\"cut\":").unwrap();
    house.agent("alice").await;
    tasks(&house.tenant, 2).await;
    let sink = Arc::new(FileSink::new(
        "file".parse().unwrap(),
        &path,
        EventFilter::default(),
    ));
    let relay = Relay::of(&house.engine, vec![sink]);
    let written = async {
        loop {
            let text = std::fs::read_to_string(&path).unwrap();
            if text.lines().count() == 4 && text.ends_with('\n') {
                break text;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let text = timeout(PATIENCE, written).await.unwrap();
    relay.leaves().await;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "{\"cut\":");
    let events: Vec<EventAt> = lines[1..]
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        events
            .iter()
            .map(|event| event.position.get())
            .collect::<Vec<_>>(),
        [1, 2, 3]
    );
}

#[tokio::test]
async fn a_file_that_is_a_folder_or_a_pipe_is_not_waited_for() {
    let house = House::in_memory().await;
    house.agent("alice").await;
    let folder = tempfile::tempdir().unwrap();
    let sink = Arc::new(FileSink::new(
        "file".parse().unwrap(),
        folder.path(),
        EventFilter::default(),
    ));
    let relay = Relay::of(&house.engine, vec![sink]);
    becomes(&house, SinkState::BackingOff).await;
    relay.leaves().await;
    let stored = house.stored().await;
    assert!(
        !stored.contains(folder.path().to_str().unwrap()),
        "no path is told"
    );
}

#[tokio::test]
async fn a_commit_is_told_whole_to_who_is_told_commit_by_commit() {
    let house = House::in_memory().await;
    let task = house.ready_task().await;
    let claimed = house.claim(&task).await;
    house
        .tenant
        .runs
        .finish(&claimed, &success(), &facts())
        .await
        .unwrap();
    let options = SinkOptions {
        portion: Portion::Commit,
        ..SinkOptions::default()
    };
    let sink = Recorder::set("commits", options);
    let relay = Relay::of(&house.engine, vec![sink.clone()]);
    sink.has(5).await;
    relay.leaves().await;
    assert_eq!(sink.sent(), [vec![1], vec![2], vec![3], vec![4, 5]]);
}

#[test]
fn the_table_of_sinks_is_as_it_is_written_down() {
    let mut rows = vec![vec![String::new()]];
    rows[0].extend(SinkEvent::ALL.map(|event| event.word().to_owned()));
    for state in SinkState::ALL {
        let mut row = vec![state.word().to_owned()];
        row.extend(SinkEvent::ALL.map(|event| match decide(state, event) {
            Decision::Apply(next) => next.word().to_owned(),
            Decision::Same => "·".to_owned(),
            Decision::Ignore(reason) => format!("i:{}", reason.word()),
            Decision::Reject(reason) => format!("x:{}", reason.word()),
        }));
        rows.push(row);
    }
    golden::check("sinks.txt", &golden::aligned(&rows));
}
