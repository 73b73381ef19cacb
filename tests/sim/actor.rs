//! Who makes tasks, who sets clocks, who recovers, and who reads events while they are written.

use std::sync::Arc;

use dormouse_engine::task::{NewTask, Priority, Start, TaskFilter, TaskState, Wait};
use dormouse_engine::{Clock, CommandError, Tenant};
use dormouse_filesystem::Position;
use jiff::SignedDuration;
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::task::JoinSet;
use tokio::time::{Duration, sleep};

use crate::process::{NoOrphans, Process};
use crate::world::{AGENTS, TENANTS, World, agent, one_of, pause, person};

/// How often a machine recovers and serves what is due.
const RECOVER_MAX: Duration = Duration::from_secs(20);
/// How far a clock is off: two that are off against each other stay within what leases allow for.
const OFF_MAX_MS: i64 = 2000;

/// Somebody makes tasks.
pub(crate) fn submits(actors: &mut JoinSet<()>, world: &Arc<World>, mut random: StdRng) {
    let world = Arc::clone(world);
    actors.spawn(async move {
        // Ends with the storm.
        loop {
            pause(&mut random, Duration::from_secs(30)).await;
            let process = &world.processes[one_of(&mut random, world.processes.len())];
            let number = one_of(&mut random, TENANTS);
            let mut new = NewTask::new(agent(one_of(&mut random, AGENTS.len())), "count the sheep");
            new.priority = Priority::ALL[one_of(&mut random, Priority::ALL.len())];
            match random.random_range(0..10) {
                0 => new.start = Start::Backlog,
                1 => new.start = Start::PendingApproval,
                2 => {
                    let seconds = random.random_range(1..600);
                    new.not_before = Some(process.clock.now() + SignedDuration::from_secs(seconds));
                }
                _ => {}
            }
            let made = process.alive(async {
                let tenant = process.tenant(number).await;
                tenant.tasks.create(&person(), new).await
            });
            if let Some(Ok(task)) = made.await {
                world.ledger.did("create");
                if world.ledger.lock().created.insert(task.id, number).is_some() {
                    world.ledger.wrong(format!("{} was made twice", task.id));
                }
            }
        }
    });
}

/// Clocks go off.
pub(crate) fn skews(actors: &mut JoinSet<()>, world: &Arc<World>, mut random: StdRng) {
    let world = Arc::clone(world);
    actors.spawn(async move {
        // Ends with the storm.
        loop {
            pause(&mut random, Duration::from_secs(60)).await;
            let process = &world.processes[one_of(&mut random, world.processes.len())];
            process
                .clock
                .set_off(random.random_range(-OFF_MAX_MS..=OFF_MAX_MS));
            world.ledger.did("skew");
        }
    });
}

/// A machine ends what lapsed, and makes ready what is due.
pub(crate) fn recovers(actors: &mut JoinSet<()>, world: &Arc<World>, number: usize, mut random: StdRng) {
    let world = Arc::clone(world);
    actors.spawn(async move {
        let process = &world.processes[number];
        // Ends with the world.
        loop {
            pause(&mut random, RECOVER_MAX).await;
            let looked = process.alive(async {
                if let Ok(recovery) = process.engine().recover(&NoOrphans).await {
                    for _ in &recovery.ended {
                        world.ledger.did("lapse");
                    }
                }
                for tenant in 0..TENANTS {
                    let tenant = process.tenant(tenant).await;
                    let _ = serve_due(process, &tenant).await;
                }
            });
            looked.await;
        }
    });
}

/// Tasks whose time has come.
async fn serve_due(process: &Process, tenant: &Tenant) -> Result<(), CommandError> {
    let filter = TaskFilter {
        state: Some("waiting".to_owned()),
        ..TaskFilter::default()
    };
    let mut after = None;
    // Ends with the last page.
    loop {
        let page = tenant.tasks.list(&filter, after, 1000).await?;
        for task in &page.rows {
            let due = match task.state {
                TaskState::Waiting {
                    on: Wait::Until { until },
                } => until <= process.clock.now(),
                _ => false,
            };
            if due {
                let _ = tenant.tasks.due(&person(), task.id).await;
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

/// Somebody reads the events of a tenant as they come: each once, in order, none late.
pub(crate) fn tails(actors: &mut JoinSet<()>, world: &Arc<World>, number: usize) {
    let world = Arc::clone(world);
    actors.spawn(async move {
        let mut seen = Position::START;
        // Ends with the world.
        loop {
            sleep(Duration::from_secs(1)).await;
            let tenant = world.processes[number].tenant(number).await;
            let Ok(page) = tenant.events.read_after(seen, 1000).await else {
                continue;
            };
            for event in page.events {
                if event.position.get() != seen.get() + 1 {
                    let (found, expected) = (event.position, seen.get() + 1);
                    world
                        .ledger
                        .wrong(format!("position {found} was read where {expected} is next"));
                }
                seen = event.position;
            }
        }
    });
}
