//! Who is to look is told so: when an account has more to give, when a session's driver makes a task ready, and when
//! whoever asked for a commit is gone before it is done.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dormouse_engine::budget::{AccountPath, Dimension, Setting};
use dormouse_engine::task::{TaskState, Wait};
use dormouse_engine::wake::{WakeOptions, WakeState};
use dormouse_filesystem::wrapper::Between;
use dormouse_filesystem::{Batch, CommitError, Committed, Deadline, Memory, RecordStore, between};
use dormouse_state::{CallId, Event, Step};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::gates::{Asker, open};
use super::house::{House, facts, name, operator, success};
use super::sessions::seen;
use super::wakes::{Doer, Served, agent_of, are_done, tasks, until, wake};

/// Far less than a lane that nobody rings for waits, and more than one takes that is rung for.
const SOON: Duration = Duration::from_secs(10);

async fn soon(what: &str, holds: impl AsyncFnMut() -> bool) {
    let reached = tokio::time::timeout(SOON, until(what, holds)).await;
    assert!(reached.is_ok(), "only when somebody looks by himself: {what}");
}

/// Lets all that is under way come to rest.
async fn rest() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

/// All agents of the tenant together may run this much at once.
async fn at_once(house: &House, most: u64) {
    let setting = Setting {
        limits: vec![(Dimension::Concurrency, Some(most))],
        // Nobody is asked.
        pause: Some(Some(100)),
        ..Setting::default()
    };
    let budgets = &house.tenant.budgets;
    budgets
        .set(&operator(), &AccountPath::Tenant, &setting)
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_a_shared_account_refused_has_its_turn_when_the_account_has_more() {
    let house = House::in_memory().await;
    at_once(&house, 1).await;
    let (alice, bob) = (
        agent_of(&house, "alice", 1).await,
        agent_of(&house, "bob", 1).await,
    );
    let of_alice = tasks(&house, &alice, 8).await;
    let (_go, may_end) = watch::channel(true);
    let mut doer = Doer::made(may_end);
    doer.lasts = Duration::from_secs(1);
    let doer = Arc::new(doer);
    let served = Served::by(&house.engine, &doer, WakeOptions::default());
    until("alice has the one place", async || {
        doer.begun() == [of_alice[0].id]
    })
    .await;
    let of_bob = tasks(&house, &bob, 1).await;
    soon("bob's is begun", async || doer.begun().contains(&of_bob[0].id)).await;
    let begun = doer.begun();
    assert!(begun.len() <= 3, "alice has had {} turns before", begun.len() - 1);
    until("all are done", async || {
        are_done(&house, &of_alice).await && are_done(&house, &of_bob).await
    })
    .await;
    served.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_place_that_becomes_free_is_asked_for_by_as_many_lanes_as_there_is_room_for() {
    const LANES: usize = 40;
    let house = House::in_memory().await;
    at_once(&house, 2).await;
    let (_go, may_end) = watch::channel(true);
    let mut doer = Doer::made(may_end);
    doer.lasts = Duration::from_secs(1);
    let mut all = Vec::new();
    for nth in 0..LANES {
        let agent = agent_of(&house, &format!("agent-{nth}"), 1).await;
        all.extend(tasks(&house, &agent, 1).await);
    }
    let doer = Arc::new(doer);
    let refused = doer.refused.subscribe();
    let served = Served::by(&house.engine, &doer, WakeOptions::default());
    until("all are done", async || are_done(&house, &all).await).await;
    served.end().await;
    // Each was refused once; then of each place that became free one heard that there is no more.
    let refused = *refused.borrow();
    assert!(refused <= 3 * LANES, "{refused} claims were refused");
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_is_refused_while_the_account_gets_more_asks_again() {
    let house = House::in_memory().await;
    at_once(&house, 1).await;
    let (alice, bob) = (
        agent_of(&house, "alice", 1).await,
        agent_of(&house, "bob", 1).await,
    );
    let of_alice = tasks(&house, &alice, 1).await;
    let (go, may_end) = watch::channel(false);
    let (tell, may_refuse) = watch::channel(false);
    let mut doer = Doer::made(may_end);
    doer.may_refuse = Some(may_refuse);
    let doer = Arc::new(doer);
    let served = Served::by(&house.engine, &doer, WakeOptions::default());
    until("alice has the one place", async || doer.begun().len() == 1).await;
    let of_bob = tasks(&house, &bob, 1).await;
    let mut refused = doer.refused.subscribe();
    refused.wait_for(|refused| *refused == 1).await.unwrap();
    // Bob's claim is refused, and before his lane hears of it there is a place.
    go.send_replace(true);
    until("alice's is done", async || are_done(&house, &of_alice).await).await;
    rest().await;
    tell.send_replace(true);
    soon("bob's is done", async || are_done(&house, &of_bob).await).await;
    served.end().await;
}

async fn a_late_event_that_makes_a_parked_task_ready_rings_its_agent(house: House) {
    let asker = Asker::new(&house).await;
    let alice = name("alice");
    house.tenant.runs.started(&asker.claimed, None).await.unwrap();
    let gate = open(&house, &asker.approval("1", "{}")).await;
    let runs = &house.tenant.runs;
    runs.park(&asker.claimed, gate.id, Duration::ZERO).await.unwrap();
    let (_go, may_end) = watch::channel(true);
    let served = Served::by(&house.engine, &Doer::new(may_end), WakeOptions::default());
    until("nothing is to be done", async || {
        wake(&house, &alice).await.is_none()
    })
    .await;
    served.end().await;
    let task = asker.claimed.run.task.unwrap();
    let state = async || house.tenant.tasks.get(task).await.unwrap().state.clone();
    let on = Wait::Gate { gate: gate.id };
    assert_eq!(state().await, TaskState::Waiting { on });
    // The call was made all the same: somebody answered at the agent's own terminal.
    let finished = Event::Working {
        call: Some(CallId::new("1")),
        step: Step::Finished,
    };
    let finished = seen(&house, Some(&asker.claimed), 1_000_000, finished);
    let sessions = &house.tenant.sessions;
    let told = sessions.observe(asker.session, &finished).await.unwrap();
    assert!(told.answer.applied().is_some(), "{told:?}");
    assert_eq!(state().await, TaskState::Ready);
    let row = wake(&house, &alice).await.expect("whoever serves finds it");
    assert_eq!(row.state, WakeState::Due);
    house.engine.close().await;
}

super::on_every_store! {
    a_late_event_that_makes_a_parked_task_ready_rings_its_agent;
}

/// Memory whose commits are done whether or not their caller is there still, and only when they may be.
#[derive(Debug)]
pub(super) struct Unhurried {
    inner: Arc<Memory>,
    may_land: watch::Sender<bool>,
    /// How many are under way.
    under_way: Arc<watch::Sender<usize>>,
}

impl Unhurried {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::new(Memory::new(Timestamp::UNIX_EPOCH)),
            may_land: watch::Sender::new(true),
            under_way: Arc::default(),
        })
    }

    /// Has the commit of this come as far as the store, drops who waits for it, and lets it land.
    pub(super) async fn land_without_caller<T: Send + 'static>(
        &self,
        asks: impl Future<Output = T> + Send + 'static,
    ) {
        self.may_land.send_replace(false);
        let caller: JoinHandle<T> = tokio::spawn(asks);
        let mut under_way = self.under_way.subscribe();
        under_way.wait_for(|count| *count == 1).await.unwrap();
        caller.abort();
        assert!(caller.await.is_err_and(|error| error.is_cancelled()));
        // Whoever was rung too early has looked for nothing.
        rest().await;
        self.may_land.send_replace(true);
    }
}

