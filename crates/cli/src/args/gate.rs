//! `gate …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use dormouse_engine::AgentName;
use dormouse_engine::gate::Scope;

use super::{Page, help, value};

/// `gate …`.
#[derive(Debug, Subcommand)]
pub enum Gate {
    /// List what waits for a person, the longest waiting first
    #[command(after_help = help::gate_list())]
    List(GateList),
    /// Show one gate: who asks, why, the whole input, until when, and what its answer does
    #[command(after_help = help::gate_show())]
    Show {
        /// The gate, or the first 8 digits of its id or more
        #[arg(value_name = "GATE", value_parser = value::gate)]
        id: String,
    },
    /// Approve a call: exactly the one that is asked about
    #[command(after_help = help::gate_approve())]
    Approve {
        /// Which, and what to say with it.
        #[command(flatten)]
        decided: Decided,
        /// Edit the input first, in $VISUAL or $EDITOR
        #[arg(long, conflicts_with_all = ["input", "all_shown"])]
        edit: bool,
        /// Approve the call with this input instead: JSON, @FILE, or - for stdin
        #[arg(long, value_name = "JSON|@FILE|-", conflicts_with = "all_shown")]
        input: Option<String>,
        /// How far it goes: this once, or equal calls of the session too where that is offered
        #[arg(long, value_name = "SCOPE", value_parser = value::scope, default_value = "once", conflicts_with = "all_shown")]
        scope: Scope,
    },
    /// Reject a call, or leave a question without an answer
    #[command(after_help = help::gate_reject())]
    Reject {
        /// Which, and what to say with it.
        #[command(flatten)]
        decided: Decided,
    },
    /// Answer a question, or say that a notification was seen
    #[command(after_help = help::gate_answer())]
    Answer {
        /// The gate
        #[arg(value_name = "GATE", value_parser = value::gate)]
        id: String,
        /// The answer, in words
        #[arg(value_name = "TEXT", conflicts_with = "option")]
        text: Option<String>,
        /// The number of an option, from 1; several where several can be chosen
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
        option: Vec<u8>,
        /// Why, for those who look later
        #[arg(long, value_name = "TEXT")]
        comment: Option<String>,
    },
    /// Withdraw a pending gate as if it had never been asked: its content is erased
    #[command(after_help = help::gate_discard())]
    Discard {
        /// The gate
        #[arg(value_name = "GATE", value_parser = value::gate)]
        id: String,
    },
}

/// `gate list`.
#[derive(Debug, Args)]
pub struct GateList {
    /// Only those of this agent
    #[arg(long, value_name = "NAME")]
    pub agent: Option<AgentName>,
    /// Only those of this session
    #[arg(long, value_name = "SESSION", value_parser = value::session, conflicts_with = "agent")]
    pub session: Option<String>,
    /// pending, or all: the decided ones behind
    #[arg(long, value_name = "STATE", value_parser = value::gate_state, default_value = "pending")]
    pub state: String,
    /// Which page.
    #[command(flatten)]
    pub page: Page,
}

/// Which gates are decided, and what is said with it.
#[derive(Debug, Args)]
pub struct Decided {
    /// The gate, or the first 8 digits of its id or more
    #[arg(value_name = "GATE", value_parser = value::gate, required_unless_present = "all_shown", conflicts_with = "all_shown")]
    pub id: Option<String>,
    /// Exactly those that are shown now and confirmed; or the rows of an earlier gate list -o jsonl, - for stdin
    #[arg(long, value_name = "FILE|-", num_args = 0..=1)]
    pub all_shown: Option<Option<PathBuf>>,
    /// What is said with it.
    #[command(flatten)]
    pub said: Said,
}

/// What is said with a decision.
#[derive(Debug, Args)]
pub struct Said {
    /// Why, for the worker and for those who look later
    #[arg(long, value_name = "TEXT")]
    pub comment: Option<String>,
    /// Do not ask whether it is meant
    #[arg(short, long)]
    pub yes: bool,
}
