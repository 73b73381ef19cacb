//! `cargo xtask bench store [SECTION…]`: the record store beside what the same machine can do, in the same run.
//!
//! Every figure of a disk waits for `fdatasync` (or what the peer calls it): nothing here is faster by not flushing.
//! What is compared is measured in turns, round by round, so that a machine that is slow for a while is slow for both.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

mod bare_log;
mod child;
mod commit_figures;
mod commits;
mod context;
mod disk;
mod files;
mod fill;
mod hints;
mod lanes;
mod load;
mod million;
mod peers;
mod pgbench;
mod physical;
mod portable;
mod postgres;
mod reads;

use std::path::Path;
use std::process::ExitCode;

use dormouse_tests::measure::{self, Arguments, Bench, Figure, Heading};

use crate::context::{Context, Section};
use crate::disk::Disk;

const BENCH: Bench = Bench {
    name: "store",
    legend: "records of 300 B; ",
    target_tmpdir: env!("CARGO_TARGET_TMPDIR"),
    sections: &Section::HEADINGS,
};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some((_, task)) = words.split_first().filter(|(first, _)| *first == "--child") {
        measure::runtime().block_on(child::run(task));
        return ExitCode::SUCCESS;
    }
    BENCH.run(&words, physical::flushes, section)
}

async fn section(folder: &Path, asked: &Arguments, heading: Heading) -> Vec<Figure> {
    let context = Context {
        folder: folder.to_owned(),
        rounds: asked.rounds(),
        is_quick: asked.is_quick,
    };
    match Section::of(heading) {
        Section::Own => commits::run(&context, Disk::Own).await,
        Section::Slow => commits::run(&context, Disk::Slow).await,
        Section::Lanes => lanes::run(&context).await,
        Section::Reads => reads::run(&context).await,
        Section::Million => million::run(&context).await,
        Section::Postgres => postgres::run(&context).await,
        Section::Hints => hints::run(&context).await,
        Section::Portable => portable::run(&context).await,
        Section::Files => files::run(&context).await,
    }
}
