//! `budget …` and `usage …`.

use clap::{Args, Subcommand};
use dormouse_engine::AgentName;
use dormouse_engine::budget::{CalendarUnit, Dimension};

use super::{Page, help, limit, value};

/// `budget …`.
#[derive(Debug, Subcommand)]
pub enum Budget {
    /// Show what an agent may use and what it used, or every limit that is set
    #[command(after_help = help::budget_show())]
    Show {
        /// Whose.
        #[command(flatten)]
        whose: Whose,
        /// Which page, of all of them.
        #[command(flatten)]
        page: Page,
    },
    /// Set what an agent may use; what is not said stays
    ///
    /// A limit is a number, or none. From --warn of it on it is said, from --pause on a person is asked, who may raise
    /// it until the period ends; above it nothing is admitted.
    #[command(after_help = help::budget_set())]
    Set(Box<BudgetSet>),
    /// What was used, day by day, the latest first
    #[command(after_help = help::budget_history())]
    History {
        /// Whose.
        #[command(flatten)]
        whose: Whose,
        /// Which page.
        #[command(flatten)]
        page: Page,
    },
}

/// Whose budget.
#[derive(Debug, Clone, Args)]
pub struct Whose {
    /// Of this agent
    #[arg(value_name = "AGENT")]
    pub agent: Option<AgentName>,
    /// Of all agents of the tenant together
    #[arg(long, conflicts_with_all = ["agent", "session", "task", "run"])]
    pub tenant_wide: bool,
    /// Of a session
    #[arg(long, value_name = "SESSION", value_parser = value::session, conflicts_with_all = ["agent", "task", "run"])]
    pub session: Option<String>,
    /// Of a task, over all its runs
    #[arg(long, value_name = "TASK", value_parser = value::task, conflicts_with_all = ["agent", "run"])]
    pub task: Option<String>,
    /// Of a run
    #[arg(long, value_name = "RUN", value_parser = value::run, conflicts_with = "agent")]
    pub run: Option<String>,
}

impl Whose {
    /// The account's name, where one is named.
    #[must_use]
    pub fn account(&self) -> Option<String> {
        let of = |level: &str, id: &Option<String>| id.as_ref().map(|id| format!("{level}.{id}"));
        let agent = self.agent.as_ref().map(AgentName::to_string);
        of("agent", &agent)
            .or_else(|| of("session", &self.session))
            .or_else(|| of("task", &self.task))
            .or_else(|| of("run", &self.run))
            .or_else(|| self.tenant_wide.then(|| "tenant".to_owned()))
    }
}

/// `budget set`.
#[derive(Debug, Args)]
pub struct BudgetSet {
    /// Whose.
    #[command(flatten)]
    pub whose: Whose,
    /// The limits.
    #[command(flatten)]
    pub limits: Limits,
    /// How long what is used counts: day, week, month (by the calendar of --zone), lifetime, run (for each run),
    /// every:DURATION, rolling:DURATION
    #[arg(long, value_name = "PERIOD", value_parser = limit::period)]
    pub period: Option<NewPeriod>,
    /// The IANA time zone of the calendar
    #[arg(long, value_name = "ZONE", requires = "period", default_value = "UTC")]
    pub zone: String,
    /// From which share of a limit on it is said, as in 75%; default is as budget.warn says
    #[arg(long, value_name = "SHARE", value_parser = limit::share)]
    pub warn: Option<NewShare>,
    /// From which share on a person is asked, as in 90%; 100% is never, default is as budget.pause says
    #[arg(long, value_name = "SHARE", value_parser = limit::share)]
    pub pause: Option<NewShare>,
}

/// A period, as it is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewPeriod {
    /// For ever.
    Lifetime,
    /// For each run.
    Run,
    /// By the calendar.
    Calendar(CalendarUnit),
    /// Every so many milliseconds.
    Every(u64),
    /// The last so many milliseconds.
    Rolling(u64),
}

/// A share, in percent; none is as the settings say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewShare(pub Option<u8>);

/// A limit; none is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewLimit(pub Option<u64>);

