//! A day on which nothing happens: what sleeping agents cost.

use std::sync::Arc;
use std::time::Duration;

use dormouse_engine::Engine;
use dormouse_engine::agent::AgentState;
use dormouse_engine::wake::WakeOptions;
use dormouse_filesystem::wrapper::{Counted, Operation};
use dormouse_filesystem::{Batch, Deadline, Expected, Key, Memory, RecordStore};
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::house::{House, NoOrphans, name};
use super::relay::Recorder;
use super::wakes::Doer;

const MILLION: usize = 1_000_000;
const MANY: usize = 100_000;
const FEW: usize = 10;
/// Agents that are made in one commit.
const AT_ONCE: usize = 250;

/// What a day cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Day {
    commits: u64,
    operations: u64,
    /// Tasks of the runtime, each of which may have a timer.
    at_work: usize,
}

/// How the store is served.
#[derive(Debug, Clone, Copy)]
enum Served {
    /// Wakes, deadlines, settlements, leases, a sink.
    Plainly,
    /// Besides by what sweeps now and then.
    Swept,
}

fn serve(engine: &Engine, served: Served, leave: &watch::Receiver<bool>) -> Vec<JoinHandle<()>> {
    let told = || {
        let mut leave = leave.clone();
        async move { drop(leave.wait_for(|leave| *leave).await) }
    };
    let mut serving = Vec::new();
    let (of, until) = (engine.clone(), told());
    serving.push(tokio::spawn(async move { of.serve_due(until).await }));
    let (of, until) = (engine.clone(), told());
    let (_go, may_end) = watch::channel(true);
    let doer = Doer::new(may_end);
    serving.push(tokio::spawn(async move {
        of.serve_wakes(doer, WakeOptions::default(), until).await;
    }));
    let (of, until) = (engine.clone(), told());
    serving.push(tokio::spawn(async move { of.serve_settlements(until).await }));
    let (of, until) = (engine.clone(), told());
    serving.push(tokio::spawn(
        async move { of.serve_leases(&NoOrphans, until).await },
    ));
    let (of, until) = (engine.clone(), told());
    serving.push(tokio::spawn(async move {
        of.serve_relay(vec![Recorder::new("book")], until).await;
    }));
    match served {
        Served::Plainly => {}
        Served::Swept => {
            let (of, until) = (engine.clone(), told());
            serving.push(tokio::spawn(async move { of.serve_janitor(until).await }));
            let (of, until) = (engine.clone(), told());
            serving.push(tokio::spawn(async move { of.serve_retention(until).await }));
        }
    }
    serving
}

/// So many agents: one that was made as any is, and others with the same rows under their own names.
async fn asleep(house: &House, store: &Counted<Memory>, agents: usize) {
    const FIRST: &str = "agent-0";
    house.agent(FIRST).await;
    let rows = house.entries().await.into_iter();
    let rows = rows.map(|row| {
        (
            row.key.to_string(),
            row.kind,
            String::from_utf8(row.value.to_vec()).unwrap(),
        )
    });
    let rows: Vec<_> = rows.filter(|(key, ..)| key.ends_with(FIRST)).collect();
    assert_eq!(rows.len(), 3, "the row and two entries of indexes: {rows:?}");
    let others: Vec<String> = (1..agents).map(|nth| format!("agent-{nth}")).collect();
    for some in others.chunks(AT_ONCE) {
        let mut batch = Batch::default();
        for agent in some {
            for (key, kind, value) in &rows {
                let key = Key::parse(&key.replace(FIRST, agent)).unwrap();
                batch.put(key, Expected::Absent, kind.clone(), value.replace(FIRST, agent));
            }
        }
        store
            .commit(batch, Deadline::after(Duration::from_secs(60)))
            .await
            .unwrap();
    }
    let last = name(others.last().unwrap());
    assert_eq!(
        house.tenant.agents.get(&last).await.unwrap().state,
        AgentState::Active
    );
}

/// So many agents, and a day after everything has come to rest.
async fn day(agents: usize, served: Served) -> Day {
    let store = Arc::new(Counted::new(Memory::new(Timestamp::UNIX_EPOCH)));
    let house = House::over_exclusive(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    asleep(&house, &store, agents).await;
    let (leave, told) = watch::channel(false);
    let serving = serve(&house.engine, served, &told);
    // What is looked at once at the start is looked at, and the sink has what was told.
    passes(&house, 10).await;
    let before = store.counts();
    passes(&house, 24 * 60).await;
    let after = store.counts();
    let at_work = Handle::current().metrics().num_alive_tasks();
    leave.send_replace(true);
    for served in serving {
        served.await.unwrap();
    }
    Day {
        commits: after.of(Operation::Commit) - before.of(Operation::Commit),
        operations: after.operations() - before.operations(),
        at_work,
    }
}

/// Lets so many minutes pass, in steps that are no jump of the clock, which would be looked into.
async fn passes(house: &House, minutes: u64) {
    for _ in 0..minutes * 2 {
        house.clock.advance(30);
        sleep(Duration::from_secs(30)).await;
    }
}

/// ST-73
#[tokio::test(start_paused = true)]
async fn a_day_over_a_hundred_thousand_sleeping_agents_costs_nothing_but_sweeps() {
    let many = day(MANY, Served::Plainly).await;
    assert_eq!((many.commits, many.operations), (0, 0));
    let (few, swept) = (day(FEW, Served::Swept).await, day(MANY, Served::Swept).await);
    assert_eq!(swept.commits, 0);
    assert!(few.operations > 0, "the sweeps that are due look");
    assert_eq!(swept, few, "no agent is a read, a task of the runtime or a timer");
}

/// WK-55. What sweeps at set times is above: it looks as often over many as over few.
#[tokio::test(start_paused = true)]
async fn a_day_over_a_million_sleeping_agents_costs_nothing() {
    let (few, million) = (
        day(FEW, Served::Plainly).await,
        day(MILLION, Served::Plainly).await,
    );
    assert_eq!((million.commits, million.operations), (0, 0));
    assert_eq!(million, few, "no agent is a task of the runtime or a timer");
}
