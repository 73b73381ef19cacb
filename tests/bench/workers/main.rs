//! `cargo xtask bench workers [SECTION…]`: workers, wakes and sleeping agents beside what the same machine does without them.
//!
//! Every commit waits for `fdatasync`, or for a server that syncs. What is compared is measured in turns, round by round.

#![allow(clippy::print_stderr, reason = "benches are command line programs")]

mod bed;
mod detector;
mod output;
mod parsing;
mod sleepers;
mod spawns;
mod wakes;

#[path = "../engine/flushes.rs"]
mod flushes;
#[path = "../engine/stores.rs"]
mod stores;

use std::path::Path;
use std::process::ExitCode;

use dormouse_tests::measure::{Arguments, Bench, Context, Figure, Heading};

const SPAWN: Heading = Heading {
    name: "spawn",
    title: "From the claim of `true` to its durable end, on sled",
};
const OUTPUT: Heading = Heading {
    name: "output",
    title: "A worker that prints as fast as it can, with a hundred secrets",
};
const WAKES: Heading = Heading {
    name: "wakes",
    title: "From a task that is made to its claim",
};
const SLEEPERS: Heading = Heading {
    name: "sleepers",
    title: "Agents that sleep, on sled",
};
const STREAMS: Heading = Heading {
    name: "streams",
    title: "Reading the streams of providers",
};
const DETECTOR: Heading = Heading {
    name: "detector",
    title: "Block detection on the labelled pages of the engine's tests",
};

const BENCH: Bench = Bench {
    name: "workers",
    legend: "",
    target_tmpdir: env!("CARGO_TARGET_TMPDIR"),
    sections: &[SPAWN, OUTPUT, WAKES, SLEEPERS, STREAMS, DETECTOR],
};

fn main() -> ExitCode {
    // Its workers are kept by this executable too.
    dormouse_engine::worker::keeper::enter();
    let words: Vec<String> = std::env::args().skip(1).collect();
    BENCH.run(&words, flushes::a_second, section)
}

async fn section(folder: &Path, asked: &Arguments, heading: Heading) -> Vec<Figure> {
    let context = Context::new(folder, asked);
    match heading {
        SPAWN => spawns::run(&context).await,
        OUTPUT => output::run(&context).await,
        WAKES => wakes::run(&context).await,
        SLEEPERS => sleepers::run(&context).await,
        STREAMS => parsing::run(&context),
        _ => detector::run(),
    }
}
