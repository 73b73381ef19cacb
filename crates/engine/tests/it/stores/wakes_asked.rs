//! Asking for an agent to be woken: what is answered, and that a refusal writes nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dormouse_engine::agent::{AgentState, AtWork};
use dormouse_engine::wake::{Starter, Wake, WakeError, WakeOptions, Woken};
use dormouse_engine::{AgentName, CommandError, Engine, EngineOptions, RunId, TaskId, Tenant};
use dormouse_filesystem::wrapper::{Counted, Operation};
use dormouse_filesystem::{Memory, RecordStore, Records};
use jiff::Timestamp;
use tokio::sync::{oneshot, watch};

use super::hooked::Hooked;
use super::house::{House, name, operator, tenant_id};
use super::place::Place;
use super::wakes::{Doer, Served, agent_of, are_done, tasks, until, wake};

/// Asks an engine.
async fn asks(engine: &Engine, agent: &AgentName) -> Result<Woken, WakeError> {
    let tenant = engine.tenant(&tenant_id()).await.unwrap();
    engine.wake(&tenant, &operator(), agent).await
}

/// What is refused, and that it wrote nothing.
async fn refused(house: &House, engine: &Engine, agent: &AgentName) -> WakeError {
    let before = house.stored().await;
    let refused = asks(engine, agent).await.expect_err("it is refused");
    assert!(house.stored().await == before, "it wrote something: {refused}");
    refused
}

/// Begins nothing before it may.
#[derive(Debug)]
struct Holds {
    inner: Arc<Doer>,
    held: watch::Sender<usize>,
    may: watch::Receiver<bool>,
}

#[async_trait::async_trait]
impl Starter for Holds {
    async fn start(&self, tenant: &Tenant, task: TaskId) -> Result<RunId, CommandError> {
        self.held.send_modify(|held| *held += 1);
        let mut may = self.may.clone();
        may.wait_for(|may| *may).await.unwrap();
        self.inner.start(tenant, task).await
    }

    fn at_work(&self) -> usize {
        self.inner.at_work()
    }

    async fn fewer_than(&self, most: usize) {
        self.inner.fewer_than(most).await;
    }
}

async fn a_wake_that_is_asked_for_is_answered_as_things_are(house: House) {
    let (alice, bob) = (
        agent_of(&house, "alice", 1).await,
        agent_of(&house, "bob", 1).await,
    );
    let nobody = refused(&house, &house.engine, &name("nobody")).await;
    assert!(matches!(nobody, WakeError::Unknown { .. }), "{nobody:?}");
    house
        .tenant
        .agents
        .pause(&operator(), &alice, None)
        .await
        .unwrap();
    let paused = refused(&house, &house.engine, &alice).await;
    assert!(matches!(paused, WakeError::Paused { .. }), "{paused:?}");
    house.tenant.agents.resume(&operator(), &alice).await.unwrap();
    let rings = wake(&house, &alice).await.unwrap().rings;

    // Nobody serves: it is queued, and stays so.
    let coalesced = Woken {
        coalesced: true,
        served: false,
    };
    assert_eq!(asks(&house.engine, &alice).await.unwrap(), coalesced);
    assert_eq!(wake(&house, &alice).await.unwrap().rings, rings + 1);
    // As many as may be.
    let narrow = EngineOptions {
        wakes_due_max: 1,
        ..EngineOptions::default()
    };
    let narrow = house.neighbour_set(narrow).await;
    let full = refused(&house, &narrow, &bob).await;
    assert!(matches!(full, WakeError::Full { due_max: 1 }), "{full:?}");
    assert_eq!(
        asks(&narrow, &alice).await.unwrap(),
        coalesced,
        "it is one of them"
    );

    let made = tasks(&house, &bob, 1).await;
    let (go, may) = watch::channel(false);
    let (_ends, may_end) = watch::channel(true);
    let holds = Arc::new(Holds {
        inner: Doer::new(may_end),
        held: watch::Sender::new(0),
        may,
    });
    let mut held = holds.held.subscribe();
    let (leave, told) = oneshot::channel::<()>();
    let served = {
        let (engine, holds) = (house.engine.clone(), Arc::clone(&holds));
        tokio::spawn(async move {
            let told = async { drop(told.await) };
            engine.serve_wakes(holds, WakeOptions::default(), told).await;
        })
    };
    held.wait_for(|held| *held == 1).await.unwrap();
    until("alice's lane is empty", async || {
        wake(&house, &alice).await.is_none()
    })
    .await;
    let woken = asks(&house.engine, &alice).await.unwrap();
    let good = Woken {
        coalesced: false,
        served: true,
    };
    assert_eq!(woken, good);
    until("she was looked at", async || wake(&house, &alice).await.is_none()).await;
    // Told to leave, while a claim is under way.
    leave.send(()).unwrap();
    until("it leaves", async || {
        matches!(
            asks(&house.engine, &alice).await,
            Err(WakeError::Unavailable { .. })
        )
    })
    .await;
    let leaving = refused(&house, &house.engine, &name("nobody")).await;
    assert!(
        matches!(leaving, WakeError::Unavailable { why: "it is leaving" }),
        "it comes before what is said of the agent: {leaving:?}"
    );
    go.send_replace(true);
    served.await.unwrap();
    until("what was claimed is done", async || are_done(&house, &made).await).await;
    let ended = refused(&house, &house.engine, &bob).await;
    assert!(matches!(ended, WakeError::Unavailable { .. }), "{ended:?}");
}

