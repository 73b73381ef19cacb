//! How soon a task that is made is claimed, by the process that made it and by another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use dormouse_engine::run::ClaimOptions;
use dormouse_engine::step::StepContext;
use dormouse_engine::wake::{Starter, WakeOptions};
use dormouse_engine::{CommandError, RunId, TaskId, Tenant};
use dormouse_tests::measure::{Figure, Samples, Target};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::Context;
use crate::bed::{Bed, at, by, schema, sled};

/// Tasks of a round, one after the other: each finds its agent asleep.
const COUNT: usize = 300;

/// Claims, says so, and ends what it claimed.
#[derive(Debug)]
struct Claims {
    told: mpsc::UnboundedSender<(TaskId, Instant)>,
    begun: Mutex<HashMap<TaskId, RunId>>,
}

#[async_trait]
impl Starter for Claims {
    async fn start(&self, tenant: &Tenant, task: TaskId) -> Result<RunId, CommandError> {
        let claimed = tenant.runs.claim(&by(), task, ClaimOptions::default()).await?;
        let run = claimed.run.id;
        let _ = self.told.send((task, Instant::now()));
        self.begun
            .lock()
            .expect("nobody panics with it")
            .insert(task, run);
        tenant.runs.drive(claimed, async |_: StepContext| Ok(())).await;
        Ok(run)
    }

    fn at_work(&self) -> usize {
        0
    }

    async fn fewer_than(&self, _most: usize) {}
}

pub(crate) async fn run(context: &Context) -> Vec<Figure> {
    let folder = context.folder.join("wakes");
    let count = context.count(COUNT).max(20);
    let mut samples = Samples::default();
    for round in 0..context.rounds {
        let store = sled(&folder.join(format!("sled-{round}"))).await;
        let bed = Bed::over(store, &folder).await.with_agent(8).await;
        let took = woken(&bed, &bed, count).await;
        note(&mut samples, "one", took);
        bed.close().await;
        if let Some((_schema, url, options)) = schema(16) {
            let open = async || {
                let store = url.open(&options).await.expect("the server answers");
                Bed::over(store, &folder).await
            };
            let (makes, claims) = (open().await.with_agent(8).await, open().await);
            let took = woken(&makes, &claims, count).await;
            note(&mut samples, "two", took);
            claims.close().await;
            makes.close().await;
        }
    }
    figures(&samples)
}

fn figures(samples: &Samples) -> Vec<Figure> {
    let figure = |name: &str, of: &str, share: &str, most| Figure {
        name: format!("{name}, {share}"),
        value: samples.of(&format!("{of} {share}")),
        unit: "ms",
        against: Some((
            format!("the commit that makes it, {share}"),
            samples.of(&format!("{of} commit {share}")),
        )),
        target: Target::AtMost(most),
    };
    let mut figures = vec![
        figure("committed to claimed, one process", "one", "p50", 2.0),
        figure("committed to claimed, one process", "one", "p99", 4.0),
    ];
    if !samples.of("two p99").is_empty() {
        let name = "committed to claimed, two of a PostgreSQL server";
        figures.push(figure(name, "two", "p99", 4.0));
    }
    figures
}

fn note(samples: &mut Samples, of: &str, took: [Vec<f64>; 2]) {
    let [mut claims, mut commits] = took;
    for (share, name) in [(0.5, "p50"), (0.99, "p99")] {
        samples.push(format!("{of} {name}"), at(&mut claims, share));
        samples.push(format!("{of} commit {name}"), at(&mut commits, share));
    }
}

/// Milliseconds from each commit to its claim, and of each commit.
async fn woken(makes: &Bed, claims: &Bed, count: usize) -> [Vec<f64>; 2] {
    let (told, mut claimed) = mpsc::unbounded_channel();
    let starter = Arc::new(Claims {
        told,
        begun: Mutex::default(),
    });
    let (leave, leaving) = oneshot::channel::<()>();
    let engine = claims.engine.clone();
    let served = tokio::spawn(async move {
        let leaving = async { drop(leaving.await) };
        engine.serve_wakes(starter, WakeOptions::default(), leaving).await;
    });
    let [mut after, mut commits] = [Vec::new(), Vec::new()];
    for _ in 0..count {
        let began = Instant::now();
        let task = makes.task(None).await;
        let made = Instant::now();
        commits.push(made.duration_since(began).as_secs_f64() * 1e3);
        let (of, at) = claimed.recv().await.expect("it is served");
        assert_eq!(of, task);
        // It may have been claimed before its maker was told.
        after.push(at.saturating_duration_since(made).as_secs_f64() * 1e3);
        asleep(makes).await;
    }
    leave.send(()).expect("it is served");
    served.await.expect("it does not panic");
    [after, commits]
}

/// Waits until its lane is left: the next task finds it asleep.
async fn asleep(bed: &Bed) {
    use dormouse_engine::wake::Wake;
    use dormouse_filesystem::Records;
    let rows = Records::<Wake>::new(bed.tenant.space());
    while rows
        .get(&crate::bed::agent())
        .await
        .expect("it can be read")
        .is_some()
    {
        tokio::task::yield_now().await;
    }
}
