//! How fast what a worker prints is read, scrubbed and kept.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use dormouse_engine::command::CommandSpec;
use dormouse_secrets::{Expect, PutMeta, Secret, SecretCategory};
use dormouse_tests::measure::{Figure, Samples, Target};
use tokio::time::Instant;

use crate::Context;
use crate::bed::{Bed, by, sled};

const BYTES: usize = 256 * 1024 * 1024;
const SECRETS: usize = 100;

pub(crate) async fn run(context: &Context) -> Vec<Figure> {
    let folder = context.folder.join("output");
    let bed = Bed::over(sled(&folder.join("store")).await, &folder)
        .await
        .with_agent(1)
        .await;
    put_secrets(&bed).await;
    let bytes = context.count(BYTES).max(4 * 1024 * 1024);
    let file = folder.join("text");
    write_text(&file, bytes);
    let mut samples = Samples::default();
    for _ in 0..context.rounds {
        let (took, lost) = printed(&bed, &file).await;
        let rate = |seconds: f64| bytes as f64 / 1e6 / seconds;
        samples.push("worker", rate(took));
        samples.push("cat", rate(piped(&file)));
        samples.push("lost", lost as f64 / bytes as f64 * 100.0);
    }
    bed.close().await;
    vec![
        Figure {
            name: format!("printed by a worker, {SECRETS} secrets taken out"),
            value: samples.of("worker"),
            unit: "MB/s",
            against: Some(("cat through a pipe".to_owned(), samples.of("cat"))),
            target: Target::AtLeast(0.3),
        },
        Figure {
            name: "of it left out of the transcript, which keeps 8 MiB".to_owned(),
            value: samples.of("lost"),
            unit: "%",
            against: None,
            target: Target::None,
        },
    ]
}

async fn put_secrets(bed: &Bed) {
    let call = bed.tenant.credentials.call(&by());
    let enabled = bed.engine.vault().enable(&call, &*bed.key).await;
    enabled.expect("the store is new");
    for nth in 0..SECRETS {
        let at = format!("agent:night:TOKEN_{nth}").parse().expect("it is a place");
        let value = Secret::new(format!("wombat-{nth:04}-sleeps+9Zx").into_bytes());
        let secrets = bed.tenant.credentials.secrets();
        let (category, meta) = (SecretCategory::Tool, PutMeta::default());
        let put = secrets.put(&call, &at, &value, category, &meta, Expect::Any);
        put.await.expect("there is room");
    }
}

fn write_text(file: &Path, bytes: usize) {
    let line = b"a line of text as workers print them, sixty-three bytes long..\n";
    let text = line.iter().copied().cycle().take(bytes).collect::<Vec<u8>>();
    std::fs::write(file, text).expect("the disk has room");
}

/// Seconds from the claim to the end, and bytes that the transcript has not.
async fn printed(bed: &Bed, file: &Path) -> (f64, u64) {
    let command = CommandSpec {
        read: vec![file.to_owned()],
        ..CommandSpec::new(vec!["cat".to_owned(), file.display().to_string()])
    };
    let task = bed.task(Some(command)).await;
    let began = Instant::now();
    let run = bed
        .supervisor
        .start(&bed.tenant, &by(), task)
        .await
        .expect("it is ready");
    bed.supervisor.wait(run).await;
    let took = began.elapsed().as_secs_f64();
    let row = bed.tenant.runs.get(run).await.expect("it is there");
    let outcome = row.outcome.expect("it has ended");
    assert!(outcome.outcome.is_success(), "{outcome:?}");
    let lost = outcome.facts.as_ref().map_or(0, |facts| facts.elided_bytes);
    (took, lost)
}

fn piped(file: &Path) -> f64 {
    let began = Instant::now();
    let mut child = Command::new("cat")
        .arg(file)
        .stdout(Stdio::piped())
        .spawn()
        .expect("coreutils are there");
    let mut output = child.stdout.take().expect("it is a pipe");
    let mut bytes = vec![0; 64 * 1024];
    while output.read(&mut bytes).expect("the pipe can be read") > 0 {}
    child.wait().expect("it ends");
    began.elapsed().as_secs_f64()
}
