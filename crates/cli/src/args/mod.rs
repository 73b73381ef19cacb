//! The command line, parsed once.

mod agent;
mod budget;
mod delegate;
mod detect;
mod gate;
mod help;
mod limit;
mod refusal;
mod secret;
mod serve;
mod session;
mod setting;
mod spec;
mod step;
mod task;
mod thread;
mod topic;
mod value;
mod wake;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};
use dormouse_engine::idempotency::ClientKey;
use dormouse_engine::run::OutcomeKind;
use dormouse_engine::{AgentName, SinkName};

pub use agent::Agent;
pub use budget::{Budget, BudgetSet, Limits, NewLimit, NewPeriod, NewShare, Spent, Usage, Whose};
pub use delegate::Delegate;
pub use detect::Detect;
pub use gate::{Decided, Gate, GateList, GateRequest, RequestKind, Said};
pub(crate) use limit::amount;
pub use refusal::{problem_of, wants_json};
pub use secret::{LastingKey, NewKey, Secret, SecretMigrate, SecretSet, SlotChange, VaultKey, Which};
pub use serve::Serve;
pub use session::Session;
pub use setting::AgentSetting;
pub(crate) use setting::agent_value;
pub(crate) use spec::milliseconds;
pub use spec::{ExitBy, GateMode, Surroundings};
pub use step::{Step, StepEffect};
pub use task::{Task, TaskAdd, TaskSet};
pub use thread::{Thread, ThreadPost, WhenBusy};
pub use topic::{TOPICS, topic};
pub use value::{Cursor, MaybeOff, NewMode, Variable};
pub(crate) use value::{is_variable, looks_like_credential};
pub use wake::{Wake, WakeAdd};

use crate::client::Server;
use crate::output::{ColorWhen, Format, TimeStyle};

/// Run agents durably, under supervision.
///
/// A command runs as a task of an agent: its output, its outcome and every change are kept, a crash loses and repeats
/// nothing. The first command that needs a store makes it; there is nothing to set up.
#[derive(Debug, Parser)]
#[command(
    name = "dormouse",
    bin_name = "dormouse",
    version,
    disable_help_subcommand = true,
    arg_required_else_help = true,
    after_help = help::program()
)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// The whole command line's definition.
    #[must_use]
    pub fn definition() -> clap::Command {
        Self::command()
    }
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The form of data on stdout: text, the API's body, or one item a line
    #[arg(short, long, global = true, value_enum, value_name = "FORM", default_value_t)]
    pub output: Format,
    /// The same as --output json
    #[arg(long, global = true, conflicts_with = "output")]
    pub json: bool,
    /// Whose tasks, runs and agents
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        env = "DORMOUSE_TENANT",
        hide_env_values = true
    )]
    pub tenant: Option<dormouse_engine::TenantId>,
    /// The server to talk to: unix:/PATH or http://HOST:PORT, instead of this host's store
    #[arg(
        long,
        global = true,
        value_name = "SERVER",
        env = "DORMOUSE_SERVER",
        hide_env_values = true
    )]
    pub server: Option<Server>,
    /// The file with the token for --server
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "DORMOUSE_TOKEN_FILE",
        hide_env_values = true
    )]
    pub token_file: Option<PathBuf>,
    /// The configuration file
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "DORMOUSE_CONFIG",
        hide_env_values = true
    )]
    pub config: Option<PathBuf>,
    /// When to colour stderr [env: NO_COLOR, CLICOLOR_FORCE]
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t)]
    pub color: ColorWhen,
    /// The form of instants in text; relative on a terminal, else iso
    #[arg(long, global = true, value_enum, value_name = "FORM")]
    pub time: Option<TimeStyle>,
    /// Print no notices and no status line on stderr
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Log to stderr what is being done; twice: in detail [env: DORMOUSE_LOG]
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

