//! Wake rows, lanes and the loop that serves them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dormouse_engine::agent::AgentConfig;
use dormouse_engine::run::{ClaimOptions, Claimed, Next};
use dormouse_engine::task::{NewTask, Priority, Task, TaskState};
use dormouse_engine::wake::{Starter, Wake, WakeOptions, WakeState};
use dormouse_engine::{AgentName, CommandError, Engine, RunId, TaskId, Tenant};
use dormouse_filesystem::Records;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::house::{House, facts, name, operator, success, tenant_id};
use super::on_every_store;

/// Everything is over long before.
const PATIENCE: Duration = Duration::from_secs(60);

/// Does tasks: each is claimed, kept for as long as it is told, and finished.
#[derive(Debug)]
pub(super) struct Doer {
    count: Arc<watch::Sender<usize>>,
    /// What was claimed, in order.
    begun: Arc<Mutex<Vec<TaskId>>>,
    /// Runs end while this says so.
    may_end: watch::Receiver<bool>,
    /// How long each takes at least.
    pub(super) lasts: Duration,
    /// How many claims were refused.
    pub(super) refused: watch::Sender<usize>,
    /// Refusals are told while this says so; always without it.
    pub(super) may_refuse: Option<watch::Receiver<bool>>,
}

impl Doer {
    pub(super) fn new(may_end: watch::Receiver<bool>) -> Arc<Self> {
        Arc::new(Self::made(may_end))
    }

    pub(super) fn made(may_end: watch::Receiver<bool>) -> Self {
        Self {
            count: Arc::new(watch::Sender::new(0)),
            begun: Arc::default(),
            may_end,
            lasts: Duration::ZERO,
            refused: watch::Sender::new(0),
            may_refuse: None,
        }
    }

    pub(super) fn begun(&self) -> Vec<TaskId> {
        self.begun.lock().unwrap().clone()
    }
}

#[async_trait::async_trait]
impl Starter for Doer {
    async fn start(&self, tenant: &Tenant, task: TaskId) -> Result<RunId, CommandError> {
        let claimed = tenant
            .runs
            .claim(&operator(), task, ClaimOptions::default())
            .await;
        if claimed.is_err() {
            self.refused.send_modify(|count| *count += 1);
            if let Some(mut may) = self.may_refuse.clone() {
                may.wait_for(|may| *may).await.unwrap();
            }
        }
        let claimed = claimed?;
        self.begun.lock().unwrap().push(task);
        self.count.send_modify(|count| *count += 1);
        let (run, tenant) = (claimed.run.id, tenant.clone());
        let (count, mut may_end, lasts) = (Arc::clone(&self.count), self.may_end.clone(), self.lasts);
        tokio::spawn(async move {
            if !lasts.is_zero() {
                tokio::time::sleep(lasts).await;
            }
            may_end.wait_for(|may| *may).await.unwrap();
            finish(&tenant, &claimed).await;
            count.send_modify(|count| *count -= 1);
        });
        Ok(run)
    }

    fn at_work(&self) -> usize {
        *self.count.borrow()
    }

    async fn fewer_than(&self, most: usize) {
        let mut count = self.count.subscribe();
        count.wait_for(|count| *count < most).await.unwrap();
    }
}

async fn finish(tenant: &Tenant, claimed: &Claimed) {
    tenant.runs.started(claimed, None).await.unwrap();
    let finished = tenant.runs.finish(claimed, &success(), &facts()).await;
    finished.unwrap();
}

/// A loop that serves an engine's wakes until it is told to leave.
pub(super) struct Served {
    leave: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Served {
    pub(super) fn by<S: Starter>(engine: &Engine, starter: &Arc<S>, options: WakeOptions) -> Self {
        let (leave, told) = oneshot::channel::<()>();
        let (engine, starter) = (engine.clone(), Arc::clone(starter));
        let served = tokio::spawn(async move {
            let told = async { drop(told.await) };
            engine.serve_wakes(starter, options, told).await;
        });
        Self { leave, served }
    }

    pub(super) async fn end(self) {
        self.leave.send(()).unwrap();
        self.served.await.unwrap();
    }
}

pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let reached = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let reached = tokio::time::timeout(PATIENCE, reached).await;
    assert!(reached.is_ok(), "it does not come to this: {what}");
}

