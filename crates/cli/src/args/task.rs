//! `task …`.

use std::time::Duration;

use clap::{Args, Subcommand};
use dormouse_engine::AgentName;
use dormouse_engine::idempotency::ClientKey;
use dormouse_engine::task::{OnFailed, Priority};
use jiff::Timestamp;

use super::{Page, Surroundings, help, value};

/// `task …`.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Add a task: a command to run, or a prompt for whoever does it
    #[command(after_help = help::task_add())]
    Add(Box<TaskAdd>),
    /// List tasks
    #[command(after_help = help::task_list())]
    List {
        /// Only those of this agent
        #[arg(long, value_name = "NAME")]
        agent: Option<AgentName>,
        /// Only those that this agent made
        #[arg(long, value_name = "NAME", conflicts_with = "agent")]
        owner: Option<AgentName>,
        /// Only those that this task gave away
        #[arg(long, value_name = "TASK", value_parser = value::task, conflicts_with_all = ["agent", "owner"])]
        parent: Option<String>,
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
        /// The task: its number, its id, or the first 8 digits of its id or more
        #[arg(value_name = "TASK", value_parser = value::task)]
        id: String,
    },
    /// Wait until tasks have ended, and say how: the exit code is of the first that was not done
    #[command(after_help = help::task_wait())]
    Wait {
        /// The tasks
        #[arg(value_name = "TASK", value_parser = value::task, required = true)]
        ids: Vec<String>,
    },
    /// Approve a task that waits for it
    #[command(after_help = help::task_approve())]
    Approve {
        /// The task
        #[arg(value_name = "TASK", value_parser = value::task)]
        id: String,
    },
    /// Refuse a task that waits for approval: it is cancelled
    #[command(after_help = help::task_refuse())]
    Refuse {
        /// The task
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
        /// Do its steps again too, also those whose results are kept
        #[arg(long)]
        fresh: bool,
    },
    /// Change what is said of a task, or whose it is
    #[command(after_help = help::task_set())]
    Set(Box<TaskSet>),
    /// Put a task aside
    #[command(after_help = help::task_shelve())]
    Shelve {
        /// The task
        #[arg(value_name = "TASK", value_parser = value::task)]
        id: String,
    },
    /// Take a task up that was put aside, or that waits for a time
    #[command(after_help = help::task_enqueue())]
    Enqueue {
        /// The task
        #[arg(value_name = "TASK", value_parser = value::task)]
        id: String,
    },
    /// Delete a task: what is left is that its number was given
    #[command(after_help = help::task_delete())]
    Delete {
        /// The task
        #[arg(value_name = "TASK", value_parser = value::task)]
        id: String,
        /// It is meant: do not ask for its id to be typed
        #[arg(short, long)]
        yes: bool,
    },
}

/// `task add`.
#[derive(Debug, Args)]
pub struct TaskAdd {
    /// Whose task it is; an unknown agent is made
    #[arg(short, long, value_name = "NAME")]
    pub agent: AgentName,
    /// Refuse an unknown agent instead of making it
    #[arg(long)]
    pub no_create: bool,
    /// What it is called; the command if nothing is said
    #[arg(short, long, value_name = "TEXT", required_unless_present = "command")]
    pub title: Option<String>,
    /// Added once under this key, however often it is asked
    #[arg(long, value_name = "KEY", value_parser = value::key)]
    pub key: Option<ClientKey>,
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
    /// Somebody has to approve it first
    #[arg(long, conflicts_with = "backlog")]
    pub approval: bool,
    /// Put it aside at once
    #[arg(long)]
    pub backlog: bool,
    /// Not to be tried before this instant, as in 2026-03-01T12:00:00Z
    #[arg(long, value_name = "INSTANT", conflicts_with = "in_")]
    pub not_before: Option<Timestamp>,
    /// Not to be tried before so much time has passed, 1s to 90d
    #[arg(long = "in", id = "in_", value_name = "DURATION", value_parser = value::later)]
    pub in_: Option<Duration>,
    /// Clocks and surroundings of the worker.
    #[command(flatten)]
    pub surroundings: Surroundings,
    /// The command and its arguments; no shell is added
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `task set`.
#[derive(Debug, Args)]
pub struct TaskSet {
    /// The task
    #[arg(value_name = "TASK", value_parser = value::task)]
    pub id: String,
    /// What it is called
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,
    /// What is to be done, in words: TEXT, @FILE, or - for stdin
    #[arg(long, value_name = "TEXT|@FILE|-")]
    pub prompt: Option<String>,
    /// How much it presses: critical, high, normal or low
    #[arg(long, value_name = "PRIORITY", value_parser = value::priority)]
    pub priority: Option<Priority>,
    /// Not to be tried before this instant; any for no such instant
    #[arg(long, value_name = "INSTANT|any", value_parser = value::not_before)]
    pub not_before: Option<value::NotBefore>,
    /// A value of its metadata: KEY=VALUE, where VALUE is JSON or else text; an empty one removes it
    #[arg(long, value_name = "KEY=VALUE", value_parser = value::metadata)]
    pub metadata: Vec<value::Metadata>,
    /// A patch of its metadata by RFC 7396: a JSON object, @FILE, or - for stdin
    #[arg(long, value_name = "JSON|@FILE|-", conflicts_with = "metadata")]
    pub patch: Option<String>,
    /// Give it to this agent; by itself
    #[arg(long, value_name = "NAME", conflicts_with_all = ["title", "prompt", "priority", "not_before", "metadata", "patch"])]
    pub agent: Option<AgentName>,
}
