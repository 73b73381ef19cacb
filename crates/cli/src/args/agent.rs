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
        /// concurrency=N, secrets=NAME,… (empty: all it sees), scrub.formats=strict|own_only|off (empty: as the settings say), effects=opaque|repeatable (whether a lost run may be run again)
        #[arg(value_name = "KEY=VALUE", required = true, value_parser = value::agent_setting)]
        settings: Vec<AgentSetting>,
    },
    /// Show one agent
    #[command(after_help = help::agent_show())]
    Show {
        /// Its name
        #[arg(value_name = "NAME")]
        name: AgentName,
    },
}