/// So many agents that are to be woken, by their rows alone.
async fn due(house: &House, count: usize) {
    let alice = agent_of(house, "alice", 1).await;
    asks(&house.engine, &alice).await.unwrap();
    let space = house.tenant.space();
    let rows = Records::<Wake>::new(space);
    let first = rows.get(&alice).await.unwrap().unwrap();
    let names: Vec<AgentName> = (1..count).map(|nth| name(&format!("due-{nth}"))).collect();
    for some in names.chunks(250) {
        let mut batch = space.batch();
        for agent in some {
            let another = Wake {
                agent: agent.clone(),
                ..Wake::clone(&first)
            };
            rows.stage_create(&mut batch, &another).unwrap();
        }
        space.commit(batch).await.unwrap();
    }
}

/// Those that are due are counted once, and not again before there may be no room for one more.
#[tokio::test(start_paused = true)]
async fn asking_counts_those_that_are_due_seldom() {
    let store = Arc::new(Counted::new(Memory::new(Timestamp::UNIX_EPOCH)));
    let house = House::over_exclusive(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    due(&house, 2_500).await;
    let options = EngineOptions {
        wakes_due_max: 2_510,
        ..EngineOptions::default()
    };
    let engine = house.neighbour_set(options).await;
    let mut listed = Vec::new();
    for nth in 0..14 {
        let agent = agent_of(&house, &format!("agent-{nth}"), 1).await;
        if nth == 12 {
            // A moment later it is looked whether some were served.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let before = store.counts().of(Operation::List);
        let asked = asks(&engine, &agent).await;
        assert_eq!(asked.is_ok(), nth < 10, "{nth}: {asked:?}");
        listed.push(store.counts().of(Operation::List) - before);
    }
    let counted = listed[0];
    assert!(counted >= 3, "a read for each thousand: {listed:?}");
    let expected = [vec![counted], vec![0; 9], vec![counted, 0, counted, 0]];
    assert_eq!(listed, expected.concat());
}

/// WK-56
#[tokio::test]
async fn an_agent_whose_deletion_failed_is_woken_and_one_that_goes_is_unknown() {
    let mut places = vec![Place::memory(), Place::sled(), Place::local()];
    places.extend(Place::postgres());
    for place in places {
        let store = Hooked::over(place.open().await);
        let house = House::over_shared(Arc::clone(&store) as Arc<dyn RecordStore>).await;
        deleted(&house, &store).await;
    }
}

async fn deleted(house: &House, store: &Hooked) {
    let alice = agent_of(house, "alice", 1).await;
    let agents = &house.tenant.agents;
    store.is_full.store(true, Ordering::SeqCst);
    let failed = agents.delete(&operator(), &alice, AtWork::Stop, None).await;
    assert!(failed.is_err(), "{failed:?}");
    store.is_full.store(false, Ordering::SeqCst);
    assert_eq!(agents.get(&alice).await.unwrap().state, AgentState::Active);
    let woken = asks(&house.engine, &alice).await.unwrap();
    assert_eq!((woken.coalesced, woken.served), (false, false));
    let (_go, may_end) = watch::channel(true);
    let made = tasks(house, &alice, 1).await;
    let served = Served::by(&house.engine, &Doer::new(may_end), WakeOptions::default());
    until("its task is done", async || are_done(house, &made).await).await;

    agents
        .delete(&operator(), &alice, AtWork::Stop, None)
        .await
        .unwrap();
    let unknown = asks(&house.engine, &alice).await;
    assert!(matches!(unknown, Err(WakeError::Unknown { .. })), "{unknown:?}");
    until("she is gone", async || {
        let gone = agents.get(&alice).await;
        matches!(gone, Err(CommandError::NotFound { .. }))
    })
    .await;
    let unknown = refused(house, &house.engine, &alice).await;
    assert!(matches!(unknown, WakeError::Unknown { .. }), "{unknown:?}");
    served.end().await;
    assert_eq!(wake(house, &alice).await, None);
    // What names her still is that she was there, and what was done: nothing that could wake anybody.
    for entry in house.entries().await {
        let key = entry.key.to_string();
        let wakes = ["/wake/", "/ready/", "/live/", "/due/", "/pending/", "/open/"];
        assert!(
            !key.contains("alice") || wakes.iter().all(|word| !key.contains(word)),
            "{key}"
        );
    }
}

super::on_every_store! {
    /// WK-53
    a_wake_that_is_asked_for_is_answered_as_things_are;
}
