//! A day on which nothing happens: what sleeping agents cost.

use std::sync::Arc;
use std::time::Duration;

use dormouse_engine::agent::AgentConfig;
use dormouse_engine::wake::WakeOptions;
use dormouse_engine::{AgentName, Engine};
use dormouse_filesystem::wrapper::{Counted, Operation};
use dormouse_filesystem::{Memory, RecordStore};
use futures::future::join_all;
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::house::{House, NoOrphans, name, operator};
use super::wakes::Doer;

/// So many are made in a debug build within seconds.
const MANY: usize = 10_000;

/// Reads of a day by all loops together.
const LOOKS: u64 = 12;

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
    /// Wakes, deadlines, settlements, leases.
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

/// So many agents, and a day after they were made and everything has come to rest.
async fn day(agents: usize, served: Served) -> Day {
    let store = Arc::new(Counted::new(Memory::new(Timestamp::UNIX_EPOCH)));
    let house = House::over_exclusive(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    let names: Vec<AgentName> = (0..agents).map(|nth| name(&format!("agent-{nth}"))).collect();
    for some in names.chunks(256) {
        let making = some.iter().map(|agent| {
            let agents = &house.tenant.agents;
            async move { agents.create(&operator(), agent, AgentConfig::default()).await }
        });
        for made in join_all(making).await {
            made.unwrap();
        }
    }
    let (leave, told) = watch::channel(false);
    let serving = serve(&house.engine, served, &told);
    // What is looked at once at the start is looked at.
    sleep(Duration::from_secs(600)).await;
    let before = store.counts();
    // In steps that are no jump of the clock, which would be looked into.
    for _ in 0..24 * 60 * 2 {
        house.clock.advance(30);
        sleep(Duration::from_secs(30)).await;
    }
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

#[tokio::test(start_paused = true)]
async fn a_day_over_many_sleeping_agents_costs_nothing_but_sweeps() {
    let many = day(MANY, Served::Plainly).await;
    assert_eq!(many.commits, 0);
    // Of all loops together, and of no agent.
    assert!(many.operations <= LOOKS, "{many:?}");
    let (few, swept) = (day(10, Served::Swept).await, day(MANY, Served::Swept).await);
    assert_eq!(swept.commits, 0);
    assert_eq!(swept.at_work, few.at_work, "no agent is a task of the runtime");
    // A sweep a day or an hour looks at what it is for, and not at each agent.
    assert!(
        swept.operations <= few.operations + 1000,
        "{swept:?}, and over ten agents {few:?}"
    );
}
