//! `task …`.

use clap::{Args, Subcommand};
use dormouse_engine::AgentName;
use dormouse_engine::idempotency::ClientKey;

use super::{Page, Surroundings, help, value};

/// `task …`.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Add a task that runs a command
    #[command(after_help = help::task_add())]
    Add(TaskAdd),
    /// List tasks
    #[command(after_help = help::task_list())]
    List {
        /// Only those of this agent
        #[arg(long, value_name = "NAME")]
        agent: Option<AgentName>,
        /// Only those in this state
        #[arg(long, value_name = "STATE", value_parser = value::task_state)]
        state: Option<String>,
        /// Which page.
        #[command(flatten)]
        page: Page,
    },
    /// Show one task
    #[command(after_help = help::task_show())]
    Show {
        /// The task, or the first 8 digits of its id or more
        #[arg(value_name = "TASK", value_parser = value::task)]
        id: String,
    },
    /// Cancel a task, and the run that is at it
    #[command(after_help = help::task_cancel())]
    Cancel {
        /// The task
        #[arg(value_name = "TASK", value_parser = value::task)]
        id: String,
        /// Kill the worker at once, without grace
        #[arg(long)]
        kill: bool,
    },
    /// Make a task that ended badly ready again
    #[command(after_help = help::task_retry())]
    Retry {
        /// The task
        #[arg(value_name = "TASK", value_parser = value::task)]
        id: String,
    },
}

/// `task add`.
#[derive(Debug, Args)]
pub struct TaskAdd {
    /// Whose task it is
    #[arg(short, long, value_name = "NAME")]
    pub agent: AgentName,
    /// What it is called; the command if nothing is said
    #[arg(short, long, value_name = "TEXT")]
    pub title: Option<String>,
    /// Added once under this key, however often it is asked
    #[arg(long, value_name = "KEY", value_parser = value::key)]
    pub key: Option<ClientKey>,
    /// Clocks and surroundings of the worker.
    #[command(flatten)]
    pub surroundings: Surroundings,
    /// The command and its arguments; no shell is added
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}