pub(super) async fn wake(house: &House, agent: &AgentName) -> Option<Wake> {
    let rows = Records::<Wake>::new(house.tenant.space());
    rows.get(agent).await.unwrap().map(|wake| Wake::clone(&wake))
}

pub(super) async fn agent_of(house: &House, agent: &str, concurrency: u32) -> AgentName {
    let agent = name(agent);
    let config = AgentConfig {
        concurrency,
        ..AgentConfig::default()
    };
    house
        .tenant
        .agents
        .create(&operator(), &agent, config)
        .await
        .unwrap();
    agent
}

pub(super) async fn tasks(house: &House, agent: &AgentName, count: usize) -> Vec<Task> {
    let mut made = Vec::new();
    for nth in 0..count {
        made.push(
            house
                .task(NewTask::new(agent.clone(), format!("the {nth}th")))
                .await,
        );
    }
    made
}

pub(super) async fn are_done(house: &House, tasks: &[Task]) -> bool {
    for task in tasks {
        let task = house.tenant.tasks.get(task.id).await.unwrap();
        if !matches!(task.state, TaskState::Done { .. }) {
            return false;
        }
    }
    true
}

async fn a_task_made_ready_writes_the_wake_row_in_its_commit(house: House) {
    let alice = house.agent("alice").await;
    assert_eq!(wake(&house, &alice).await, None);
    tasks(&house, &alice, 3).await;
    let row = wake(&house, &alice).await.unwrap();
    assert_eq!((row.state, row.rings), (WakeState::Due, 3));
}

async fn what_is_ready_is_done_and_the_row_goes(house: House) {
    let (alice, bob) = (
        agent_of(&house, "alice", 1).await,
        agent_of(&house, "bob", 3).await,
    );
    let mut made = tasks(&house, &alice, 5).await;
    let (_go, may_end) = watch::channel(true);
    let doer = Doer::new(may_end);
    let served = Served::by(&house.engine, &doer, WakeOptions::default());
    made.extend(tasks(&house, &bob, 5).await);
    until("all are done", async || are_done(&house, &made).await).await;
    until("no row is left", async || {
        wake(&house, &alice).await.is_none() && wake(&house, &bob).await.is_none()
    })
    .await;
    let begun: HashSet<TaskId> = doer.begun().into_iter().collect();
    assert_eq!((begun.len(), doer.begun().len()), (10, 10), "each once");
    served.end().await;
}

async fn an_agent_runs_as_much_as_it_may_and_keeps_no_other_waiting(house: House) {
    let (alice, bob) = (
        agent_of(&house, "alice", 2).await,
        agent_of(&house, "bob", 1).await,
    );
    let of_alice = tasks(&house, &alice, 6).await;
    let (go, may_end) = watch::channel(false);
    let doer = Doer::new(may_end);
    let served = Served::by(&house.engine, &doer, WakeOptions::default());
    until("two of alice's run", async || doer.at_work() == 2).await;
    let of_bob = tasks(&house, &bob, 2).await;
    until("one of bob's runs too", async || doer.at_work() == 3).await;
    assert_eq!(doer.begun().len(), 3);
    // The two are claimed at once: which of them begins first is chance.
    let begun: HashSet<TaskId> = doer.begun()[..2].iter().copied().collect();
    assert_eq!(begun, HashSet::from([of_alice[0].id, of_alice[1].id]));
    go.send_replace(true);
    until("all are done", async || {
        are_done(&house, &of_alice).await && are_done(&house, &of_bob).await
    })
    .await;
    served.end().await;
}

