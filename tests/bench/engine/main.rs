//! `cargo xtask bench engine [SECTION…]`: tasks, runs and leases beside what the same disk and server can do, in the same run.
//!
//! Every commit waits for `fdatasync`, or for a server that syncs. What is compared is measured in turns, round by round.

#![allow(clippy::print_stderr, reason = "benches are command line programs")]

mod cost;
mod doer;
mod flushes;
mod heartbeats;
mod hot;
mod house;
mod peers;
mod stores;
mod tasks;
mod turns;

use std::path::Path;
use std::process::ExitCode;

use dormouse_tests::measure::{Arguments, Bench, Context, Figure, Heading};

const TASKS: Heading = Heading {
    name: "tasks",
    title: "One-step tasks: added, claimed, done",
};
const TURNS: Heading = Heading {
    name: "turns",
    title: "A hundred turns at once, of eight owners",
};
const COST: Heading = Heading {
    name: "cost",
    title: "An operation beside few and many tasks, on sled",
};
const HOT: Heading = Heading {
    name: "hot",
    title: "Another tenant beside a hot one",
};
const HEARTBEATS: Heading = Heading {
    name: "heartbeats",
    title: "Heartbeats of many live leases, on sled",
};

const BENCH: Bench = Bench {
    name: "engine",
    legend: "",
    target_tmpdir: env!("CARGO_TARGET_TMPDIR"),
    sections: &[TASKS, TURNS, COST, HOT, HEARTBEATS],
};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    BENCH.run(&words, flushes::a_second, section)
}

async fn section(folder: &Path, asked: &Arguments, heading: Heading) -> Vec<Figure> {
    let context = Context::new(folder, asked);
    match heading {
        TASKS => tasks::run(&context).await,
        TURNS => turns::run(&context).await,
        COST => cost::run(&context).await,
        HOT => hot::run(&context).await,
        _ => heartbeats::run(&context).await,
    }
}
