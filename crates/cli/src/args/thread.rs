//! `thread …`.

use clap::{Args, Subcommand, ValueEnum};
use dormouse_engine::AgentName;
use dormouse_engine::idempotency::ClientKey;

use super::{Page, Surroundings, help, value};

/// `thread …`.
#[derive(Debug, Subcommand)]
pub enum Thread {
    /// Begin a thread with an agent
    #[command(after_help = help::thread_add())]
    Add {
        /// With whom
        #[arg(short, long, value_name = "NAME")]
        agent: AgentName,
        /// Done once under this key, however often it is asked
        #[arg(long, value_name = "KEY", value_parser = value::key)]
        key: Option<ClientKey>,
    },
    /// List threads, the latest activity first
    #[command(after_help = help::thread_list())]
    List {
        /// Only those with this agent
        #[arg(long, value_name = "NAME")]
        agent: Option<AgentName>,
        /// Which page.
        #[command(flatten)]
        page: Page,
    },
    /// Show one thread: who is at it, what waits, and its last messages
    #[command(after_help = help::thread_show())]
    Show {
        /// The thread, or the first 8 digits of its id or more
        #[arg(value_name = "THREAD", value_parser = value::thread)]
        id: String,
        /// So many of its last messages
        #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(0..=1000))]
        last: u16,
    },
    /// Say something to the agent of a thread; its turn becomes a task
    #[command(after_help = help::thread_post())]
    Post(Box<ThreadPost>),
    /// Print every message of a thread, whole, one JSON object a line
    #[command(after_help = help::thread_export())]
    Export {
        /// The thread
        #[arg(value_name = "THREAD", value_parser = value::thread)]
        id: String,
    },
    /// Take away what a message says, for good; summaries that tell of it go with it
    #[command(after_help = help::thread_redact())]
    Redact {
        /// The thread
        #[arg(value_name = "THREAD", value_parser = value::thread)]
        id: String,
        /// The message: its sequence, or its id
        #[arg(value_name = "MESSAGE", value_parser = value::message)]
        message: String,
        /// It is meant: do not ask for the message to be typed
        #[arg(short, long)]
        yes: bool,
    },
    /// Take no more messages; what is there stays
    #[command(after_help = help::thread_close())]
    Close {
        /// The thread
        #[arg(value_name = "THREAD", value_parser = value::thread)]
        id: String,
    },
    /// Delete a thread and all of its messages, for good
    #[command(after_help = help::thread_delete())]
    Delete {
        /// The thread
        #[arg(value_name = "THREAD", value_parser = value::thread)]
        id: String,
        /// It is meant: do not ask for its id to be typed
        #[arg(short, long)]
        yes: bool,
    },
}

/// `thread post`.
#[derive(Debug, Args)]
pub struct ThreadPost {
    /// The thread, or the first 8 digits of its id or more
    #[arg(value_name = "THREAD", value_parser = value::thread)]
    pub id: String,
    /// What is said; - reads it from stdin
    #[arg(value_name = "TEXT|-")]
    pub text: String,
    /// What becomes of it while a run is at the thread
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    pub when_busy: WhenBusy,
    /// Done once under this key, however often it is asked
    #[arg(long, value_name = "KEY", value_parser = value::key)]
    pub key: Option<ClientKey>,
    /// Clocks and surroundings of the worker.
    #[command(flatten)]
    pub surroundings: Surroundings,
    /// The command that does its turn, and its arguments; no shell is added
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// What becomes of a message while a run is at its thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum WhenBusy {
    /// It waits for its turn.
    #[default]
    Queue,
    /// It is refused, and nothing is written.
    Refuse,
    /// It is kept as one that was not taken up.
    Reject,
}

impl WhenBusy {
    /// The API's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Refuse => "refuse",
            Self::Reject => "reject",
        }
    }
}
