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

use std::process::ExitCode;

use dormouse_tests::measure::{Arguments, Figure, Heading, Machine, Report};

use crate::context::{Context, Section};
use crate::disk::Disk;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime starts");
    if let Some((_, task)) = words.split_first().filter(|(first, _)| *first == "--child") {
        runtime.block_on(child::run(task));
        return ExitCode::SUCCESS;
    }
    match Arguments::parse(&words, &Section::ALL.map(Section::heading)) {
        Ok(asked) => runtime.block_on(run(&asked)),
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

async fn run(asked: &Arguments) {
    // Below the target folder, and not in a temporary one: that may be memory.
    let folder = tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .expect("the target folder can be written");
    let context = Context {
        folder: folder.path().to_owned(),
        rounds: asked.rounds(),
        is_quick: asked.is_quick,
    };
    let machine = Machine::of(folder.path(), physical::flushes(folder.path()));
    let mut report = Report::begin(machine, asked.form, context.rounds, "records of 300 B; ");
    for heading in &asked.sections {
        eprintln!("{}", heading.title);
        report.section(*heading, measure(&context, *heading).await);
    }
    report.keep("store", env!("CARGO_TARGET_TMPDIR"));
}

async fn measure(context: &Context, heading: Heading) -> Vec<Figure> {
    match Section::of(heading) {
        Section::Own => commits::run(context, Disk::Own).await,
        Section::Slow => commits::run(context, Disk::Slow).await,
        Section::Lanes => lanes::run(context).await,
        Section::Reads => reads::run(context).await,
        Section::Million => million::run(context).await,
        Section::Postgres => postgres::run(context).await,
        Section::Hints => hints::run(context).await,
        Section::Portable => portable::run(context).await,
        Section::Files => files::run(context).await,
    }
}
