//! `session …`.

use clap::Subcommand;
use dormouse_engine::AgentName;

use super::{NewMode, Page, help, value};

/// `session …`.
#[derive(Debug, Subcommand)]
pub enum Session {
    /// List sessions, oldest first
    #[command(after_help = help::session_list())]
    List {
        /// Only those of this agent
        #[arg(long, value_name = "NAME")]
        agent: Option<AgentName>,
        /// Which page.
        #[command(flatten)]
        page: Page,
    },
    /// Show one session: its state, its turn, what it waits for
    #[command(after_help = help::session_show())]
    Show {
        /// The session, or the first 8 digits of its id or more
        #[arg(value_name = "SESSION", value_parser = value::session)]
        id: String,
    },
    /// End a session for good: its gates go, and the run that is at it is stopped
    #[command(after_help = help::session_end())]
    End {
        /// The session
        #[arg(value_name = "SESSION", value_parser = value::session)]
        id: String,
    },
    /// Begin the next life of a session that has ended
    #[command(after_help = help::session_reopen())]
    Reopen {
        /// The session
        #[arg(value_name = "SESSION", value_parser = value::session)]
        id: String,
    },
    /// Set under which rule the calls of a session are made, from now on
    ///
    /// ask: a person is asked about each. deny: none is made. rules: as gates.rules says. open: all are made, where
    /// gates.allow_open allows that.
    #[command(after_help = help::session_set())]
    Set {
        /// The session
        #[arg(value_name = "SESSION", value_parser = value::session)]
        id: String,
        /// The rule
        #[arg(value_name = "mode=MODE", value_parser = value::mode)]
        mode: NewMode,
    },
}
