//! Why a task waits: each reason, as it is said while it is so, and not when it is over.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dormouse_engine::budget::{AccountPath, Dimension, Setting};
use dormouse_engine::command::CommandSpec;
use dormouse_engine::task::{NewTask, Start, Task};
use dormouse_engine::wake::{Starter, WakeOptions, WhyWaits};
use dormouse_engine::{Clock as _, CommandError, Engine, Random, RunId, TaskId, Tenant};
use dormouse_filesystem::{Memory, RecordStore};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use super::credentials::with_secret;
use super::gates::{Asker, approve, open};
use super::house::{House, key, name, operator};
use super::wakes::{Doer, Served, agent_of, are_done, tasks, until};

/// Why this one waits, asked of this engine.
async fn asked(engine: &Engine, tenant: &Tenant, task: TaskId) -> Option<WhyWaits> {
    let task = tenant.tasks.get(task).await.unwrap();
    engine.why_waits(tenant, &task).await.unwrap()
}

async fn why(house: &House, task: &Task) -> Option<WhyWaits> {
    asked(&house.engine, &house.tenant, task.id).await
}

/// What nobody serves is said where this process alone could; elsewhere another may.
fn unserved(house: &House) -> Option<WhyWaits> {
    (!house.place().is_shared()).then_some(WhyWaits::NoSupervisor)
}

async fn what_is_in_the_way_of_a_task_itself_is_said(house: House) {
    let asker = Asker::new(&house).await;
    let alice = name("alice");
    assert_eq!(why(&house, &asker.claimed.task).await, None, "it runs");
    house.tenant.runs.started(&asker.claimed, None).await.unwrap();
    let gate = open(&house, &asker.approval("1", "{}")).await;
    let runs = &house.tenant.runs;
    runs.park(&asker.claimed, gate.id, Duration::ZERO).await.unwrap();
    assert_eq!(why(&house, &asker.claimed.task).await, Some(WhyWaits::Gate));
    approve(&house, &gate).await;
    assert_eq!(why(&house, &asker.claimed.task).await, unserved(&house));

    let later = house
        .task(NewTask {
            not_before: Some(house.clock.now() + SignedDuration::from_secs(60)),
            ..NewTask::new(alice.clone(), "later")
        })
        .await;
    assert_eq!(why(&house, &later).await, Some(WhyWaits::NotDue));
    for start in [Start::Backlog, Start::PendingApproval] {
        let aside = NewTask {
            start,
            ..NewTask::new(alice.clone(), "aside")
        };
        assert_eq!(
            why(&house, &house.task(aside).await).await,
            None,
            "a person has to say so"
        );
    }
    let behind = NewTask {
        after: vec![later.id],
        ..NewTask::new(alice.clone(), "behind it")
    };
    assert_eq!(
        why(&house, &house.task(behind).await).await,
        None,
        "it waits for another"
    );

    let agents = &house.tenant.agents;
    agents.pause(&operator(), &alice, None).await.unwrap();
    let ready = tasks(&house, &alice, 1).await.remove(0);
    assert_eq!(why(&house, &ready).await, Some(WhyWaits::Paused));
    agents.resume(&operator(), &alice).await.unwrap();
    assert_eq!(why(&house, &ready).await, unserved(&house));
}

async fn that_its_secrets_are_locked_is_said_until_they_are_not(house: House) {
    with_secret(&house).await;
    let task = NewTask {
        command: Some(CommandSpec::new(vec!["true".to_owned()])),
        ..NewTask::new(name("alice"), "count the sheep")
    };
    let task = house.task(task).await;
    assert_eq!(why(&house, &task).await, unserved(&house));
    let call = house.tenant.credentials.call(&operator());
    house.engine.vault().lock(&call).await.unwrap();
    assert_eq!(why(&house, &task).await, Some(WhyWaits::Locked));
    unlock(&house).await;
    assert_eq!(why(&house, &task).await, unserved(&house));
}

async fn unlock(house: &House) {
    let call = house.tenant.credentials.call(&operator());
    let key = key(Arc::new(Random::seeded(5)));
    house.engine.vault().unlock(&call, &key).await.unwrap();
}

/// At most so many of this at once, or in all, of this account.
async fn limited(house: &House, path: &AccountPath, dimension: Dimension, limit: Option<u64>) {
    let setting = Setting {
        limits: vec![(dimension, limit)],
        // Nobody is asked.
        pause: Some(Some(100)),
        ..Setting::default()
    };
    let budgets = &house.tenant.budgets;
    budgets.set(&operator(), path, &setting).await.unwrap();
}

