//! What agents cost that sleep.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dormouse_engine::agent::AgentConfig;
use dormouse_engine::supervisor::SystemOrphans;
use dormouse_engine::wake::WakeOptions;
use dormouse_filesystem::RecordStore;
use dormouse_filesystem::wrapper::Counted;
use dormouse_tests::measure::{Figure, Samples, Target};
use futures::stream::{self, StreamExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::Context;
use crate::bed::{Bed, by, sled};

const MANY: usize = 1_000_000;
const FEW: usize = 10_000;
const AT_ONCE: usize = 256;
const IDLE: Duration = Duration::from_secs(60);
const IDLE_QUICK: Duration = Duration::from_secs(5);

/// What a start and an idle while of so many agents came to.
struct Slept {
    /// Of it, until the store was open.
    opened_ms: f64,
    ready_ms: f64,
    resident_bytes: f64,
    operations: f64,
}

pub(crate) async fn run(context: &Context) -> Vec<Figure> {
    let few = context.count(FEW);
    let many = context.count(MANY);
    let folder = context.folder.join("sleepers");
    for (name, count) in [("few", few), ("many", many)] {
        fill(&folder.join(name), count).await;
    }
    let idle = if context.is_quick { IDLE_QUICK } else { IDLE };
    let mut samples = Samples::default();
    for _ in 0..context.rounds.min(3) {
        let least = slept(&folder.join("few"), idle).await;
        let most = slept(&folder.join("many"), idle).await;
        let grown = (most.resident_bytes - least.resident_bytes).max(0.0);
        samples.push("bytes", grown / (many - few) as f64);
        samples.push("few ready", least.ready_ms);
        samples.push("many ready", most.ready_ms);
        samples.push("few opened", least.opened_ms);
        samples.push("many opened", most.opened_ms);
        samples.push("operations", most.operations);
    }
    vec![
        Figure {
            name: format!("resident memory of an agent, of {many}"),
            value: samples.of("bytes"),
            unit: "B",
            against: None,
            target: Target::AtMost(1024.0),
        },
        Figure {
            name: format!("opened, recovered and served, {many} agents"),
            value: samples.of("many ready"),
            unit: "ms",
            against: Some((format!("{few} agents"), samples.of("few ready"))),
            target: Target::AtMost(1.5),
        },
        Figure {
            name: format!("opened, recovered and served, {many} agents"),
            value: samples.of("many ready"),
            unit: "ms",
            against: Some((
                "of it the bare open of the store".to_owned(),
                samples.of("many opened"),
            )),
            target: Target::AtMost(1.25),
        },
        Figure {
            name: format!("the bare open of the store of {many} agents"),
            value: samples.of("many opened"),
            unit: "ms",
            against: Some((format!("of {few} agents"), samples.of("few opened"))),
            target: Target::None,
        },
        Figure {
            name: format!("reads and writes of the store in an idle {} s", idle.as_secs()),
            value: samples.of("operations"),
            unit: "",
            against: None,
            target: Target::AtMost(0.0),
        },
    ]
}

async fn fill(folder: &Path, count: usize) {
    let bed = Bed::over(sled(&folder.join("store")).await, folder).await;
    let mut made = stream::iter(0..count)
        .map(|nth| {
            let agents = bed.tenant.agents.clone();
            async move {
                let name = format!("agent-{nth}").parse().expect("it is a name");
                let made = agents.create(&by(), &name, AgentConfig::default()).await;
                made.expect("it is new");
            }
        })
        .buffer_unordered(AT_ONCE);
    while made.next().await.is_some() {}
    drop(made);
    bed.close().await;
}

async fn slept(folder: &Path, idle: Duration) -> Slept {
    let before = resident_bytes();
    let began = Instant::now();
    let store = sled(&folder.join("store")).await;
    let opened_ms = began.elapsed().as_secs_f64() * 1e3;
    let counted = Arc::new(Counted::new(store));
    let bed = Bed::over(Arc::clone(&counted) as Arc<dyn RecordStore>, folder).await;
    bed.engine
        .recover(&SystemOrphans)
        .await
        .expect("the store can be read");
    let (leave, leaving) = watch::channel(false);
    let told = || {
        let mut leaving = leaving.clone();
        async move { drop(leaving.wait_for(|is_told| *is_told).await) }
    };
    let (due, wakes) = (bed.engine.clone(), bed.engine.clone());
    let (due_told, wakes_told) = (told(), told());
    let starter = Arc::new(bed.supervisor.clone());
    let due = tokio::spawn(async move { due.serve_due(due_told).await });
    let wakes = tokio::spawn(async move {
        wakes
            .serve_wakes(starter, WakeOptions::default(), wakes_told)
            .await;
    });
    let ready_ms = began.elapsed().as_secs_f64() * 1e3;
    // What is looked at once, at the start, is none of an idle while.
    sleep(Duration::from_secs(1)).await;
    let first = counted.counts().operations();
    sleep(idle).await;
    let operations = counted.counts().operations() - first;
    let resident_bytes = resident_bytes() - before;
    leave.send_replace(true);
    for served in [due, wakes] {
        served.await.expect("it does not panic");
    }
    bed.close().await;
    Slept {
        opened_ms,
        ready_ms,
        resident_bytes,
        operations: operations as f64,
    }
}

/// Of this process.
fn resident_bytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) * 1024.0
}
