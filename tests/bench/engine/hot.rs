//! How long another tenant's changes take beside one that has much to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dormouse_engine::{AgentName, Tenant};
use dormouse_tests::measure::{Figure, Samples, Target};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Context;
use crate::house::{self, House};

/// What the hot tenant has under way at once.
const HOT: usize = 256;
const COUNT: usize = 2_000;

pub(crate) async fn run(context: &Context) -> Vec<Figure> {
    let mut samples = Samples::default();
    let count = context.count(COUNT).max(100);
    for round in 0..context.rounds {
        let sled = House::sled(&context.folder.join(format!("hot-{round}"))).await;
        measure(&mut samples, "sled", &sled, count).await;
        sled.close().await;
        if let Some(postgres) = House::postgres().await {
            measure(&mut samples, "postgres", &postgres, count).await;
            postgres.close().await;
        }
    }
    let figure = |store: &str| Figure {
        name: format!("{store}, p99 of an add beside {HOT} of a hot tenant's"),
        value: samples.of(&format!("{store} beside")),
        unit: "ms",
        against: Some(("alone".to_owned(), samples.of(&format!("{store} alone")))),
        target: Target::AtMost(2.0),
    };
    let stores = ["sled", "postgres"];
    let measured = stores
        .iter()
        .filter(|store| !samples.of(&format!("{store} alone")).is_empty());
    measured.map(|store| figure(store)).collect()
}

async fn measure(samples: &mut Samples, store: &str, house: &House, count: usize) {
    let (quiet, hot) = (house.tenant("quiet").await, house.tenant("hot").await);
    let agent = house::agents(&quiet, 1, 1).await.remove(0);
    let busy = house::agents(&hot, 8, 1).await;
    samples.push(format!("{store} alone"), p99(&quiet, &agent, count).await);
    let is_over = Arc::new(AtomicBool::new(false));
    let mut flood = JoinSet::new();
    for nth in 0..HOT {
        let (hot, agent, is_over) = (hot.clone(), busy[nth % busy.len()].clone(), Arc::clone(&is_over));
        flood.spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                house::task(&hot, &agent).await;
            }
        });
    }
    samples.push(format!("{store} beside"), p99(&quiet, &agent, count).await);
    is_over.store(true, Ordering::Relaxed);
    flood.join_all().await;
}

async fn p99(tenant: &Tenant, agent: &AgentName, count: usize) -> f64 {
    let mut took = Vec::with_capacity(count);
    for _ in 0..count {
        let began = Instant::now();
        house::task(tenant, agent).await;
        took.push(began.elapsed().as_secs_f64() * 1e3);
    }
    took.sort_unstable_by(f64::total_cmp);
    took[(took.len() - 1) * 99 / 100]
}
