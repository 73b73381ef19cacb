//! `cargo xtask bench store`: durable commits a second beside what the same disk can do, in the same run.
//!
//! Every figure of a disk waits for `fdatasync` (or what the peer calls it): nothing here is faster by not flushing.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

mod figure;
mod figures;
mod load;
mod machine;
mod peers;
mod physical;
mod series;
mod suite;

use std::process::ExitCode;

fn main() -> ExitCode {
    let form = if std::env::args().any(|argument| argument == "--json") {
        figure::Form::Json
    } else {
        figure::Form::Table
    };
    // Below the target folder, and not in a temporary one: that may be memory.
    let folder = tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .expect("the target folder can be written");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime starts");
    let machine = machine::Machine::of(folder.path());
    figure::print_head(form, &machine);
    let samples = runtime.block_on(suite::run(folder.path()));
    figure::print(form, &figures::of(&samples));
    ExitCode::SUCCESS
}