async fn a_full_lane_goes_on_when_its_agent_may_run_more(house: House) {
    let alice = agent_of(&house, "alice", 1).await;
    let made = tasks(&house, &alice, 3).await;
    let (go, may_end) = watch::channel(false);
    let doer = Doer::new(may_end);
    let served = Served::by(&house.engine, &doer, WakeOptions::default());
    until("one runs", async || doer.at_work() == 1).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(doer.begun().len(), 1, "it is full");
    let agents = &house.tenant.agents;
    let by = operator();
    let more = agents.configure(&by, &alice, |config| config.concurrency = 2);
    more.await.unwrap();
    until("two run", async || doer.at_work() == 2).await;
    go.send_replace(true);
    until("all are done", async || are_done(&house, &made).await).await;
    served.end().await;
}

async fn a_process_runs_no_more_at_once_than_it_may(house: House) {
    let alice = agent_of(&house, "alice", 50).await;
    let made = tasks(&house, &alice, 9).await;
    let (go, may_end) = watch::channel(false);
    let doer = Doer::new(may_end);
    let options = WakeOptions {
        instance_max: 4,
        ..WakeOptions::default()
    };
    let served = Served::by(&house.engine, &doer, options);
    until("four run", async || doer.at_work() == 4).await;
    tokio::task::yield_now().await;
    assert_eq!(doer.begun().len(), 4);
    go.send_replace(true);
    until("all are done", async || are_done(&house, &made).await).await;
    served.end().await;
}

async fn a_paused_agent_s_tasks_wait_and_are_claimed_when_it_is_resumed(house: House) {
    let alice = house.agent("alice").await;
    house
        .tenant
        .agents
        .pause(&operator(), &alice, None)
        .await
        .unwrap();
    let made = tasks(&house, &alice, 2).await;
    let (_go, may_end) = watch::channel(true);
    let doer = Doer::new(may_end);
    let served = Served::by(&house.engine, &doer, WakeOptions::default());
    until("its row is held", async || {
        wake(&house, &alice)
            .await
            .is_some_and(|row| row.state == WakeState::Held)
    })
    .await;
    // What arrives meanwhile waits too.
    let more = tasks(&house, &alice, 1).await;
    assert_eq!(wake(&house, &alice).await.unwrap().state, WakeState::Held);
    assert_eq!(doer.begun(), []);
    house.tenant.agents.resume(&operator(), &alice).await.unwrap();
    until("all are done", async || {
        are_done(&house, &made).await && are_done(&house, &more).await
    })
    .await;
    served.end().await;
}

async fn a_lane_is_claimed_by_rank_and_then_by_number(house: House) {
    let alice = house.agent("alice").await;
    let mut expected = HashMap::<Priority, Vec<TaskId>>::new();
    for nth in 0..8 {
        let priority = Priority::ALL[nth % 4];
        let new = NewTask {
            priority,
            ..NewTask::new(alice.clone(), "one of many")
        };
        expected
            .entry(priority)
            .or_default()
            .push(house.task(new).await.id);
    }
    let expected: Vec<TaskId> = Priority::ALL
        .iter()
        .flat_map(|rank| expected[rank].clone())
        .collect();
    let (_go, may_end) = watch::channel(true);
    let doer = Doer::new(may_end);
    let served = Served::by(&house.engine, &doer, WakeOptions::default());
    until("all are begun", async || doer.begun().len() == 8).await;
    served.end().await;
    assert_eq!(doer.begun(), expected);
}

async fn a_hundred_claimers_claim_fifty_tasks_once_each(house: House) {
    let alice = agent_of(&house, "alice", 1000).await;
    let made: HashSet<TaskId> = tasks(&house, &alice, 50)
        .await
        .iter()
        .map(|task| task.id)
        .collect();
    let claims = (0..100).map(|_| {
        let (tenant, alice) = (house.tenant.clone(), alice.clone());
        tokio::spawn(async move {
            loop {
                match tenant.runs.claim_next(&operator(), &alice, None).await {
                    Ok(Next::Claimed(claimed)) => return Some(claimed.task.id),
                    Ok(Next::Empty) => return None,
                    Ok(Next::Full) => panic!("a thousand may run"),
                    // A loaded server: nothing was done.
                    Err(error) if error.is_congestion() => {}
                    Err(error) => panic!("{error}"),
                }
            }
        })
    });
    let mut claimed = Vec::new();
    for claim in futures::future::join_all(claims.collect::<Vec<_>>()).await {
        claimed.extend(claim.unwrap());
    }
    // Who was told that nothing is ready was told so when all were claimed.
    assert_eq!(claimed.len(), 50);
    assert_eq!(claimed.into_iter().collect::<HashSet<_>>(), made);
}