async fn what_is_full_is_said_until_there_is_room(house: House) {
    let (alice, bob) = (
        agent_of(&house, "alice", 1).await,
        agent_of(&house, "bob", 1).await,
    );
    let (go, may_end) = watch::channel(false);
    let doer = Doer::new(may_end);
    let options = WakeOptions {
        instance_max: 1,
        ..WakeOptions::default()
    };
    let served = Served::by(&house.engine, &doer, options);
    let of_alice = tasks(&house, &alice, 2).await;
    until("alice's first runs", async || doer.at_work() == 1).await;
    until("her agent is full", async || {
        why(&house, &of_alice[1]).await == Some(WhyWaits::AgentFull)
    })
    .await;
    let of_bob = tasks(&house, &bob, 1).await.remove(0);
    until("this process is full", async || {
        why(&house, &of_bob).await == Some(WhyWaits::InstanceFull)
    })
    .await;
    limited(&house, &AccountPath::Tenant, Dimension::Concurrency, Some(0)).await;
    assert_eq!(why(&house, &of_bob).await, Some(WhyWaits::TenantFull));
    limited(&house, &AccountPath::Tenant, Dimension::Concurrency, None).await;
    let of_bobs = AccountPath::Agent(bob.clone());
    limited(&house, &of_bobs, Dimension::InputTokens, Some(0)).await;
    assert_eq!(why(&house, &of_bob).await, Some(WhyWaits::Budget));
    let stored = house.stored().await;
    assert_eq!(why(&house, &of_bob).await, Some(WhyWaits::Budget));
    assert!(house.stored().await == stored, "asking takes nothing");
    limited(&house, &of_bobs, Dimension::InputTokens, None).await;
    go.send_replace(true);
    let all = [of_alice, vec![of_bob]].concat();
    until("all are done", async || are_done(&house, &all).await).await;
    for task in &all {
        assert_eq!(why(&house, task).await, None);
    }
    served.end().await;
}

super::on_every_store! {
    what_is_in_the_way_of_a_task_itself_is_said;
    that_its_secrets_are_locked_is_said_until_they_are_not;
    what_is_full_is_said_until_there_is_room;
}

/// Before a loop claims, while it does, when it has left, and when it panicked too often.
#[tokio::test(start_paused = true)]
async fn that_nobody_claims_is_said_and_why() {
    let house = House::in_memory().await;
    let alice = agent_of(&house, "alice", 1).await;
    let task = house
        .task(NewTask {
            command: Some(CommandSpec::new(vec!["true".to_owned()])),
            ..NewTask::new(alice.clone(), "count the sheep")
        })
        .await;
    assert_eq!(why(&house, &task).await, Some(WhyWaits::NoSupervisor));
    let served = Served::by(&house.engine, &Refuses::new(), WakeOptions::default());
    until("it is served", async || why(&house, &task).await.is_none()).await;
    served.end().await;
    assert_eq!(why(&house, &task).await, Some(WhyWaits::NoSupervisor));
    house
        .engine
        .keep("wakes", || async { panic!("as a loop that is broken does") })
        .await;
    assert_eq!(why(&house, &task).await, Some(WhyWaits::Degraded));
}

/// Begins nothing.
#[derive(Debug)]
struct Refuses;

impl Refuses {
    fn new() -> Arc<Self> {
        Arc::new(Self)
    }
}

#[async_trait]
impl Starter for Refuses {
    async fn start(&self, _: &Tenant, _: TaskId) -> Result<RunId, CommandError> {
        Err(CommandError::Invalid {
            field: "command",
            reason: "is not taken here".to_owned(),
        })
    }

    fn at_work(&self) -> usize {
        0
    }

    async fn fewer_than(&self, _: usize) {}
}

/// Begins what needs no secrets that nobody unlocked, as a supervisor does.
#[derive(Debug)]
struct Heeds(Arc<Doer>);

#[async_trait]
impl Starter for Heeds {
    async fn start(&self, tenant: &Tenant, task: TaskId) -> Result<RunId, CommandError> {
        let row = tenant.tasks.get(task).await?;
        if let Some(state) = tenant.credentials.awaited(&row).await? {
            let agent = row.assignee.clone();
            return Err(CommandError::SecretsLocked { task, agent, state });
        }
        self.0.start(tenant, task).await
    }

    fn at_work(&self) -> usize {
        self.0.at_work()
    }

    async fn fewer_than(&self, most: usize) {
        self.0.fewer_than(most).await;
    }
}

/// Locked, nothing is claimed however long it lasts, and the reason is said; unlocking alone has it begun, long before the lane
/// is looked at by itself. Who needs no secrets is begun all the while.
#[tokio::test(start_paused = true)]
async fn what_waits_for_its_secrets_is_begun_when_they_are_unlocked() {
    let store = Arc::new(Memory::new(Timestamp::UNIX_EPOCH));
    let house = House::over_exclusive(store as Arc<dyn RecordStore>).await;
    with_secret(&house).await;
    house.agent("bob").await;
    let call = house.tenant.credentials.call(&operator());
    house.engine.vault().lock(&call).await.unwrap();
    let (_go, may_end) = watch::channel(true);
    let doer = Doer::new(may_end);
    let heeds = Arc::new(Heeds(Arc::clone(&doer)));
    let served = Served::by(&house.engine, &heeds, WakeOptions::default());
    let of = |agent: &str| NewTask {
        command: Some(CommandSpec::new(vec!["true".to_owned()])),
        ..NewTask::new(name(agent), "count the sheep")
    };
    let (locked, free) = (house.task(of("alice")).await, house.task(of("bob")).await);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(doer.begun(), [free.id]);
    // Somewhere between two looks of the lane at itself.
    tokio::time::sleep(Duration::from_secs(20 * 60 + 5)).await;
    assert_eq!(doer.begun(), [free.id]);
    assert_eq!(why(&house, &locked).await, Some(WhyWaits::Locked));
    unlock(&house).await;
    house.engine.ring_all();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(doer.begun(), [free.id, locked.id]);
    served.end().await;
}
