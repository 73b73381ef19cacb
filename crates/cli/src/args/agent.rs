//! `agent …`.

use clap::Subcommand;
use dormouse_engine::AgentName;

use super::{AgentSetting, Page, help, value};

/// `agent …`.
#[derive(Debug, Subcommand)]
pub enum Agent {
    /// Make an agent
    #[command(after_help = help::agent_add())]
    Add {
        /// Its name: a-z 0-9 _ - .
        #[arg(value_name = "NAME")]
        name: AgentName,
        /// What is set of it, as agent set takes it
        #[arg(value_name = "KEY=VALUE", value_parser = value::agent_setting)]
        settings: Vec<AgentSetting>,
    },
    /// List agents
    #[command(after_help = help::agent_list())]
    List {
        /// Which page.
        #[command(flatten)]
        page: Page,
    },
    /// Change what is set of an agent
    #[command(after_help = help::agent_set())]
    Set {
        /// Its name
        #[arg(value_name = "NAME")]
        name: AgentName,
        /// concurrency=N, delegates_to=AGENT,… (empty: nobody), secrets=NAME,… (empty: all it sees),
        /// scrub.formats=strict|own_only|off (empty: as the settings say),
        /// effects=opaque|repeatable|resumable (whether a lost run may be run again, or goes on; empty: as its kind has it),
        /// wall_clock=D, idle_timeout=D|off, stall_after=D|off, grace=D (empty: as the settings run.… say)
        #[arg(value_name = "KEY=VALUE", required = true, value_parser = value::agent_setting)]
        settings: Vec<AgentSetting>,
    },
    /// Let an agent claim nothing: its tasks wait, and what is at work ends by itself
    #[command(after_help = help::agent_pause())]
    Pause {
        /// Its name
        #[arg(value_name = "NAME")]
        name: AgentName,
        /// Stop what is at work too: it is ready again, unless nobody knows what it did
        #[arg(long)]
        stop_runs: bool,
        /// Why, for whoever looks
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Let a paused agent claim again
    #[command(after_help = help::agent_resume())]
    Resume {
        /// Its name
        #[arg(value_name = "NAME")]
        name: AgentName,
    },
    /// Have an agent looked at, as if something of its had become ready
    ///
    /// That it is queued is durable. A paused agent is not woken, and keeps its tasks.
    #[command(after_help = help::agent_wake())]
    Wake {
        /// Its name
        #[arg(value_name = "NAME")]
        name: AgentName,
    },
    /// Delete an agent: its tasks are cancelled, its gates and sessions end, its secrets are set aside
    #[command(after_help = help::agent_remove())]
    Remove {
        /// Its name
        #[arg(value_name = "NAME")]
        name: AgentName,
        /// Stop what is at work, instead of refusing
        #[arg(long)]
        force: bool,
        /// It is meant: ask nobody
        #[arg(short, long)]
        yes: bool,
    },
    /// Show one agent
    #[command(after_help = help::agent_show())]
    Show {
        /// Its name
        #[arg(value_name = "NAME")]
        name: AgentName,
    },
}
