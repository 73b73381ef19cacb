//! Workers: honest ones, and ones that crash, stall and lie.

use std::collections::BTreeMap;
use std::sync::Arc;

use dormouse_engine::outcome::{Facts, FailReason, Outcome, PartialCause, ResourceUsage};
use dormouse_engine::run::{ClaimOptions, Claimed, OutcomeKind, Started};
use dormouse_engine::step::{Effect, Failure, StepContext, StepFault};
use dormouse_engine::supervisor::RunEnd;
use dormouse_engine::task::TaskFilter;
use dormouse_engine::{CommandError, TaskId, Tenant};
use dormouse_secrets::Scrubbed;
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::task::JoinSet;
use tokio::time::{Duration, sleep};

use crate::process::Process;
use crate::spender::spends;
use crate::world::{TENANTS, World, one_of, pause, person};

/// How honest workers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Honesty {
    /// They crash, stall and lie.
    None = 0,
    /// They do what they are to.
    Full = 1,
}

/// What a worker does with a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Works, beats, and says how it went.
    Works,
    /// A future with steps.
    Drives,
    /// Its whole process is gone in the middle.
    Crashes,
    /// Beats no more, and says in the end how it went.
    Stalls,
    /// Goes away without a word; its process lives.
    Forgets,
    /// Says how it went, and then something else.
    Lies,
}

/// Spawns a worker of a machine.
pub(crate) fn spawn(
    actors: &mut JoinSet<()>,
    world: &Arc<World>,
    number: usize,
    mut random: StdRng,
    honesty: Honesty,
) {
    let world = Arc::clone(world);
    actors.spawn(async move {
        let process = &world.processes[number];
        // Ends with the world.
        loop {
            pause(&mut random, Duration::from_secs(10)).await;
            let tenant = one_of(&mut random, TENANTS);
            process
                .alive(work(&world, process, tenant, &mut random, honesty))
                .await;
        }
    });
}

async fn work(world: &Arc<World>, process: &Process, number: usize, random: &mut StdRng, honesty: Honesty) {
    let tenant = process.tenant(number).await;
    let Some(claimed) = claim(world, number, &tenant, random).await else {
        return;
    };
    let manner = match honesty {
        Honesty::Full => [Manner::Works, Manner::Drives][one_of(random, 2)],
        Honesty::None => match random.random_range(0..20) {
            0 => Manner::Crashes,
            1 => Manner::Stalls,
            2 => Manner::Forgets,
            3 => Manner::Lies,
            4..=11 => Manner::Drives,
            _ => Manner::Works,
        },
    };
    match manner {
        Manner::Works => works(world, &tenant, &claimed, random).await,
        Manner::Drives => drives(world, &tenant, claimed, random).await,
        Manner::Crashes => {
            pause(random, Duration::from_secs(30)).await;
            world.ledger.did("crash");
            process.crash();
            // Nothing of this process goes on.
            std::future::pending::<()>().await;
        }
        Manner::Stalls => {
            sleep(Duration::from_secs(random.random_range(60..300))).await;
            world.ledger.did("stall");
            let outcome = outcome(random);
            finishes(world, &tenant, &claimed, &outcome).await;
        }
        Manner::Forgets => {
            // Its own process cannot tell it from one that works; the others find its lease expired.
            world.ledger.did("forget");
        }
        Manner::Lies => lies(world, &tenant, &claimed, random).await,
    }
}

/// Claims some ready task. Its answer may be lost: then nobody works, and the lease lapses.
async fn claim(world: &World, number: usize, tenant: &Tenant, random: &mut StdRng) -> Option<Claimed> {
    let filter = TaskFilter {
        state: Some("ready".to_owned()),
        ..TaskFilter::default()
    };
    let page = tenant.tasks.list(&filter, None, 100).await.ok()?;
    if page.rows.is_empty() {
        return None;
    }
    let task = page.rows[one_of(random, page.rows.len())].id;
    let claimed = tenant.runs.claim(&person(), task, ClaimOptions::default()).await;
    let claimed = match claimed {
        Ok(claimed) => claimed,
        Err(CommandError::Rejected { .. }) => {
            world.ledger.did("lost race");
            return None;
        }
        Err(CommandError::LimitExceeded(_)) => {
            world.ledger.did("full");
            return None;
        }
        Err(_) => return None,
    };
    world.ledger.did("claim");
    let former = world.ledger.lock().claimed.insert(claimed.run.id, (number, task));
    if former.is_some() && claimed.run.spawn == 1 {
        world
            .ledger
            .wrong(format!("{} was claimed twice", claimed.run.id));
    }
    Some(claimed)
}

/// Works for a while, beats, and says how it went.
async fn works(world: &World, tenant: &Tenant, claimed: &Claimed, random: &mut StdRng) {
    let Ok(started) = tenant.runs.started(claimed, None).await else {
        // Whether it may go is not known, so it does not: the lease lapses.
        world.ledger.did("unstarted");
        return;
    };
    if let Started::Stop(reason) = started {
        return finishes(world, tenant, claimed, &reason.outcome()).await;
    }
    spends(world, tenant, claimed, random).await;
    let mut left = random.random_range(1..200_u64);
    while left > 0 {
        let step = left.min(20);
        sleep(Duration::from_secs(step)).await;
        left -= step;
        match tenant.runs.heartbeat(claimed, None).await {
            Ok(pulse) => {
                if let Some(reason) = pulse.stop {
                    world.ledger.did("stopped");
                    return finishes(world, tenant, claimed, &reason.outcome()).await;
                }
            }
            Err(CommandError::Fenced { .. } | CommandError::LeaseExpired { .. }) => {
                world.ledger.did("fenced");
                return;
            }
            Err(_) => {}
        }
        if claimed.guard.must_stop() {
            world.ledger.did("self stop");
            break;
        }
    }
    let outcome = outcome(random);
    finishes(world, tenant, claimed, &outcome).await;
}

