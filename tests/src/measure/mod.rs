//! What the benches of the whole share: figures beside what they are held against, as tables for people and lines for tools.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "benches are command line programs"
)]

mod arguments;
mod bench;
mod context;
mod figure;
mod machine;
mod plot;
mod report;
mod samples;
mod series;

pub use arguments::Arguments;
pub use bench::{Bench, runtime};
pub use context::Context;
pub use figure::{Figure, Form, Target};
pub use machine::Machine;
pub use report::Report;
pub use samples::Samples;
pub use series::Series;

/// A part of a run, chosen by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heading {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What stands above its table.
    pub title: &'static str,
}
