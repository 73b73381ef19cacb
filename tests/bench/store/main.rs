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
mod figure;
mod files;
mod fill;
mod hints;
mod lanes;
mod load;
mod machine;
mod million;
mod peers;
mod pgbench;
mod physical;
mod plot;
mod portable;
mod postgres;
mod reads;
mod samples;
mod series;

use std::path::Path;
use std::process::ExitCode;

use crate::context::{Context, Section};
use crate::disk::Disk;
use crate::figure::{Figure, Form};
use crate::machine::Machine;

/// How often each thing is measured.
const ROUNDS: usize = 5;
const ROUNDS_QUICK: usize = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|it| it != "--bench").collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime starts");
    if let Some(("--child", task)) = arguments
        .split_first()
        .map(|(first, rest)| (first.as_str(), rest))
    {
        runtime.block_on(child::run(task));
        return ExitCode::SUCCESS;
    }
    let (options, names): (Vec<&str>, Vec<&str>) = arguments
        .iter()
        .map(String::as_str)
        .partition(|it| it.starts_with("--"));
    let Some(sections) = sections(&names) else {
        eprintln!(
            "error: sections are {}",
            Section::ALL.map(Section::name).join(", ")
        );
        return ExitCode::FAILURE;
    };
    let form = if options.contains(&"--json") {
        Form::Json
    } else {
        Form::Table
    };
    let is_quick = options.contains(&"--quick");
    // Below the target folder, and not in a temporary one: that may be memory.
    let folder = tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .expect("the target folder can be written");
    let context = Context {
        folder: folder.path().to_owned(),
        rounds: if is_quick { ROUNDS_QUICK } else { ROUNDS },
        is_quick,
    };
    let machine = Machine::of(&context);
    figure::print_head(form, &machine);
    let mut measured = Vec::new();
    for section in sections {
        eprintln!("{}", section.title());
        let figures = runtime.block_on(measure(&context, section));
        figure::print(form, section, &figures);
        measured.push((section, figures));
    }
    if form == Form::Table {
        println!("\n{}", figure::legend(context.rounds));
    }
    keep(&machine, &context, &measured);
    ExitCode::SUCCESS
}

fn sections(names: &[&str]) -> Option<Vec<Section>> {
    if names.is_empty() {
        return Some(Section::ALL.to_vec());
    }
    names.iter().map(|name| Section::parse(name)).collect()
}

async fn measure(context: &Context, section: Section) -> Vec<Figure> {
    match section {
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

/// The table and the plot of this run, beside the build.
fn keep(machine: &Machine, context: &Context, measured: &[(Section, Vec<Figure>)]) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("it is in the target folder")
        .join("bench");
    let tables: String = measured
        .iter()
        .map(|(section, figures)| figure::table(*section, figures))
        .collect();
    let table = format!("{machine}\n{tables}\n{}\n", figure::legend(context.rounds));
    let written = std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(folder.join("store.md"), table))
        .and_then(|()| std::fs::write(folder.join("store.svg"), plot::of(measured)));
    match written {
        Ok(()) => eprintln!("{0}/store.md and {0}/store.svg", folder.display()),
        Err(error) => eprintln!("error: {}: {error}", folder.display()),
    }
}
