//! One-step tasks a second: added, claimed and done by one process with 32 workers, beside what other queues do with as many.

use dormouse_tests::measure::{Figure, Samples, Target};
use tokio::time::Instant;

use crate::doer::Doer;
use crate::house::{self, House};
use crate::{Context, flushes, peers};

const COUNT: usize = 4_000;
const WORKERS: usize = 32;
const AGENTS: usize = 8;
/// What adds tasks at once.
const ADDERS: usize = 64;

/// A peer, and how it is told to work.
const PEERS: [(&str, &str); 4] = [
    ("graphile-worker (npm)", "one"),
    ("graphile-worker (npm)", "batched"),
    ("the crate graphile_worker", "one"),
    ("the crate graphile_worker", "batched"),
];

pub(crate) async fn run(context: &Context) -> Vec<Figure> {
    let mut samples = Samples::default();
    let count = context.count(COUNT).max(100);
    for round in 0..context.rounds {
        let sled = House::sled(&context.folder.join(format!("tasks-{round}"))).await;
        samples.push("sled", rate(&sled, count).await);
        sled.close().await;
        samples.push("flushes", flushes::a_second(&context.folder));
        let data = context.folder.join(format!("restate-{round}"));
        note(&mut samples, "restate", move || {
            peers::restate(&data, count, ADDERS)
        })
        .await;
        if let Some(postgres) = House::postgres().await {
            samples.push("postgres", rate(&postgres, count).await);
            postgres.close().await;
        }
        for (peer, how) in PEERS {
            let measure = move || match peer {
                "graphile-worker (npm)" => peers::graphile_node(count, WORKERS, how),
                _ => peers::graphile_rust(count, WORKERS, how),
            };
            note(&mut samples, &format!("{peer}, {how}"), measure).await;
        }
    }
    figures(&samples)
}

/// Measures a peer on a thread that may block.
async fn note(samples: &mut Samples, name: &str, measure: impl FnOnce() -> Option<f64> + Send + 'static) {
    let measured = tokio::task::spawn_blocking(measure)
        .await
        .expect("it does not panic");
    if let Some(rate) = measured {
        samples.push(name, rate);
    }
}

fn figures(samples: &Samples) -> Vec<Figure> {
    let figure = |store: &str, against: &str, target| Figure {
        name: format!("{store}, {WORKERS} workers"),
        value: samples.of(store),
        unit: "tasks/s",
        against: Some((against.to_owned(), samples.of(against))),
        target,
    };
    let is_there = |name: &str| !samples.of(name).is_empty();
    let mut figures = vec![figure("sled", "flushes", Target::None)];
    if is_there("restate") {
        figures.push(figure("sled", "restate", Target::AtLeast(5.0)));
    }
    if !is_there("postgres") {
        return figures;
    }
    let peers = PEERS.map(|(peer, how)| format!("{peer}, {how}"));
    let beside = peers.iter().filter(|peer| is_there(peer));
    figures.extend(beside.map(|peer| figure("postgres", peer, Target::AtLeast(1.0))));
    if figures.iter().all(|figure| !figure.name.starts_with("postgres")) {
        let alone = samples.of("postgres");
        figures.push(Figure::alone(
            format!("postgres, {WORKERS} workers"),
            alone,
            "tasks/s",
        ));
    }
    figures
}

/// Tasks a second, from the first that is added to the end of the last.
async fn rate(house: &House, count: usize) -> f64 {
    let tenant = house.tenant("acme").await;
    let share = u32::try_from(WORKERS / AGENTS).expect("it is small");
    let agents = house::agents(&tenant, AGENTS, share).await;
    let doer = Doer::new();
    let serving = doer.serve(&house.engine, WORKERS);
    let start = Instant::now();
    house::fill(&tenant, &agents, count).await;
    doer.did(count).await;
    let took = start.elapsed().as_secs_f64();
    serving.end().await;
    count as f64 / took
}
