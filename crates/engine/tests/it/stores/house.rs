//! An engine over a store, with a clock that tests move.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use dormouse_engine::agent::AgentConfig;
use dormouse_engine::event::Event;
use dormouse_engine::gate::{Approvers, EveryOperator};
use dormouse_engine::lease::Lease;
use dormouse_engine::outcome::{Facts, PartialCause};
use dormouse_engine::outcome::{FailReason, Outcome, ResourceUsage};
use dormouse_engine::recovery::{OrphanFate, Orphans, Recovery};
use dormouse_engine::run::{ClaimOptions, Claimed, Process};
use dormouse_engine::session::Sessions;
use dormouse_engine::task::{NewTask, Task};
use dormouse_engine::worker::Boot;
use dormouse_engine::{
    AgentName, Channel, Clock, Engine, EngineOptions, Environment, HostIdentity, LeaseId, PrefixedId,
    Principal, Random, Seat, Tenant, TenantId,
};
use dormouse_filesystem::wrapper::Fault;
use dormouse_filesystem::{
    Batch, Deadline, Entry, Expected, Item, Key, Namespace, Opener, Page, Position, Prefix, RecordKind,
    RecordStore, Records, Requirements, System, Versioned,
};
use dormouse_secrets::{FixedKeyring, Keyring, Scrubbed, VaultOptions};
use jiff::{SignedDuration, Timestamp};

use super::overheard::Heard;
use super::place::Place;

/// A clock that stands until it is moved.
#[derive(Debug)]
pub(crate) struct HandClock(Mutex<Timestamp>);

impl HandClock {
    pub(crate) fn new() -> Self {
        Self(Mutex::new("2026-03-01T12:00:00Z".parse().unwrap()))
    }

