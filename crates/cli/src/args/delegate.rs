//! `delegate`.

use clap::Args;
use dormouse_engine::AgentName;
use dormouse_engine::task::{OnFailed, Priority};

use super::value;

/// `delegate`.
#[derive(Debug, Args)]
#[command(
    override_usage = "dormouse delegate [OPTIONS] AGENT --title TEXT\n       dormouse delegate --result TASK"
)]
pub struct Delegate {
    /// Whom: an agent that this run's own may give tasks to, or its own
    #[arg(value_name = "AGENT", required_unless_present = "result", requires = "title")]
    pub agent: Option<AgentName>,
    /// What it is called
    #[arg(short, long, value_name = "TEXT")]
    pub title: Option<String>,
    /// What is to be done, in words: TEXT, @FILE, or - for stdin
    #[arg(long, value_name = "TEXT|@FILE|-")]
    pub prompt: Option<String>,
    /// How much it presses: critical, high, normal or low
    #[arg(long, value_name = "PRIORITY", value_parser = value::priority)]
    pub priority: Option<Priority>,
    /// A task that is to be done first, up to 64
    #[arg(long, value_name = "TASK", value_parser = value::task)]
    pub after: Vec<String>,
    /// What becomes of it when one of those is not done: fail, run or cancel
    #[arg(long, value_name = "WHAT", value_parser = value::on_failed, requires = "after")]
    pub on_failed: Option<OnFailed>,
    /// Wait until it has ended, and print what was said in the end
    #[arg(long)]
    pub wait: bool,
    /// Wait for the end of a task that was given away before, and take its result
    #[arg(long, value_name = "TASK", value_parser = value::task, conflicts_with_all = ["agent", "title", "prompt", "priority", "after", "wait"])]
    pub result: Option<String>,
}