impl Global {
    /// The form of data, `--json` being one.
    #[must_use]
    pub fn format(&self) -> Format {
        if self.json { Format::Json } else { self.output }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a command as a task of an agent, and stream what it prints
    #[command(after_help = help::run())]
    Run(Box<Run>),
    /// Run a command once in the life of a task, from inside a run, and print what it printed
    ///
    /// The first time the command is run, and what it prints to stdout is kept, without secrets. In every later attempt at the
    /// task what was kept is printed, and the command is not run. A command that fails is run again by the next attempt; one
    /// with an external effect is not, since nobody knows how far it came: the run ends as Lost, and a person decides.
    #[command(after_help = help::step())]
    Step(Box<Step>),
    /// Serve the store: claim what is ready, run it under supervision, and answer commands
    #[command(after_help = help::serve())]
    Serve(Serve),
    /// Tasks: what is to be done, and what became of it
    #[command(subcommand, arg_required_else_help = true, after_help = help::task())]
    Task(Task),
    /// Give a task to another agent, from inside a run
    #[command(arg_required_else_help = true, after_help = help::delegate())]
    Delegate(Box<Delegate>),
    /// Runs: each attempt at a task, with its outcome and output
    #[command(subcommand, arg_required_else_help = true, after_help = help::runs())]
    Runs(Runs),
    /// Gates: what waits for a person, and deciding it
    #[command(subcommand, arg_required_else_help = true, after_help = help::gate())]
    Gate(Gate),
    /// Sessions: whether an agent thinks, works, waits for a person or rests
    #[command(subcommand, arg_required_else_help = true, after_help = help::session())]
    Session(Session),
    /// Threads: conversations with an agent, message by message
    #[command(subcommand, arg_required_else_help = true, after_help = help::thread())]
    Thread(Thread),
    /// Secrets: credentials that workers get and that are taken out of all they print
    #[command(subcommand, arg_required_else_help = true, after_help = help::secret())]
    Secret(Secret),
    /// Agents: whom tasks belong to
    #[command(subcommand, arg_required_else_help = true, after_help = help::agent())]
    Agent(Agent),
    /// Wakes: at what time an agent is to do what
    #[command(subcommand, arg_required_else_help = true, after_help = help::wake())]
    Wake(Wake),
    /// Budgets: what agents may use, and what they used
    #[command(subcommand, arg_required_else_help = true, after_help = help::budget())]
    Budget(Budget),
    /// Usage: from inside a run, what it is about to use and what it used
    #[command(subcommand, arg_required_else_help = true, after_help = help::usage())]
    Usage(Usage),
    /// Events: every change, in order
    #[command(subcommand, arg_required_else_help = true, after_help = help::events())]
    Events(Events),
    /// Say whether a visited page is a block: a captcha, a login wall, a limit, a refusal
    ///
    /// Needs no store and no network, and works inside a run. Exits with 11 when the page is a block. At most 2 MiB of the page
    /// are read.
    #[command(arg_required_else_help = true, after_help = help::detect())]
    Detect(Detect),
    /// Settings: where they are and where each came from
    #[command(subcommand, arg_required_else_help = true, after_help = help::config())]
    Config(Config),
    /// The store itself: look through it, repair it, take it elsewhere
    #[command(subcommand, arg_required_else_help = true, after_help = help::store())]
    Store(Store),
    /// Check folders, store, owner and isolation; changes nothing
    #[command(after_help = help::doctor())]
    Doctor,
    /// Print a completion script
    #[command(after_help = help::completions())]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(after_help = help::man())]
    Man,
    /// Help for a command, or on a topic: environment, exit-codes, formatting, config
    Help {
        /// A command, or a topic
        #[arg(value_name = "COMMAND|TOPIC")]
        words: Vec<String>,
    },
}

/// `run`.
#[derive(Debug, Args)]
#[command(override_usage = "dormouse run [OPTIONS] -- COMMAND…\n       dormouse run [OPTIONS] TASK")]
pub struct Run {
    /// Whose task it is; an unknown agent is made
    #[arg(short, long, value_name = "NAME")]
    pub agent: Option<AgentName>,
    /// Refuse an unknown agent instead of making it
    #[arg(long)]
    pub no_create: bool,
    /// When the worker asks a person: ask here, wait until it is decided anywhere, park the run, or reject;
    /// ask on a terminal, else wait, if nothing is said
    #[arg(long, value_enum, value_name = "WHAT")]
    pub on_gate: Option<GateMode>,
    /// Whose exit code: of the outcome, or of the worker (128 + signal; 12 if unknown)
    #[arg(long, value_enum, value_name = "WHOSE", default_value_t)]
    pub exit: ExitBy,
    /// Begun once under this key, however often it is asked
    #[arg(long, value_name = "KEY", value_parser = value::key)]
    pub key: Option<ClientKey>,
    /// Clocks and surroundings of the worker.
    #[command(flatten)]
    pub surroundings: Surroundings,
    /// The id of a ready task, instead of a command
    #[arg(value_name = "TASK")]
    pub words: Vec<String>,
    /// The command and its arguments, looked for on the PATH that dormouse has; no shell is added
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `runs …`.
#[derive(Debug, Subcommand)]
pub enum Runs {
    /// List runs, the latest first
    #[command(after_help = help::runs_list())]
    List {
        /// Only those of this agent
        #[arg(long, value_name = "NAME")]
        agent: Option<AgentName>,
        /// Only those that ended so
        #[arg(long, value_name = "OUTCOME", value_parser = value::outcome, conflicts_with = "agent")]
        outcome: Option<OutcomeKind>,
        /// Which page.
        #[command(flatten)]
        page: Page,
    },
    /// Show one run: outcome, exit, times, attempt
    #[command(after_help = help::runs_show())]
    Show {
        /// The run, or the first 8 digits of its id or more
        #[arg(value_name = "RUN", value_parser = value::run)]
        id: String,
    },
    /// Say something more to the worker of a run: it hears it when its turn is over
    ///
    /// Taken by codex app-server and agents of the Agent Client Protocol, and with --stdin stream by claude -p and by scripts, for
    /// which it is a line of their standard input. A run that takes none says why.
    #[command(after_help = help::runs_send())]
    Send {
        /// The run, or the first 8 digits of its id or more
        #[arg(value_name = "RUN", value_parser = value::run)]
        id: String,
        /// What is said; - reads it from stdin
        #[arg(value_name = "TEXT|-", allow_hyphen_values = true)]
        text: String,
    },
    /// Print what a run printed
    #[command(after_help = help::runs_logs())]
    Logs(Logs),
}

/// `runs logs`.
#[derive(Debug, Args)]
pub struct Logs {
    /// The run, or the first 8 digits of its id or more
    #[arg(value_name = "RUN", value_parser = value::run)]
    pub id: String,
    /// Go on until the run ends
    #[arg(short, long)]
    pub follow: bool,
    /// Begin behind so many bytes of output
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pub from: u64,
    /// Print the bytes as they were; never to a terminal
    #[arg(long)]
    pub raw: bool,
}

/// `events …`.
#[derive(Debug, Subcommand)]
pub enum Events {
    /// Print events, each once and in order
    #[command(after_help = help::events_tail())]
    Tail {
        /// Go on with those to come
        #[arg(short, long)]
        follow: bool,
        /// Begin at this position; 0 is the beginning. The last 20 if nothing is said
        #[arg(long, value_name = "POSITION")]
        from: Option<u64>,
        /// Those of the installation, of its vault and its settings, instead of the tenant's
        #[arg(long)]
        system: bool,
        /// Which events.
        #[command(flatten)]
        which: WhichEvents,
    },
    /// Print the events of a closed range again, in the order of their commits
    #[command(after_help = help::events_replay())]
    Replay {
        /// The first position; 0 is the beginning
        #[arg(long, value_name = "POSITION")]
        from: u64,
        /// The last position; the newest there is if nothing is said
        #[arg(long, value_name = "POSITION")]
        to: Option<u64>,
        /// Those of the installation, of its vault and its settings, instead of the tenant's
        #[arg(long)]
        system: bool,
        /// Which events.
        #[command(flatten)]
        which: WhichEvents,
    },
    /// Sinks: where events are sent, and how far each is
    #[command(subcommand, arg_required_else_help = true, after_help = help::events_sink())]
    Sink(Sink),
}

/// Which events are wanted.
#[derive(Debug, Clone, Args)]
pub struct WhichEvents {
    /// Only types like this: `task.*`, `run.ended`
    #[arg(long = "type", value_name = "GLOB")]
    pub kind: Option<String>,
    /// Only those of this agent
    #[arg(long, value_name = "NAME")]
    pub agent: Option<AgentName>,
}

/// `events sink …`.
#[derive(Debug, Subcommand)]
pub enum Sink {
    /// List sinks: how each is, and the last position that it has
    #[command(after_help = help::events_sink_list())]
    List,
    /// Send a sink nothing more until it is resumed; events are kept for it, for as long as relay.lag_max
    #[command(after_help = help::events_sink_pause())]
    Pause {
        /// The sink
        #[arg(value_name = "SINK")]
        sink: SinkName,
    },
    /// Go on with a sink, at once; one that was detached with the earliest event that is kept
    #[command(after_help = help::events_sink_resume())]
    Resume {
        /// The sink
        #[arg(value_name = "SINK")]
        sink: SinkName,
    },
    /// Forget how far a sink is, so that nothing is kept for it; served again, it begins anew
    #[command(after_help = help::events_sink_remove())]
    Remove {
        /// The sink
        #[arg(value_name = "SINK")]
        sink: SinkName,
    },
}

/// `config …`.
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Print where configuration, store, state and socket are
    #[command(after_help = help::config_path())]
    Path,
    /// Print every setting
    #[command(after_help = help::config_list())]
    List {
        /// Say where each value came from
        #[arg(long)]
        origin: bool,
    },
    /// Check the configuration, and report everything that is wrong
    #[command(after_help = help::config_validate())]
    Validate,
    /// Have whoever owns the store read its settings again, as SIGHUP has a server do
    ///
    /// Settings of class live, and the agents of the file, hold from then on; those of class restart are listed as pending. Where
    /// anything is wrong the old settings hold, all of them.
    #[command(after_help = help::config_reload())]
    Reload,
}

/// `store …`.
#[derive(Debug, Subcommand)]
pub enum Store {
    /// Read every record and log, and say what cannot be read or believed; needs the store alone
    #[command(after_help = help::store_check())]
    Check {
        /// Mend what can be mended; bytes that cannot be read or believed are kept aside first
        #[arg(long)]
        repair: bool,
    },
    /// Rows that could not be believed, kept with their bytes; needs the store alone
    #[command(after_help = help::store_dead_letters())]
    DeadLetters {
        /// What is done; listing, where nothing is said
        #[command(subcommand)]
        what: Option<DeadLetters>,
    },
    /// Write all of it to a new file, while it goes on
    #[command(after_help = help::store_export())]
    Export {
        /// The file, which must not be there yet
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Read an exported file into an empty store; needs the store alone
    #[command(after_help = help::store_import())]
    Import {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The store, instead of that of store.url
        #[arg(long, value_name = "URL")]
        into: Option<dormouse_filesystem::StoreUrl>,
    },
}

/// `store dead-letters …`.
#[derive(Debug, Subcommand)]
pub enum DeadLetters {
    /// List what was moved aside, and what was copied and is where it was
    #[command(after_help = help::store_dead_letters())]
    List,
    /// Show one with its bytes
    #[command(after_help = help::store_dead_letters_show())]
    Show {
        /// Its name, as it is listed
        #[arg(value_name = "NAME")]
        name: dormouse_filesystem::BadRowId,
    },
    /// Throw one away; the row it is a copy of stays
    #[command(after_help = help::store_dead_letters_discard())]
    Discard {
        /// Its name, as it is listed
        #[arg(value_name = "NAME")]
        name: dormouse_filesystem::BadRowId,
    },
}

/// Which part of a list.
#[derive(Debug, Clone, Args)]
pub struct Page {
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub limit: u16,
    /// Go on behind a page, with its next_cursor
    #[arg(long, value_name = "CURSOR", conflicts_with = "all")]
    pub cursor: Option<Cursor>,
    /// Every page
    #[arg(long)]
    pub all: bool,
}

/// Parses the arguments.
///
/// # Errors
/// What clap says: also that help or the version is asked for.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(arguments)
}
