//! Jobs a second of the crate graphile_worker: added, run by so many at once, and gone from the table.
//!
//! Arguments: the server's url, jobs, workers, `one` or `batched`. Prints one number.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use graphile_worker::{IntoTaskHandlerResult, JobSpec, LocalQueueConfig, TaskHandler, WorkerContext, WorkerOptions};
use serde::{Deserialize, Serialize};

static DONE: AtomicUsize = AtomicUsize::new(0);
const AT_ONCE: usize = 64;
const BATCH: usize = 100;

#[derive(Clone, Deserialize, Serialize)]
struct One {}

impl TaskHandler for One {
    const IDENTIFIER: &'static str = "one";

    async fn run(self, _: WorkerContext) -> impl IntoTaskHandlerResult {
        DONE.fetch_add(1, Ordering::Relaxed);
        Ok::<(), String>(())
    }
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, count, workers, how] = &arguments[..] else {
        panic!("url, jobs, workers, how")
    };
    let count: usize = count.parse().expect("a number");
    let is_batched = how == "batched";
    let schema = format!("graphile_rs_{}", std::process::id());
    let mut options = WorkerOptions::default()
        .database_url(url)
        .schema(&schema)
        .max_pg_conn(40)
        .concurrency(workers.parse().expect("a number"))
        .poll_interval(Duration::from_millis(100))
        .define_job::<One>();
    if is_batched {
        options = options
            .local_queue(LocalQueueConfig::default().with_size(500))
            .complete_job_batch_delay(Duration::from_millis(1));
    }
    let worker = options.init().await.expect("the server answers");
    let utils = worker.create_utils();
    let worker = std::sync::Arc::new(worker);
    let running = tokio::spawn({
        let worker = std::sync::Arc::clone(&worker);
        async move { worker.run().await }
    });
    let began = Instant::now();
    if is_batched {
        for at in (0..count).step_by(BATCH) {
            let jobs: Vec<(One, JobSpec)> = (at..count.min(at + BATCH)).map(|_| (One {}, JobSpec::default())).collect();
            let jobs: Vec<(One, &JobSpec)> = jobs.iter().map(|(job, spec)| (job.clone(), spec)).collect();
            utils.add_jobs(&jobs).await.expect("they are added");
        }
    } else {
        let utils = std::sync::Arc::new(utils);
        let next = std::sync::Arc::new(AtomicUsize::new(0));
        let adders: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                let (utils, next) = (utils.clone(), next.clone());
                tokio::spawn(async move {
                    while next.fetch_add(1, Ordering::Relaxed) < count {
                        utils.add_job(One {}, JobSpec::default()).await.expect("it is added");
                    }
                })
            })
            .collect();
        for adder in adders {
            adder.await.expect("it does not panic");
        }
    }
    while DONE.load(Ordering::Relaxed) < count {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    println!("{}", count as f64 / began.elapsed().as_secs_f64());
    running.abort();
}
