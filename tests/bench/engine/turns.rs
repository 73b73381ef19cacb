//! A hundred turns at once: how long each durable change takes its caller.

use std::time::Duration;

use dormouse_engine::run::Next;
use dormouse_engine::{AgentName, Tenant};
use dormouse_tests::measure::{Figure, Samples, Target};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::house::{self, House};
use crate::{Context, flushes};

const TURNS: usize = 100;
const OWNERS: usize = 8;
/// Turns one after the other of each.
const EACH: usize = 50;
/// Heartbeats within a turn: each is one durable change of the run's holder.
const BEATS: usize = 4;

pub(crate) async fn run(context: &Context) -> Vec<Figure> {
    let mut samples = Samples::default();
    let each = context.count(EACH).max(2);
    for round in 0..context.rounds {
        let flush = flushes::milliseconds(&context.folder);
        samples.push("flush", flush);
        samples.push("30 ms", 30.0);
        let sled = House::sled(&context.folder.join(format!("turns-{round}"))).await;
        note(&mut samples, "sled", turns(&sled, each).await);
        sled.close().await;
        if let Some(postgres) = House::postgres().await {
            note(&mut samples, "postgres", turns(&postgres, each).await);
            postgres.close().await;
        }
    }
    ["sled", "postgres"]
        .iter()
        .flat_map(|store| figures(&samples, store))
        .collect()
}

fn note(samples: &mut Samples, store: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    samples.push(format!("{store} p50"), at(0.5));
    samples.push(format!("{store} p99"), at(0.99));
}

fn figures(samples: &Samples, store: &str) -> Vec<Figure> {
    let p99 = samples.of(&format!("{store} p99"));
    if p99.is_empty() {
        return Vec::new();
    }
    let figure = |which: &str, against: &str, title: &str, target| Figure {
        name: format!("{store}, {which} of a durable change"),
        value: samples.of(&format!("{store} {which}")),
        unit: "ms",
        against: Some((title.to_owned(), samples.of(against))),
        target,
    };
    vec![
        figure("p99", "flush", "a bare flush", Target::AtMost(6.0)),
        figure("p99", "30 ms", "30 ms", Target::AtMost(1.0)),
        figure("p50", "flush", "a bare flush", Target::AtMost(2.0)),
    ]
}

/// How long each change took. None fails.
async fn turns(house: &House, each: usize) -> Vec<Duration> {
    let mut all = JoinSet::new();
    let mut owners = Vec::new();
    for owner in 0..OWNERS {
        let tenant = house.tenant(&format!("owner-{owner}")).await;
        let agents = house::agents(&tenant, TURNS.div_ceil(OWNERS), 1).await;
        owners.push((tenant, agents));
    }
    for turn in 0..TURNS {
        let (tenant, agents) = &owners[turn % OWNERS];
        let (tenant, agent) = (tenant.clone(), agents[turn / OWNERS].clone());
        all.spawn(async move { one(&tenant, &agent, each).await });
    }
    all.join_all().await.into_iter().flatten().collect()
}

async fn one(tenant: &Tenant, agent: &AgentName, each: usize) -> Vec<Duration> {
    let mut took = Vec::new();
    for _ in 0..each {
        let began = Instant::now();
        house::task(tenant, agent).await;
        took.push(began.elapsed());
        let began = Instant::now();
        let claimed = match tenant.runs.claim_next(&house::by(), agent, None).await {
            Ok(Next::Claimed(claimed)) => claimed,
            other => unreachable!("its one task is ready: {other:?}"),
        };
        took.push(began.elapsed());
        for _ in 0..BEATS {
            let began = Instant::now();
            tenant.runs.heartbeat(&claimed, None).await.expect("it is held");
            took.push(began.elapsed());
        }
        let began = Instant::now();
        house::finish(tenant, &claimed).await;
        took.push(began.elapsed());
    }
    took
}
