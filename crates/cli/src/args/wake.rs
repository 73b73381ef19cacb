//! `wake …`.

use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use dormouse_engine::AgentName;
use dormouse_engine::idempotency::ClientKey;
use jiff::Timestamp;

use super::{Page, Surroundings, help, value};

/// `wake …`.
#[derive(Debug, Subcommand)]
pub enum Wake {
    /// List the timed wakes that wait, the next one first
    #[command(after_help = help::wake_list())]
    List {
        /// Only those of this agent
        #[arg(long, value_name = "NAME")]
        agent: Option<AgentName>,
        /// Which page.
        #[command(flatten)]
        page: Page,
    },
    /// Wake an agent at a time: a task of its is made then, once
    #[command(after_help = help::wake_add())]
    Add(Box<WakeAdd>),
    /// Call a timed wake off that waits: nothing becomes of it
    #[command(after_help = help::wake_cancel())]
    Cancel {
        /// The timed wake, or the first 8 digits of its id or more
        #[arg(value_name = "WAKE", value_parser = value::wake)]
        id: String,
    },
}

/// `wake add`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("when").args(["at", "in_"]).required(true)))]
pub struct WakeAdd {
    /// Whose task it becomes
    #[arg(short, long, value_name = "NAME")]
    pub agent: AgentName,
    /// When, as in 2026-03-01T12:00:00Z; up to 366 days ahead
    #[arg(long, value_name = "INSTANT")]
    pub at: Option<Timestamp>,
    /// In so much time, 1s to 90d
    #[arg(long = "in", id = "in_", value_name = "DURATION", value_parser = value::later)]
    pub in_: Option<Duration>,
    /// Why: what the task is called, and what is to be done; the command if nothing is said
    #[arg(long, value_name = "TEXT", required_unless_present = "command")]
    pub reason: Option<String>,
    /// Added once under this key, however often it is asked
    #[arg(long, value_name = "KEY", value_parser = value::key)]
    pub key: Option<ClientKey>,
    /// Clocks and surroundings of the worker.
    #[command(flatten)]
    pub surroundings: Surroundings,
    /// The command of the task, and its arguments; no shell is added
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}