/// Says how it went, again while the answer is lost, as long as the lease lives.
async fn finishes(world: &World, tenant: &Tenant, claimed: &Claimed, outcome: &Outcome) {
    // Ends when it is known, or with the lease.
    loop {
        match tenant.runs.finish(claimed, outcome, &facts()).await {
            Ok(finished) => {
                world.ledger.did("finish");
                let kind = OutcomeKind::of(&finished.outcome.outcome);
                let former = world.ledger.lock().finished.insert(claimed.run.id, kind);
                if former.is_some_and(|former| former != kind) {
                    world.ledger.wrong(format!("{} ended twice", claimed.run.id));
                }
                return;
            }
            Err(error) if may_pass(&error) && !claimed.guard.left().is_zero() => {
                sleep(Duration::from_secs(1)).await;
            }
            Err(_) => {
                world.ledger.did("unfinished");
                return;
            }
        }
    }
}

/// Says two things: only the first of them stands, and nothing it says later changes anything.
async fn lies(world: &World, tenant: &Tenant, claimed: &Claimed, random: &mut StdRng) {
    sleep(Duration::from_secs(random.random_range(1..60))).await;
    finishes(world, tenant, claimed, &Outcome::Success { text: None }).await;
    let known = world.ledger.lock().finished.contains_key(&claimed.run.id);
    if !known {
        return;
    }
    let second = failed(true);
    if let Ok(finished) = tenant.runs.finish(claimed, &second, &facts()).await
        && finished.outcome.outcome == second
    {
        world
            .ledger
            .wrong(format!("{} took a second outcome", claimed.run.id));
    }
    if tenant.runs.heartbeat(claimed, None).await.is_ok() {
        world
            .ledger
            .wrong(format!("{} was renewed after its end", claimed.run.id));
    }
    world.ledger.did("lie");
}

/// A future with steps, of which one has an effect that must not happen twice.
async fn drives(world: &Arc<World>, tenant: &Tenant, claimed: Claimed, random: &mut StdRng) {
    let (run, task) = (claimed.run.id, claimed.task.id);
    let plan: Vec<u32> = (0..4).map(|_| random.random_range(0..100)).collect();
    let naps: Vec<u64> = (0..4).map(|_| random.random_range(0..30)).collect();
    let shared = Arc::clone(world);
    let end = tenant
        .runs
        .drive(claimed, move |steps| steps_of(shared, steps, task, plan, naps))
        .await;
    match end {
        RunEnd::Recorded(finished) => {
            world.ledger.did("driven");
            let kind = OutcomeKind::of(&finished.outcome.outcome);
            world.ledger.lock().finished.insert(run, kind);
        }
        RunEnd::Parked(_) => world.ledger.did("parked"),
        RunEnd::Unrecorded => {
            world.ledger.did("unrecorded");
        }
    }
}

async fn steps_of(
    world: Arc<World>,
    steps: StepContext,
    task: TaskId,
    plan: Vec<u32>,
    naps: Vec<u64>,
) -> Result<(), Failure> {
    for (nth, (chance, nap)) in plan.into_iter().zip(naps).enumerate() {
        let name = format!("step-{nth}");
        let effect = Effect::ALL[nth % 3];
        let (shared, told) = (Arc::clone(&world), (task, name.clone()));
        let effect_of = told.clone();
        let _: u64 = steps
            .step(&name, &nth, effect, move |_| async move {
                sleep(Duration::from_secs(nap)).await;
                match chance {
                    0..5 => return Err(StepFault::NotDone("nobody there".to_owned())),
                    5..7 => return Err(StepFault::Permanent("never".to_owned())),
                    _ => {}
                }
                shared.ledger.happens(&effect_of);
                match chance {
                    7..10 => Err(StepFault::Unknown("no answer".to_owned())),
                    _ => Ok(nth as u64),
                }
            })
            .await?;
        world.ledger.lock().done.insert(told);
        world.ledger.did("step");
        sleep(Duration::from_secs(nap)).await;
    }
    Ok(())
}

fn outcome(random: &mut StdRng) -> Outcome {
    match random.random_range(0..20) {
        0..3 => failed(false),
        3 => failed(true),
        4 => Outcome::Partial {
            cause: PartialCause::Declared,
            text: None,
        },
        _ => Outcome::Success { text: None },
    }
}

fn failed(permanent: bool) -> Outcome {
    Outcome::Failed {
        reason: FailReason::Worker,
        permanent,
        retry_at: None,
        message: Scrubbed::constant("no"),
        hint: None,
    }
}

fn may_pass(error: &CommandError) -> bool {
    error.is_congestion() || matches!(error, CommandError::Indeterminate { .. })
}

fn facts() -> Facts {
    Facts {
        exit: None,
        usage: ResourceUsage::default(),
        clock_ms: 1,
        spawns: 0,
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