    pub(crate) fn advance(&self, seconds: i64) {
        let mut now = self.0.lock().unwrap();
        *now += SignedDuration::from_secs(seconds);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// Process trees of which nothing was left.
#[derive(Debug)]
pub(crate) struct NoOrphans;

#[async_trait::async_trait]
impl Orphans for NoOrphans {
    async fn end(&self, _: &Process) -> OrphanFate {
        OrphanFate::Gone
    }
}

/// The seed of the next engine.
static SERIAL: AtomicU64 = AtomicU64::new(1);

/// One engine, and what is needed to open another over the same store.
#[derive(Debug)]
pub(crate) struct House {
    pub(crate) engine: Engine,
    pub(crate) tenant: Tenant,
    pub(crate) clock: Arc<HandClock>,
    store: Arc<dyn RecordStore>,
    /// Where the store is, removed at the end.
    place: Place,
    /// Who listens to what is told.
    heard: Option<Heard>,
}

impl House {
    pub(crate) async fn in_memory() -> Self {
        Self::at(Place::memory()).await
    }

    pub(crate) async fn in_sled() -> Self {
        Self::at(Place::sled()).await
    }

    pub(crate) async fn in_local() -> Self {
        Self::at(Place::local()).await
    }

    /// None where there is no server.
    pub(crate) async fn in_postgres() -> Option<Self> {
        Some(Self::at(Place::postgres()?).await)
    }

    pub(crate) async fn at(place: Place) -> Self {
        let store = place.open().await;
        Self::on(store, place, Arc::new(HandClock::new()), None).await
    }

    /// The same, where somebody listens to what is told.
    pub(super) async fn overheard(place: Place, heard: &Heard) -> Self {
        let store = place.open().await;
        let clock = Arc::new(HandClock::new());
        Self::on(store, place, clock, Some(heard.clone())).await
    }

    /// In this store that others may write too, on the [seat](Self::seat).
    pub(super) async fn over_shared(store: Arc<dyn RecordStore>) -> Self {
        let clock = Arc::new(HandClock::new());
        Self::seated(
            Some(Self::seat()),
            Arc::clone(&store),
            Place::Memory(store),
            clock,
        )
        .await
    }

    /// In this store that nobody else writes.
    pub(super) async fn over_exclusive(store: Arc<dyn RecordStore>) -> Self {
        let clock = Arc::new(HandClock::new());
        Self::seated(None, Arc::clone(&store), Place::Memory(store), clock).await
    }

    /// In a process beside the test's, over the store that it was told of, on this seat.
    pub(crate) async fn told(told: &str, seat: &str) -> Self {
        let store = Place::open_told(told).await;
        let seat = Some(Seat::new(seat));
        Self::seated(
            seat,
            Arc::clone(&store),
            Place::Memory(store),
            Arc::new(HandClock::new()),
        )
        .await
    }

    /// A place that one process has at a time.
    pub(super) fn seat() -> Seat {
        Seat::new("under the oak")
    }

    /// In a store that is not this process's alone it has the [seat](Self::seat), so that the next process on it takes
    /// over what this one leaves.
    async fn on(
        store: Arc<dyn RecordStore>,
        place: Place,
        clock: Arc<HandClock>,
        heard: Option<Heard>,
    ) -> Self {
        let seat = place.is_shared().then(Self::seat);
        let store = match &heard {
            Some(heard) => heard.over(store),
            None => store,
        };
        let house = Self::seated(seat, store, place, clock).await;
        Self { heard, ..house }
    }

    async fn seated(
        seat: Option<Seat>,
        store: Arc<dyn RecordStore>,
        place: Place,
        clock: Arc<HandClock>,
    ) -> Self {
        let engine = engine(&store, &clock, seat).await;
        let tenant = engine.tenant(&tenant_id()).await.unwrap();
        Self {
            engine,
            tenant,
            clock,
            store,
            place,
            heard: None,
        }
    }

    /// The next process over the same store: this one is gone without a word.
    pub(crate) async fn reopened(self) -> Self {
        let Self {
            engine,
            tenant,
            clock,
            store,
            place,
            heard,
        } = self;
        drop((engine, tenant));
        let store = place.reopen(store).await;
        Self::on(store, place, clock, heard).await
    }

    /// Where its store is.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Its place alone: the store is closed.
    pub(crate) async fn closed(self) -> Place {
        let Self {
            engine,
            tenant,
            store,
            place,
            ..
        } = self;
        drop((engine, tenant));
        store.close(deadline()).await.unwrap();
        place
    }

    /// A second engine over the same open store, of another epoch.
    pub(crate) async fn neighbour(&self) -> Engine {
        self.neighbour_on(None).await
    }

    /// The same, taking over what this one holds: on its seat, where others may write the store too.
    pub(crate) async fn successor(&self) -> Engine {
        self.neighbour_on(self.place.is_shared().then(Self::seat)).await
    }

    /// As [`neighbour`](Self::neighbour), on this seat.
    pub(crate) async fn neighbour_on(&self, seat: Option<Seat>) -> Engine {
        engine(&self.store, &self.clock, seat).await
    }

    /// The same, in which these decide who may decide gates.
    pub(crate) async fn neighbour_with(&self, approvers: Arc<dyn Approvers>) -> Engine {
        engine_with(&self.store, &self.clock, None, approvers).await
    }

    /// The same, set so.
    pub(crate) async fn neighbour_set(&self, options: EngineOptions) -> Engine {
        engine_set(&self.store, &self.clock, None, options).await
    }

    /// The same, on a machine with this clock.
    pub(crate) async fn neighbour_by(&self, clock: &Arc<HandClock>, options: EngineOptions) -> Engine {
        engine_set(&self.store, clock, None, options).await
    }

    /// As [`neighbour`](Self::neighbour), on a machine whose clock is ahead by so many seconds.
    pub(crate) async fn neighbour_ahead(&self, seconds: i64) -> Engine {
        let clock = Arc::new(HandClock::new());
        clock.advance(seconds);
        engine(&self.store, &clock, None).await
    }

    pub(crate) async fn recover(&self) -> Recovery {
        self.engine.recover(&NoOrphans).await.unwrap()
    }

    /// An agent of this name.
    pub(crate) async fn agent(&self, agent: &str) -> AgentName {
        let agent = name(agent);
        self.tenant
            .agents
            .create(&operator(), &agent, AgentConfig::default())
            .await
            .unwrap();
        agent
    }

    /// A ready task of a new agent.
    pub(crate) async fn ready_task(&self) -> Task {
        let alice = self.agent("alice").await;
        self.task(NewTask::new(alice, "count the sheep")).await
    }

    pub(crate) async fn task(&self, new: NewTask) -> Task {
        self.tenant.tasks.create(&operator(), new).await.unwrap()
    }

    pub(crate) async fn claim(&self, task: &Task) -> Claimed {
        let runs = &self.tenant.runs;
        runs.claim(&operator(), task.id, ClaimOptions::default())
            .await
            .unwrap()
    }

    /// All bytes of its store: every record with its key, every entry of every log.
    pub(crate) async fn stored(&self) -> String {
        stored_in(&self.store).await
    }

    /// All bytes of the logs of events.
    pub(crate) async fn logged(&self) -> String {
        let mut logged = String::new();
        let log = self.event_log().await;
        for entry in self.store.tail(&log, Position::START, 1000).await.unwrap() {
            logged.push_str(&String::from_utf8_lossy(&entry.entry));
        }
        logged
    }

    /// Writes an event as another build would.
    pub(crate) async fn append_event(&self, event: &serde_json::Value) {
        let mut batch = Batch::default();
        batch.append(self.event_log().await, serde_json::to_vec(event).unwrap());
        self.store.commit(batch, deadline()).await.unwrap();
    }

    async fn event_log(&self) -> dormouse_filesystem::Stream {
        let logs = self.store.heads(&Prefix::root(), None, 1000).await.unwrap();
        let is_its = |log: &dormouse_filesystem::Stream| log.to_string().ends_with("t/default/l/events");
        logs.into_iter().map(|(log, _)| log).find(is_its).unwrap()
    }

    /// All its records.
    pub(crate) async fn entries(&self) -> Vec<Entry> {
        entries_in(&self.store).await
    }

    /// The record of this kind and id.
    pub(crate) async fn entry(&self, kind: &str, id: &impl ToString) -> Entry {
        let id = id.to_string();
        let is_it = |entry: &Entry| entry.kind.as_str() == kind && entry.key.to_string().ends_with(&id);
        self.entries().await.into_iter().find(is_it).unwrap()
    }

    /// Writes what no row is where the row of this kind and id was.
    pub(crate) async fn spoil(&self, kind: &str, id: &impl ToString) {
        let entry = self.entry(kind, id).await;
        let mut batch = Batch::default();
        batch.put(entry.key, Expected::At(entry.version), entry.kind, "{");
        self.store.commit(batch, deadline()).await.unwrap();
    }

    /// Writes what another build would, whatever is there.
    pub(crate) async fn plant(&self, key: &str, kind: &str, value: &str) {
        let key = Key::parse(key).unwrap();
        let there = self.store.get(&key).await.unwrap();
        let expected = there.map_or(Expected::Absent, |entry| Expected::At(entry.version));
        let mut batch = Batch::default();
        batch.put(key, expected, RecordKind::parse(kind).unwrap(), value.to_owned());
        self.store.commit(batch, deadline()).await.unwrap();
    }

    /// Writes a row as it was, whatever is there.
    pub(crate) async fn put_back(&self, entry: &Entry) {
        let there = self.store.get(&entry.key).await.unwrap().unwrap();
        let mut batch = Batch::default();
        batch.put(
            entry.key.clone(),
            Expected::At(there.version),
            entry.kind.clone(),
            entry.value.clone(),
        );
        self.store.commit(batch, deadline()).await.unwrap();
    }

    /// A second engine over the same open store, to which things happen on the way.
    pub(super) async fn faulty(&self) -> (Engine, Arc<Fault<Arc<dyn RecordStore>>>) {
        let fault = Arc::new(Fault::scripted(Arc::clone(&self.store)));
        let seat = self.place.is_shared().then(Self::seat);
        let store: Arc<dyn RecordStore> = Arc::clone(&fault) as _;
        (engine(&store, &self.clock, seat).await, fault)
    }

    /// Removes the row of this kind and id, and leaves what the indexes say of it.
    pub(crate) async fn lose(&self, kind: &str, id: &impl ToString) {
        let entry = self.entry(kind, id).await;
        let mut batch = Batch::default();
        batch.delete(entry.key, entry.version);
        self.store.commit(batch, deadline()).await.unwrap();
    }

    /// Another holds the lease of this run from now on.
    pub(crate) async fn taken_over(&self, claimed: &Claimed) -> Versioned<Lease> {
        let read = self.lease(claimed).await;
        let leases = Records::<Lease>::new(self.tenant.space());
        leases.replace(&read, &another(&read)).await.unwrap()
    }

    /// The lease of this run.
    pub(crate) async fn lease(&self, claimed: &Claimed) -> Versioned<Lease> {
        let leases = Records::<Lease>::new(self.tenant.space());
        leases.get(claimed.guard.subject()).await.unwrap().unwrap()
    }

    /// Lets this much time pass under a run that lives.
    pub(crate) async fn live_on(&self, claimed: &Claimed, seconds: i64) {
        let mut left = seconds;
        while left > 0 {
            let step = left.min(60);
            self.clock.advance(step);
            self.tenant.runs.heartbeat(claimed, None).await.unwrap();
            left -= step;
        }
    }

    /// All events so far.
    pub(crate) async fn events(&self) -> Vec<Event> {
        let page = self
            .tenant
            .events
            .read_after(Position::START, 1000)
            .await
            .unwrap();
        page.events.into_iter().map(|at| at.event).collect()
    }

    /// How many events there are.
    pub(crate) async fn event_count(&self) -> u64 {
        self.tenant.events.head().await.unwrap().next.get()
    }

    /// The types of all events so far.
    pub(crate) async fn event_types(&self) -> Vec<String> {
        self.events().await.into_iter().map(|event| event.kind).collect()
    }
}

/// All bytes of a store: every record with its key, every entry of every log.
pub(crate) async fn stored_in(store: &Arc<dyn RecordStore>) -> String {
    let mut stored = String::new();
    for entry in entries_in(store).await {
        let value = String::from_utf8_lossy(&entry.value);
        stored.push_str(&format!("{} {value}\n", entry.key));
    }
    let root = Prefix::root();
    for (log, head) in store.heads(&root, None, 1000).await.unwrap() {
        let before_first = Position::new(head.first.get() - 1);
        for logged in store.tail(&log, before_first, 1000).await.unwrap() {
            stored.push_str(&String::from_utf8_lossy(&logged.entry));
        }
    }
    stored
}

async fn entries_in(store: &Arc<dyn RecordStore>) -> Vec<Entry> {
    let mut page = Page::of(Prefix::root());
    let mut entries = Vec::new();
    loop {
        let listed = store.list(&page).await.unwrap();
        for item in listed.items {
            match item {
                Item::Entry(entry) => entries.push(entry),
                other => panic!("{other:?}"),
            }
        }
        page.after = listed.next;
        if page.after.is_none() {
            return entries;
        }
    }
}

/// The lease of another process on the same.
pub(crate) fn another(lease: &Lease) -> Lease {
    let mut another = lease.clone();
    another.holder.process += 1;
    another.id = LeaseId::make(lease.taken_at, &Random::seeded(7));
    another
}

fn deadline() -> Deadline {
    Deadline::after(std::time::Duration::from_secs(10))
}

async fn engine(store: &Arc<dyn RecordStore>, clock: &Arc<HandClock>, seat: Option<Seat>) -> Engine {
    engine_with(store, clock, seat, Arc::new(EveryOperator)).await
}

async fn engine_with(
    store: &Arc<dyn RecordStore>,
    clock: &Arc<HandClock>,
    seat: Option<Seat>,
    approvers: Arc<dyn Approvers>,
) -> Engine {
    let options = EngineOptions {
        approvers,
        ..EngineOptions::default()
    };
    engine_set(store, clock, seat, options).await
}

async fn engine_set(
    store: &Arc<dyn RecordStore>,
    clock: &Arc<HandClock>,
    seat: Option<Seat>,
    options: EngineOptions,
) -> Engine {
    // A process that a test starts makes other ids than the test does.
    let seed = u64::from(std::process::id()) << 20 | SERIAL.fetch_add(1, Ordering::Relaxed);
    let need = Requirements::volatile();
    let system = Namespace::<System>::open(Arc::clone(store), &need, Opener::at(Timestamp::UNIX_EPOCH, seed))
        .await
        .unwrap();
    let random = Arc::new(Random::seeded(seed));
    let boot = Boot {
        host: "burrow".to_owned(),
        boot_id: "this-boot".to_owned(),
    };
    let environment = Environment {
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        host: HostIdentity {
            seat,
            ..HostIdentity::new(boot, 4211, clock.now(), &random)
        },
        random: random.clone(),
    };
    let key: Arc<dyn Keyring> = Arc::new(key(random.clone()));
    let options = EngineOptions {
        companions: vec![Arc::new(Sessions)],
        // Many a test ends a run badly again and again, at one time of its clock.
        agent_intensity: None,
        vault: VaultOptions {
            sources: vec![key],
            first_key: None,
        },
        ..options
    };
    Engine::open(system, environment, options)
}

/// The key of every vault here.
pub(crate) fn key(random: Arc<Random>) -> FixedKeyring {
    FixedKeyring::new(&std::array::from_fn(|at| at as u8), random).unwrap()
}

pub(crate) fn tenant_id() -> TenantId {
    "default".parse().unwrap()
}

pub(crate) fn name(name: &str) -> AgentName {
    name.parse().unwrap()
}

pub(crate) fn operator() -> Principal {
    Principal::operator("olga", Channel::Cli)
}

pub(crate) fn facts() -> Facts {
    Facts {
        exit: None,
        usage: ResourceUsage::default(),
        clock_ms: 12,
        spawns: 1,
        segments_completed: 0,
        segment_current: None,
        elided_bytes: 0,
        after_stop: false,
        strays: 0,
        alive: 0,
        isolation: "off".to_owned(),
        formats: BTreeMap::new(),
        stream: None,
        reports: None,
    }
}

pub(crate) fn success() -> Outcome {
    Outcome::Success { text: None }
}

pub(crate) fn partial() -> Outcome {
    Outcome::Partial {
        cause: PartialCause::Declared,
        text: None,
    }
}

pub(crate) fn failed(permanent: bool) -> Outcome {
    Outcome::Failed {
        reason: FailReason::Exit,
        permanent,
        retry_at: None,
        message: Scrubbed::constant("exit code 3"),
        hint: None,
    }
}