/// Limits.
#[derive(Debug, Clone, Args)]
pub struct Limits {
    /// Money, in US dollars: 1.00
    #[arg(long, value_name = "AMOUNT", value_parser = limit::usd_limit)]
    pub usd: Option<NewLimit>,
    /// Tokens that models read, and as many that they write
    #[arg(long, value_name = "N", value_parser = limit::number_limit, conflicts_with_all = ["input_tokens", "output_tokens"])]
    pub tokens: Option<NewLimit>,
    /// Tokens that models read
    #[arg(long, value_name = "N", value_parser = limit::number_limit)]
    pub input_tokens: Option<NewLimit>,
    /// Tokens that models write
    #[arg(long, value_name = "N", value_parser = limit::number_limit)]
    pub output_tokens: Option<NewLimit>,
    /// Time at work: 30m, 2h. A run takes its --timeout of it, and gives back what it did not need
    #[arg(long, value_name = "DURATION", value_parser = limit::wall_limit)]
    pub wall: Option<NewLimit>,
    /// What is printed, in bytes
    #[arg(long, value_name = "BYTES", value_parser = limit::number_limit)]
    pub output_bytes: Option<NewLimit>,
    /// What leaves by the network, in bytes
    #[arg(long, value_name = "BYTES", value_parser = limit::number_limit)]
    pub egress_bytes: Option<NewLimit>,
    /// Worker processes at once
    #[arg(long, value_name = "N", value_parser = limit::number_limit)]
    pub processes: Option<NewLimit>,
    /// Runs at once, whoever starts them
    #[arg(long, value_name = "N", value_parser = limit::number_limit)]
    pub concurrency: Option<NewLimit>,
}

impl Limits {
    /// Those that are said.
    #[must_use]
    pub fn said(&self) -> Vec<(Dimension, Option<u64>)> {
        use Dimension as D;
        let named = [
            (D::UsdMicros, self.usd),
            (D::InputTokens, self.input_tokens.or(self.tokens)),
            (D::OutputTokens, self.output_tokens.or(self.tokens)),
            (D::WallMs, self.wall),
            (D::OutputBytes, self.output_bytes),
            (D::EgressBytes, self.egress_bytes),
            (D::Processes, self.processes),
            (D::Concurrency, self.concurrency),
        ];
        named
            .into_iter()
            .filter_map(|(of, limit)| Some((of, limit?.0)))
            .collect()
    }
}

/// `usage …`.
#[derive(Debug, Subcommand)]
pub enum Usage {
    /// Reserve for what is about to begin, and print the hold
    ///
    /// It exits 0 when it is admitted, 9 when a limit is reached. At a line from where a person is asked it waits for what
    /// they say, or the run parks, as run --on-gate has it. Where nothing is limited it prints unlimited, which the other
    /// verbs take too.
    #[command(after_help = help::usage_reserve())]
    Reserve {
        /// What it is expected to come to.
        #[command(flatten)]
        amounts: Spent,
    },
    /// Reserve more under a hold
    #[command(after_help = help::usage_grow())]
    Grow {
        /// The hold, as it was printed
        #[arg(value_name = "HOLD", value_parser = value::hold)]
        hold: String,
        /// What it is to be larger by.
        #[command(flatten)]
        amounts: Spent,
    },
    /// Say what is used so far, and print continue, warn or stop
    #[command(after_help = help::usage_report())]
    Report {
        /// The hold, as it was printed
        #[arg(value_name = "HOLD", value_parser = value::hold)]
        hold: String,
        /// What was used since it was reserved.
        #[command(flatten)]
        amounts: Spent,
    },
    /// Close a hold with what was used
    #[command(after_help = help::usage_reconcile())]
    Reconcile {
        /// The hold, as it was printed
        #[arg(value_name = "HOLD", value_parser = value::hold)]
        hold: String,
        /// What was used since it was reserved.
        #[command(flatten)]
        amounts: Spent,
    },
    /// Give a hold back: nothing was used
    #[command(after_help = help::usage_release())]
    Release {
        /// The hold, as it was printed
        #[arg(value_name = "HOLD", value_parser = value::hold)]
        hold: String,
    },
}

/// Amounts of what work uses.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = true)]
pub struct Spent {
    /// Money, in US dollars: 0.10
    #[arg(long, value_name = "AMOUNT", value_parser = limit::usd)]
    pub usd: Option<u64>,
    /// Tokens that the model reads
    #[arg(long, value_name = "N")]
    pub input_tokens: Option<u64>,
    /// Tokens that the model writes
    #[arg(long, value_name = "N")]
    pub output_tokens: Option<u64>,
    /// What leaves by the network, in bytes
    #[arg(long, value_name = "BYTES")]
    pub egress_bytes: Option<u64>,
    /// What is printed, in bytes
    #[arg(long, value_name = "BYTES")]
    pub output_bytes: Option<u64>,
}

impl Spent {
    /// Those that are said.
    pub fn said(&self) -> impl Iterator<Item = (Dimension, u64)> {
        use Dimension as D;
        let named = [
            (D::UsdMicros, self.usd),
            (D::InputTokens, self.input_tokens),
            (D::OutputTokens, self.output_tokens),
            (D::EgressBytes, self.egress_bytes),
            (D::OutputBytes, self.output_bytes),
        ];
        named.into_iter().filter_map(|(of, amount)| Some((of, amount?)))
    }
}
