//! A person who calls tasks off, tries them again, puts them aside and pauses agents; and who in the end lets all of it go on.

use std::sync::Arc;

use dormouse_engine::task::{Steps, Task, TaskFilter};
use dormouse_engine::{CommandError, Tenant};
use dormouse_filesystem::Versioned;
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::task::JoinSet;
use tokio::time::Duration;

use crate::world::{AGENTS, TENANTS, World, agent, one_of, pause, person};

/// Spawns the operator.
pub(crate) fn spawn(actors: &mut JoinSet<()>, world: &Arc<World>, mut random: StdRng) {
    let world = Arc::clone(world);
    actors.spawn(async move {
        // Ends with the storm.
        loop {
            pause(&mut random, Duration::from_secs(20)).await;
            let process = &world.processes[one_of(&mut random, world.processes.len())];
            let number = one_of(&mut random, TENANTS);
            let (deed, which) = (random.random_range(0..10), random.random::<u64>());
            process
                .alive(async {
                    let tenant = process.tenant(number).await;
                    let _ = act(&world, &tenant, deed, which).await;
                })
                .await;
        }
    });
}

async fn act(world: &World, tenant: &Tenant, deed: u32, which: u64) -> Result<(), CommandError> {
    let by = person();
    match deed {
        0 => {
            let agent = agent(usize::try_from(which % AGENTS.len() as u64).unwrap());
            tenant.agents.pause(&by, &agent, None).await?;
            world.ledger.did("pause");
        }
        1 | 2 => {
            let agent = agent(usize::try_from(which % AGENTS.len() as u64).unwrap());
            tenant.agents.resume(&by, &agent).await?;
            world.ledger.did("resume");
        }
        _ => {
            let page = tenant.tasks.list(&TaskFilter::default(), None, 1000).await?;
            if page.rows.is_empty() {
                return Ok(());
            }
            let task = &page.rows[usize::try_from(which % page.rows.len() as u64).unwrap()];
            of_task(world, tenant, deed, task).await?;
        }
    }
    Ok(())
}

async fn of_task(
    world: &World,
    tenant: &Tenant,
    deed: u32,
    task: &Versioned<Task>,
) -> Result<(), CommandError> {
    let (by, tasks) = (person(), &tenant.tasks);
    match deed {
        3 => {
            tasks.cancel(&by, task.id, None).await?;
            world.ledger.did("cancel");
        }
        4 | 5 => {
            // Counted before: its answer may be lost, and so may whoever waits for it.
            *world.ledger.lock().retried.entry(task.id).or_default() += 1;
            let retried = tasks.retry(&by, task.id, Steps::Kept).await;
            if let Err(CommandError::Rejected { .. }) = retried {
                *world.ledger.lock().retried.entry(task.id).or_default() -= 1;
            }
            retried?;
            world.ledger.did("retry");
        }
        6 => {
            tasks.shelve(&by, task.id).await?;
            world.ledger.did("shelve");
        }
        7 => {
            tasks.enqueue(&by, task.id).await?;
            world.ledger.did("enqueue");
        }
        8 => {
            tasks.approve(&by, task.id).await?;
            world.ledger.did("approve");
        }
        _ => {
            tasks.refuse(&by, task.id).await?;
            world.ledger.did("refuse");
        }
    }
    Ok(())
}

/// Lets everything go on that waits for a person.
pub(crate) async fn makes_peace(world: &World) -> Result<(), String> {
    let said = |what: &str, error: &CommandError| format!("{what} in a calm store: {error}");
    for number in 0..TENANTS {
        let tenant = world.processes[0].tenant(number).await;
        for number in 0..AGENTS.len() {
            let resumed = tenant.agents.resume(&person(), &agent(number)).await;
            resumed.map_err(|error| said("resume", &error))?;
        }
        for state in ["backlog", "pending_approval"] {
            let filter = TaskFilter {
                state: Some(state.to_owned()),
                ..TaskFilter::default()
            };
            let page = tenant.tasks.list(&filter, None, 1000).await;
            for task in page.map_err(|error| said("list", &error))?.rows {
                let tasks = &tenant.tasks;
                let approved = tasks.approve(&person(), task.id).await;
                if approved.is_err() {
                    let enqueued = tasks.enqueue(&person(), task.id).await;
                    enqueued.map_err(|error| said("enqueue", &error))?;
                    // One that was put aside before it was approved wants that still.
                    let _ = tasks.approve(&person(), task.id).await;
                }
            }
        }
    }
    Ok(())
}
