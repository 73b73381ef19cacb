//! What supervision adds to the start and the end of a process.

use std::process::{Command, Stdio};

use dormouse_engine::command::CommandSpec;
use dormouse_engine::run::ClaimOptions;
use dormouse_tests::measure::{Figure, Samples, Target};
use tokio::time::Instant;

use crate::Context;
use crate::bed::{Bed, at, by, sled};

/// In a round, each.
const COUNT: usize = 100;

pub(crate) async fn run(context: &Context) -> Vec<Figure> {
    let folder = context.folder.join("spawns");
    let bed = Bed::over(sled(&folder.join("store")).await, &folder)
        .await
        .with_agent(1)
        .await;
    let count = context.count(COUNT).max(10);
    let mut samples = Samples::default();
    for _ in 0..context.rounds {
        let (mut whole, mut commits, mut bare) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..count {
            whole.push(supervised(&bed).await);
            commits.push(committed(&bed).await);
            bare.push(timed_out());
        }
        let [whole, commits, bare] = [whole, commits, bare].map(|mut took| at(&mut took, 0.5));
        samples.push("whole", whole);
        samples.push("commits", commits);
        samples.push("beside", (whole - commits).max(0.0));
        samples.push("bare", bare);
    }
    bed.close().await;
    let against = || Some(("timeout 10 true".to_owned(), samples.of("bare")));
    let figure = |name: &str, of: &str, against, target| Figure {
        name: name.to_owned(),
        value: samples.of(of),
        unit: "ms",
        against,
        target,
    };
    vec![
        figure(
            "supervised, its commits left out, p50",
            "beside",
            against(),
            Target::AtMost(2.0),
        ),
        figure(
            "supervised, durable records included, p50",
            "whole",
            against(),
            Target::None,
        ),
        figure("the commits that it makes, p50", "commits", None, Target::None),
    ]
}

/// From the claim to the durable end.
async fn supervised(bed: &Bed) -> f64 {
    let task = bed.task(Some(CommandSpec::new(vec!["true".to_owned()]))).await;
    let began = Instant::now();
    let run = bed.supervisor.start(&bed.tenant, &by(), task).await;
    bed.supervisor.wait(run.expect("it is ready")).await;
    began.elapsed().as_secs_f64() * 1e3
}

/// The same commits without a process: claim, begin, end.
async fn committed(bed: &Bed) -> f64 {
    let task = bed.task(None).await;
    let began = Instant::now();
    let runs = &bed.tenant.runs;
    let claimed = runs.claim(&by(), task, ClaimOptions::default()).await;
    let end = runs.drive(claimed.expect("it is ready"), async |_| Ok(())).await;
    let took = began.elapsed().as_secs_f64() * 1e3;
    assert!(
        matches!(end, dormouse_engine::supervisor::RunEnd::Recorded(_)),
        "{end:?}"
    );
    took
}

fn timed_out() -> f64 {
    let began = Instant::now();
    let mut command = Command::new("timeout");
    command
        .args(["10", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let status = command.status().expect("coreutils are there");
    assert!(status.success());
    began.elapsed().as_secs_f64() * 1e3
}
