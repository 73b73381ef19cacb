//! A world: its processes and actors, from the first storm to the last task.

use std::sync::Arc;

use dormouse_engine::agent::AgentConfig;
use dormouse_engine::budget::{AccountPath, Dimension, Setting};
use dormouse_engine::{AgentName, Channel, Principal};
use dormouse_filesystem::{Digest, Namespace, Opener, RecordStore, Requirements, System};
use dormouse_tests::seed::part;
use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng, RngExt};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep, timeout};

use crate::actor;
use crate::audit;
use crate::ledger::Ledger;
use crate::operator;
use crate::process::Process;
use crate::store::Stormy;
use crate::worker::{self, Honesty};

/// How many tenants there are.
pub(crate) const TENANTS: usize = 2;
/// The agents of each.
pub(crate) const AGENTS: [&str; 2] = ["alice", "bob"];
/// How much a tenant may run at once: fewer than there are workers, so that claims are refused for it.
pub(crate) const AT_ONCE: u64 = 2;
/// How much a tenant may use: more than it does, since nothing is claimed without, but it is counted.
const TOKENS_MAX: u64 = 1_000_000_000;
/// How many machines there are.
const PROCESSES: usize = 3;
/// Workers of a machine.
const WORKERS: u64 = 2;
/// How long the storm lasts.
const STORM: Duration = Duration::from_secs(15 * 60);
/// How long it may take until nothing is left to do: five failures an hour apart, and lapses between them.
const PEACE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What everybody shares.
pub(crate) struct World {
    pub(crate) store: Arc<Stormy>,
    pub(crate) processes: Vec<Process>,
    pub(crate) ledger: Ledger,
}

/// Who does things in the world: not a process, but whoever uses one.
pub(crate) fn person() -> Principal {
    Principal::operator("olga", Channel::Cli)
}

pub(crate) fn agent(number: usize) -> AgentName {
    AGENTS[number].parse().unwrap()
}

/// One of so many.
pub(crate) fn one_of(random: &mut StdRng, count: usize) -> usize {
    random.random_range(0..count)
}

/// Waits for a random time up to this.
pub(crate) async fn pause(random: &mut StdRng, max: Duration) {
    sleep(random.random_range(Duration::from_millis(10)..=max)).await;
}

/// Lives through a storm and the peace behind it. The digest of all that is stored in the end, or what is wrong with it.
pub(crate) async fn live(seed: u64) -> Result<Digest, String> {
    let world = Arc::new(made(seed).await);
    world.store.storm();
    let mut actors = actors(&world, seed, Honesty::None);
    operator::spawn(&mut actors, &world, part(seed, 50));
    for number in 0..2 {
        actor::submits(&mut actors, &world, part(seed, 60 + number));
    }
    actor::skews(&mut actors, &world, part(seed, 70));
    sleep(STORM).await;
    end(actors).await?;
    // What nobody holds any more lapses; whoever works from here on is honest.
    world.store.calm();
    for process in &world.processes {
        process.clock.set_off(0);
    }
    operator::makes_peace(&world).await?;
    let actors = actors_of_peace(&world, seed);
    let peace = timeout(PEACE_MAX, audit::nothing_left(&world)).await;
    end(actors).await?;
    if peace.is_err() {
        return Err(audit::stuck(&world).await);
    }
    audit::audit(&world).await
}

async fn made(seed: u64) -> World {
    let mut random = part(seed, 1);
    let per_mille = random.random_range(0..=60);
    let store = Stormy::new(random.next_u64(), per_mille);
    let opener = Opener::at(Timestamp::UNIX_EPOCH, seed);
    let shared: Arc<dyn RecordStore> = Arc::clone(&store) as Arc<dyn RecordStore>;
    let system = Namespace::<System>::open(shared, &Requirements::volatile(), opener)
        .await
        .unwrap();
    let begun = Instant::now();
    let processes: Vec<_> = (0..PROCESSES)
        .map(|number| Process::new(number, seed, system.clone(), begun))
        .collect();
    for tenant in 0..TENANTS {
        let tenant = processes[0].tenant(tenant).await;
        for number in 0..AGENTS.len() {
            let (by, name) = (person(), agent(number));
            let made = tenant.agents.create(&by, &name, AgentConfig::default());
            made.await.unwrap();
        }
        let setting = Setting {
            limits: vec![
                (Dimension::Concurrency, Some(AT_ONCE)),
                (Dimension::InputTokens, Some(TOKENS_MAX)),
            ],
            // Nobody is asked.
            pause: Some(Some(100)),
            ..Setting::default()
        };
        tenant
            .budgets
            .set(&person(), &AccountPath::Tenant, &setting)
            .await
            .unwrap();
    }
    World {
        store,
        processes,
        ledger: Ledger::default(),
    }
}

/// What each machine runs: workers, and whoever recovers and serves what is due.
fn actors(world: &Arc<World>, seed: u64, honesty: Honesty) -> JoinSet<()> {
    let mut actors = JoinSet::new();
    for process in 0..PROCESSES {
        let base = 100 + 100 * process as u64 + 1000 * honesty as u64;
        for number in 0..WORKERS {
            worker::spawn(&mut actors, world, process, part(seed, base + number), honesty);
        }
        actor::recovers(&mut actors, world, process, part(seed, base + 50));
    }
    for tenant in 0..TENANTS {
        actor::tails(&mut actors, world, tenant);
    }
    actors
}

fn actors_of_peace(world: &Arc<World>, seed: u64) -> JoinSet<()> {
    actors(world, seed, Honesty::Full)
}

/// All actors are gone, in the middle of whatever they did. One that panicked is what is wrong.
async fn end(mut actors: JoinSet<()>) -> Result<(), String> {
    actors.abort_all();
    while let Some(ended) = actors.join_next().await {
        if let Err(error) = ended
            && error.is_panic()
        {
            let panic = error.into_panic();
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            return Err(format!("an actor panicked: {}", text.unwrap_or_default()));
        }
    }
    Ok(())
}