impl std::fmt::Display for Unhurried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl Between for Unhurried {
    fn beneath(&self) -> &dyn RecordStore {
        &*self.inner
    }

    async fn commit(&self, batch: Batch, deadline: Deadline) -> Result<Committed, CommitError> {
        let (inner, under_way) = (Arc::clone(&self.inner), Arc::clone(&self.under_way));
        let mut may_land = self.may_land.subscribe();
        let landing = tokio::spawn(async move {
            under_way.send_modify(|count| *count += 1);
            may_land.wait_for(|may| *may).await.unwrap();
            let committed = inner.commit(batch, deadline).await;
            under_way.send_modify(|count| *count -= 1);
            committed
        });
        landing.await.unwrap()
    }
}

between!(Unhurried);

#[tokio::test(start_paused = true)]
async fn a_commit_whose_caller_is_gone_rings_when_it_is_done() {
    let store = Unhurried::new();
    let house = House::over_exclusive(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    let alice = agent_of(&house, "alice", 1).await;
    let agents = house.tenant.agents.clone();
    agents.pause(&operator(), &alice, None).await.unwrap();
    let made = tasks(&house, &alice, 1).await;
    let (_go, may_end) = watch::channel(true);
    let served = Served::by(&house.engine, &Doer::new(may_end), WakeOptions::default());
    until("its row is held", async || {
        let row = wake(&house, &alice).await;
        row.is_some_and(|row| row.state == WakeState::Held)
    })
    .await;
    rest().await;
    store
        .land_without_caller(async move { agents.resume(&operator(), &alice).await })
        .await;
    soon("it goes on", async || are_done(&house, &made).await).await;
    served.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_of_the_ledger_whose_caller_is_gone_rings_when_it_is_done() {
    let store = Unhurried::new();
    let house = House::over_exclusive(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    let alice = agent_of(&house, "alice", 1).await;
    let made = tasks(&house, &alice, 2).await;
    let first = house.claim(&made[0]).await;
    house.tenant.runs.started(&first, None).await.unwrap();
    let (_go, may_end) = watch::channel(true);
    let served = Served::by(&house.engine, &Doer::new(may_end), WakeOptions::default());
    // The lane has found that it has no place.
    rest().await;
    let tenant = house.tenant.clone();
    store
        .land_without_caller(async move { tenant.runs.finish(&first, &success(), &facts()).await })
        .await;
    soon("the next has the place", async || are_done(&house, &made).await).await;
    served.end().await;
}
