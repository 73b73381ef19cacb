//! `serve`.

use std::time::Duration;

use clap::Args;

use super::value;

/// `serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// How long runs at work may go on after the first SIGTERM or Ctrl-C, before they are stopped
    #[arg(long, value_name = "DURATION", value_parser = value::drain, default_value = "30s")]
    pub drain: Duration,
    /// Most runs at work at once in this process; runs.instance_max if nothing is said
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub runs: Option<u32>,
}
