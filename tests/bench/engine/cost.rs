//! What an operation costs beside a thousand and beside a million tasks.

use dormouse_engine::run::Next;
use dormouse_engine::task::TaskFilter;
use dormouse_engine::{AgentName, Tenant};
use dormouse_tests::measure::{Figure, Samples, Target};
use tokio::time::Instant;

use crate::Context;
use crate::house::{self, House};

const FEW: usize = 1_000;
const MANY: usize = 1_000_000;
/// Of each operation in a round.
const COUNT: usize = 300;
const OPERATIONS: [&str; 4] = ["add", "claim", "finish", "list a page of 100"];

pub(crate) async fn run(context: &Context) -> Vec<Figure> {
    let many = context.count(MANY).max(FEW * 10);
    let mut beds = Vec::new();
    for (name, count) in [("few", FEW), ("many", many)] {
        let house = House::sled(&context.folder.join(name)).await;
        let tenant = house.tenant("acme").await;
        let agents = house::agents(&tenant, 8, 1_000).await;
        house::fill(&tenant, &agents, count).await;
        beds.push((name, house, tenant, agents));
    }
    let mut samples = Samples::default();
    for _ in 0..context.rounds {
        for (name, _, tenant, agents) in &beds {
            let medians = operations(tenant, &agents[0], context.count(COUNT).max(30)).await;
            for (operation, median) in OPERATIONS.iter().zip(medians) {
                samples.push(format!("{name} {operation}"), median);
            }
        }
    }
    for (_, house, ..) in beds {
        house.close().await;
    }
    let figure = |operation: &&str| Figure {
        name: format!("{operation}, p50 beside {many} tasks"),
        value: samples.of(&format!("many {operation}")),
        unit: "ms",
        against: Some((format!("beside {FEW}"), samples.of(&format!("few {operation}")))),
        target: Target::AtMost(1.25),
    };
    OPERATIONS.iter().map(figure).collect()
}

/// The median of each operation, in milliseconds.
async fn operations(tenant: &Tenant, agent: &AgentName, count: usize) -> [f64; 4] {
    let mut took: [Vec<f64>; 4] = Default::default();
    for _ in 0..count {
        let mut began = Instant::now();
        let mut lap = |at: usize| {
            took[at].push(began.elapsed().as_secs_f64() * 1e3);
            began = Instant::now();
        };
        house::task(tenant, agent).await;
        lap(0);
        let Ok(Next::Claimed(claimed)) = tenant.runs.claim_next(&house::by(), agent, None).await else {
            unreachable!("there are ready ones")
        };
        lap(1);
        house::finish(tenant, &claimed).await;
        lap(2);
        let listed = tenant.tasks.list(&TaskFilter::default(), None, 100).await;
        listed.expect("it can be read");
        lap(3);
    }
    took.map(|mut took| {
        took.sort_unstable_by(f64::total_cmp);
        took[took.len() / 2]
    })
}
