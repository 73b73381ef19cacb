//! The heartbeats of ten thousand live leases, beside creations at full speed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dormouse_engine::run::{Claimed, Next};
use dormouse_engine::{AgentName, Tenant};
use dormouse_tests::measure::{Figure, Samples, Target};
use futures::stream::{self, StreamExt};
use tokio::time::Instant;

use crate::Context;
use crate::house::{self, House};

const LEASES: usize = 10_000;
const AT_ONCE: usize = 256;
/// A third of a lease's time to live, in milliseconds.
const THIRD_MS: f64 = 30_000.0;

pub(crate) async fn run(context: &Context) -> Vec<Figure> {
    let leases = context.count(LEASES).max(100);
    let house = House::sled(&context.folder.join("heartbeats")).await;
    let tenant = house.tenant("acme").await;
    let most = u32::try_from(leases).expect("it is small");
    let agent = house::agents(&tenant, 1, most).await.remove(0);
    house::fill(&tenant, std::slice::from_ref(&agent), leases).await;
    let held = claim_all(&tenant, &agent, leases).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let flood = {
        let (is_over, other) = (Arc::clone(&is_over), house.tenant("busy").await);
        let busy = house::agents(&other, 1, 1).await;
        tokio::spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                house::fill(&other, &busy, 64).await;
            }
        })
    };
    let mut samples = Samples::default();
    for _ in 0..context.rounds {
        samples.push("p99", p99(&tenant, &held).await);
        samples.push("third", THIRD_MS);
        samples.push("second", 1_000.0);
    }
    is_over.store(true, Ordering::Relaxed);
    flood.await.expect("it does not panic");
    house.close().await;
    let figure = |against: &str, title: &str| Figure {
        name: format!("p99 of a heartbeat, {leases} live leases"),
        value: samples.of("p99"),
        unit: "ms",
        against: Some((title.to_owned(), samples.of(against))),
        target: Target::AtMost(1.0),
    };
    vec![
        figure("third", "a third of a lease's life"),
        figure("second", "1 s"),
    ]
}

async fn claim_all(tenant: &Tenant, agent: &AgentName, count: usize) -> Vec<Claimed> {
    let mut held = Vec::with_capacity(count);
    while held.len() < count {
        match tenant.runs.claim_next(&house::by(), agent, None).await {
            Ok(Next::Claimed(claimed)) => held.push(*claimed),
            other => unreachable!("there are ready ones: {other:?}"),
        }
    }
    held
}

/// Every lease is renewed once, as many at once as a process has under way.
async fn p99(tenant: &Tenant, held: &[Claimed]) -> f64 {
    let mut took: Vec<f64> = stream::iter(held)
        .map(|claimed| async move {
            let began = Instant::now();
            tenant.runs.heartbeat(claimed, None).await.expect("it is held");
            began.elapsed().as_secs_f64() * 1e3
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    took.sort_unstable_by(f64::total_cmp);
    took[(took.len() - 1) * 99 / 100]
}
