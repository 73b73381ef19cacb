//! `gate …`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use dormouse_engine::AgentName;
use dormouse_engine::gate::Scope;
use dormouse_state::GateKind;

use super::{Page, help, value};
use crate::endpoint::Expires;

/// `gate …`.
#[derive(Debug, Subcommand)]
pub enum Gate {
    /// Ask a person, from inside a run, and wait for the answer
    ///
    /// It exits 0 when it may be done, or was answered: the answer is on stdout. Else 4 when somebody said no, 124 when
    /// nobody decided in time, 130 when the question lost its meaning, 6 when nobody answers for the run any more.
    #[command(after_help = help::gate_request())]
    Request(Box<GateRequest>),
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
        /// Raise the limit of the budget that is asked about to this, until its period ends: 5.00 dollars, 20000 tokens, 2h
        #[arg(long, value_name = "AMOUNT", conflicts_with_all = ["all_shown", "edit", "input"])]
        limit: Option<String>,
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
        /// It is meant: do not ask for its id to be typed
        #[arg(short, long)]
        yes: bool,
    },
    /// List approvals that hold for equal calls of a session
    #[command(after_help = help::gate_grants())]
    Grants {
        /// Only those of this session
        #[arg(long, value_name = "SESSION", value_parser = value::session)]
        session: Option<String>,
        /// Which page.
        #[command(flatten)]
        page: Page,
    },
    /// Take such an approval back: equal calls are asked about again
    #[command(after_help = help::gate_revoke())]
    Revoke {
        /// The grant, which is named by the gate that gave it
        #[arg(value_name = "GRANT", value_parser = value::gate)]
        id: String,
    },
}

/// `gate request`.
#[derive(Debug, Args)]
pub struct GateRequest {
    /// What is to be done, or the question: a few words for a person
    #[arg(long, value_name = "TEXT")]
    pub action: String,
    /// What is asked: approval of a call, the answer to a question, or only that somebody looks
    #[arg(long = "type", value_name = "TYPE", value_enum, default_value_t)]
    pub kind: RequestKind,
    /// With what it is done: JSON, @FILE, or - for stdin. The approval is for exactly this
    #[arg(long, value_name = "JSON|@FILE|-")]
    pub input: Option<String>,
    /// One line on it, instead of the action
    #[arg(long, value_name = "TEXT")]
    pub summary: Option<String>,
    /// More on it, or @FILE
    #[arg(long, value_name = "TEXT|@FILE")]
    pub detail: Option<String>,
    /// An answer that can be chosen, up to 16
    #[arg(long, value_name = "TEXT")]
    pub option: Vec<String>,
    /// Several of them can be chosen
    #[arg(long, requires = "option")]
    pub several: bool,
    /// Offer no first to whoever decides
    #[arg(long)]
    pub default_no: bool,
    /// Whoever decides may edit the input: what is to be used is printed
    #[arg(long, requires = "input")]
    pub allow_edit: bool,
    /// Which of this run's questions it is: asked again under the same key, it finds its answer; an approval is used once.
    /// Counted if nothing is said
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// For how long it can be decided, 1s to 90d, or never; then the answer is no. By its type if nothing is said
    #[arg(long, visible_alias = "timeout", value_name = "DURATION", value_parser = value::expires, default_value = "by type", hide_default_value = true)]
    pub expires: Expires,
}

/// What a worker asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum RequestKind {
    /// May this be done?
    #[default]
    Approval,
    /// A text, or a choice.
    Question,
    /// Look here; nobody waits.
    Notification,
}

impl RequestKind {
    /// The engine's word.
    #[must_use]
    pub fn kind(self) -> GateKind {
        match self {
            Self::Approval => GateKind::Approval,
            Self::Question => GateKind::Question,
            Self::Notification => GateKind::Notification,
        }
    }
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