async fn an_agent_at_its_limit_is_told_without_a_claim(house: House) {
    let alice = agent_of(&house, "alice", 1).await;
    tasks(&house, &alice, 2).await;
    let runs = &house.tenant.runs;
    let Next::Claimed(first) = runs.claim_next(&operator(), &alice, None).await.unwrap() else {
        panic!("it is ready")
    };
    assert!(matches!(
        runs.claim_next(&operator(), &alice, None).await,
        Ok(Next::Full)
    ));
    finish(&house.tenant, &first).await;
    assert!(matches!(
        runs.claim_next(&operator(), &alice, None).await,
        Ok(Next::Claimed(_))
    ));
}

async fn what_a_former_process_left_due_is_claimed_at_the_start_of_the_next(house: House) {
    let alice = house.agent("alice").await;
    let made = tasks(&house, &alice, 3).await;
    let house = house.reopened().await;
    house.recover().await;
    let (_go, may_end) = watch::channel(true);
    let doer = Doer::new(may_end);
    let served = Served::by(&house.engine, &doer, WakeOptions::default());
    until("all are done", async || are_done(&house, &made).await).await;
    served.end().await;
}

async fn a_task_that_is_refused_lets_those_behind_it_through(house: House) {
    let alice = house.agent("alice").await;
    let made = tasks(&house, &alice, 3).await;
    house.spoil("task", &made[0].id).await;
    let (_go, may_end) = watch::channel(true);
    let doer = Doer::new(may_end);
    let served = Served::by(&house.engine, &doer, WakeOptions::default());
    until("those behind it are done", async || {
        are_done(&house, &made[1..]).await
    })
    .await;
    served.end().await;
}

on_every_store! {
    a_task_made_ready_writes_the_wake_row_in_its_commit;
    what_is_ready_is_done_and_the_row_goes;
    an_agent_runs_as_much_as_it_may_and_keeps_no_other_waiting;
    a_full_lane_goes_on_when_its_agent_may_run_more;
    a_process_runs_no_more_at_once_than_it_may;
    a_paused_agent_s_tasks_wait_and_are_claimed_when_it_is_resumed;
    a_lane_is_claimed_by_rank_and_then_by_number;
    /// ST-23
    a_hundred_claimers_claim_fifty_tasks_once_each;
    an_agent_at_its_limit_is_told_without_a_claim;
    what_a_former_process_left_due_is_claimed_at_the_start_of_the_next;
    a_task_that_is_refused_lets_those_behind_it_through;
}

/// Several processes share a store: each task is done once, whoever claims it.
#[tokio::test]
async fn four_processes_share_a_lane_and_do_each_task_once() {
    let Some(house) = House::in_postgres().await else {
        return;
    };
    let alice = agent_of(&house, "alice", 40).await;
    let made = tasks(&house, &alice, 40).await;
    let (_go, may_end) = watch::channel(true);
    let mut serving = Vec::new();
    let mut doers = Vec::new();
    for _ in 0..4 {
        let engine = house.neighbour().await;
        engine.tenant(&tenant_id()).await.unwrap();
        let doer = Doer::new(may_end.clone());
        let options = WakeOptions {
            instance_max: 5,
            ..WakeOptions::default()
        };
        serving.push(Served::by(&engine, &doer, options));
        doers.push(doer);
    }
    until("all are done", async || are_done(&house, &made).await).await;
    let begun: Vec<TaskId> = doers.iter().flat_map(|doer| doer.begun()).collect();
    assert_eq!(begun.len(), 40, "each once");
    for served in serving {
        served.end().await;
    }
    assert!(
        wake(&house, &alice)
            .await
            .is_none_or(|row| row.state == WakeState::Due)
    );
}
