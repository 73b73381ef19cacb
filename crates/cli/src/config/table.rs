//! The one table of settings: files, environment, `config` and the help texts are made from it.

use dormouse_engine::worker::isolation::Policy;

use super::bounds::{
    AT_WORK, AUTO_IDLE, CACHE, CAPABILITY_TTL, CLOCK, COMMIT, EXPIRES, EXPORT_IDLE, GRACE, HOUSEKEEPING,
    NOTIFY, RESERVE, SEGMENT, TOMBSTONES, WAIT, WITHIN_COMMIT,
};
use crate::bytes;
use crate::duration::Bounds;

/// Who may set a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The user's file and the environment only.
    User,
    /// A project's file too.
    Project,
}

/// What a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An absolute path.
    Path,
    /// `unix:PATH` or `http://HOST:PORT`.
    Server,
    /// A duration within bounds.
    Duration(Bounds),
    /// A duration within bounds, or `off`.
    DurationOrOff(Bounds),
    /// The url of a store, which may hold a password; a folder in it is absolute.
    Store,
    /// The url of a PostgreSQL server, which may hold a password.
    Postgres,
    /// An amount of bytes within bounds.
    Bytes(bytes::Bounds),
    /// A whole number from the first to the second.
    Number(u64, u64),
    /// A share of a hundred, with its sign, from the first to the second.
    Percent(u64, u64),
    /// A name in a database: `[a-z_][a-z0-9_]*`, at most 63 bytes.
    Schema,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A duration within bounds, or `never`.
    DurationOrNever(Bounds),
    /// `gates.rules`.
    Rules,
}

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its path, with dots.
    pub path: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Its default, as one would write it; none where the place decides.
    pub default: Option<&'static str>,
    /// Who may set it.
    pub scope: Scope,
    /// What it does.
    pub about: &'static str,
}

/// The rules that calls are made under, strictest first.
pub const MODES: &[&str] = &["deny", "ask", "rules", "open"];

/// A setting of the store, which a project does not choose.
const fn store(path: &'static str, kind: Kind, default: Option<&'static str>, about: &'static str) -> Key {
    Key {
        path,
        kind,
        default,
        scope: Scope::User,
        about,
    }
}

/// Every setting, in the order of the reference.
pub const TABLE: &[Key] = &[
    store(
        "store.path",
        Kind::Path,
        None,
        "the folder of the store, unless store.url says otherwise, and of workspaces",
    ),
    store(
        "store.url",
        Kind::Store,
        None,
        "where the records are: sled:/PATH, file:/PATH or postgres://USER@HOST/DATABASE; sled below store.path",
    ),
    store(
        "store.cache",
        Kind::Bytes(CACHE),
        Some("64MiB"),
        "how much of the index is kept in memory (sled)",
    ),
    store(
        "store.segment",
        Kind::Bytes(SEGMENT),
        Some("64MiB"),
        "the size of a segment of the log (sled, file)",
    ),
    store(
        "store.reserve",
        Kind::Bytes(RESERVE),
        Some("64MiB"),
        "what of the disk only deletes may use (sled, file)",
    ),
    store(
        "store.cleaner_share",
        Kind::Percent(1, 99),
        Some("50%"),
        "how much of what is written may be moving what is live (sled)",
    ),
    store(
        "store.commit_deadline",
        Kind::Duration(COMMIT),
        Some("10s"),
        "how long a commit may take",
    ),
    store(
        "store.export_idle",
        Kind::Duration(EXPORT_IDLE),
        Some("60s"),
        "how long an export is held of which nobody takes anything; behind it, it is to be begun again",
    ),
    store(
        "store.checkout",
        Kind::Duration(WITHIN_COMMIT),
        Some("3s"),
        "how long to wait for a connection, less than store.commit_deadline (postgres)",
    ),
    store(
        "store.lock_timeout",
        Kind::Duration(WITHIN_COMMIT),
        Some("2s"),
        "how long to wait for a row, less than store.commit_deadline (postgres)",
    ),
    store(
        "store.pool",
        Kind::Number(1, 1000),
        Some("8"),
        "most connections for reads and commits (postgres)",
    ),
    store(
        "store.notify_every",
        Kind::Duration(NOTIFY),
        Some("10ms"),
        "least time between two hints to other machines (postgres)",
    ),
    store(
        "store.tombstones",
        Kind::Duration(TOMBSTONES),
        Some("24h"),
        "how long the rows of removed records are kept (postgres)",
    ),
    store(
        "store.schema",
        Kind::Schema,
        Some("dormouse"),
        "the schema that holds the store (postgres)",
    ),
    store(
        "store.listen_url",
        Kind::Postgres,
        None,
        "another way to the same server, for hints, where a pooler is in the main one's (postgres)",
    ),
    store(
        "store.tls",
        Kind::Path,
        None,
        "certificates in PEM to trust instead of the system's (postgres)",
    ),
    store(
        "store.reach",
        Kind::Word(&["process", "cluster"]),
        Some("process"),
        "who has to be able to write at once; cluster refuses a store that other machines cannot use",
    ),
    Key {
        path: "secrets.key_file",
        kind: Kind::Path,
        default: None,
        scope: Scope::User,
        about: "the file with the key that opens the secrets; secrets.key in the configuration folder",
    },
    store(
        "secrets.on_agent_delete",
        Kind::Word(&["quarantine", "destroy"]),
        Some("quarantine"),
        "what becomes of the secrets of an agent that is deleted: kept aside for 7 days, or destroyed with it",
    ),
    Key {
        path: "scrub.formats",
        kind: Kind::Word(&["strict", "own_only", "off"]),
        default: Some("strict"),
        scope: Scope::User,
        about: "credentials that nobody registered: redacted, left and counted, or not looked for; an agent may say otherwise",
    },
    Key {
        path: "client.server",
        kind: Kind::Server,
        default: None,
        scope: Scope::User,
        about: "the server to talk to, instead of the store of this host",
    },
    Key {
        path: "client.attach_timeout",
        kind: Kind::Duration(WAIT),
        default: Some("5s"),
        scope: Scope::User,
        about: "how long to wait for the owner of the store, or to become it",
    },
    Key {
        path: "client.deadline",
        kind: Kind::Duration(WAIT),
        default: Some("30s"),
        scope: Scope::User,
        about: "how long to wait for an answer, tries together",
    },
    Key {
        path: "run.wall_clock",
        kind: Kind::Duration(CLOCK),
        default: Some("30m"),
        scope: Scope::Project,
        about: "how long a run may take",
    },
    Key {
        path: "run.idle_timeout",
        kind: Kind::DurationOrOff(CLOCK),
        default: Some("10m"),
        scope: Scope::Project,
        about: "how long a run may be without progress",
    },
    Key {
        path: "run.grace",
        kind: Kind::Duration(GRACE),
        default: Some("10s"),
        scope: Scope::Project,
        about: "how long a worker has from being asked to stop to being killed",
    },
    Key {
        path: "runs.instance_max",
        kind: Kind::Number(1, 10_000),
        default: Some("32"),
        scope: Scope::User,
        about: "most runs at work at once in a process that serves",
    },
    Key {
        path: "worker.isolation",
        kind: Kind::Word(&Policy::WORDS),
        default: None,
        scope: Scope::User,
        about: "whether workers are walled in: required, best_effort or off; required where the kernel can, else best_effort",
    },
    store(
        "gates.mode",
        Kind::Word(MODES),
        Some("ask"),
        "under which rule the calls of a new session are made; session set changes it",
    ),
    store(
        "gates.rules",
        Kind::Rules,
        Some("ask *"),
        "what is asked about under mode rules: the first that fits is heard, and what none fits is asked about",
    ),
    store(
        "gates.allow_open",
        Kind::Word(&["false", "true"]),
        Some("false"),
        "whether a session may have mode open, in which nobody is asked",
    ),
    store(
        "gates.timeout.approval",
        Kind::DurationOrNever(EXPIRES),
        Some("24h"),
        "for how long an approval can be decided, when its worker does not say",
    ),
    store(
        "gates.timeout.question",
        Kind::DurationOrNever(EXPIRES),
        Some("24h"),
        "for how long a question can be answered, when its worker does not say",
    ),
    store(
        "gates.timeout.notification",
        Kind::DurationOrNever(EXPIRES),
        Some("7d"),
        "for how long a notification is in the inbox, when its worker does not say",
    ),
    store(
        "gates.on_timeout",
        Kind::Word(&["deny", "pause"]),
        Some("deny"),
        "what follows when nobody decides: the worker is told no, or is told no and stopped and its session paused",
    ),
    store(
        "gates.restart",
        Kind::Word(&["keep", "invalidate"]),
        Some("keep"),
        "what becomes of pending gates at the next start: they stay, or lose their meaning, on a server those of runs that ended",
    ),
    store(
        "gates.capability_ttl",
        Kind::Duration(CAPABILITY_TTL),
        Some("1h"),
        "how long an approval can be used once somebody is there to use it",
    ),
    store(
        "gates.wait_max",
        Kind::Duration(EXPIRES),
        Some("24h"),
        "how long in all the clocks of a run stand still while it waits for answers",
    ),
    store(
        "gates.pending_tenant_max",
        Kind::Number(1, 10_000),
        Some("10000"),
        "most gates that may be pending at once",
    ),
    store(
        "budget.warn",
        Kind::Percent(1, 100),
        Some("75%"),
        "from which share of a limit on it is said, where a budget does not say",
    ),
    store(
        "budget.pause",
        Kind::Percent(1, 100),
        Some("90%"),
        "from which share of a limit on a person is asked, where a budget does not say; 100% is never",
    ),
    store(
        "budget.hold_age_max",
        Kind::Duration(HOUSEKEEPING),
        Some("24h"),
        "how long what is held is kept for a run that has ended",
    ),
    store(
        "budget.approval_ttl",
        Kind::Duration(EXPIRES),
        Some("24h"),
        "for how long a person can raise a limit, before that is a no",
    ),
    store(
        "budget.ledger_mailbox",
        Kind::Number(1, 65_536),
        Some("1024"),
        "most commands that wait for the budgets of a tenant; more are told to come again",
    ),
    store(
        "budget.ledger_batch",
        Kind::Number(1, 64),
        Some("64"),
        "most of them that share a commit",
    ),
    store(
        "sessions.auto_idle",
        Kind::Duration(AUTO_IDLE),
        Some("3s"),
        "for how long the end of a turn is news",
    ),
    store(
        "sessions.live_flush",
        Kind::Duration(AT_WORK),
        Some("1s"),
        "how often what a session does within a turn is saved",
    ),
    store(
        "sessions.linger",
        Kind::Duration(AT_WORK),
        Some("5s"),
        "how soon what drives a session ends once there is nothing to do",
    ),
    store(
        "sessions.mailbox_max",
        Kind::Number(1, 65_536),
        Some("256"),
        "events that may wait for one session; who sends more waits too",
    ),
    store(
        "sessions.open_max",
        Kind::Number(1, 1_000),
        Some("1000"),
        "most sessions of an agent that have not ended",
    ),
    store(
        "sessions.history_max",
        Kind::Number(1, 1_000),
        Some("100"),
        "how many of its newest moves a session keeps",
    ),
    store(
        "janitor.every",
        Kind::Duration(HOUSEKEEPING),
        Some("10m"),
        "how often an owner that runs something looks for what is old",
    ),
    store(
        "janitor.session_stale",
        Kind::DurationOrOff(HOUSEKEEPING),
        Some("24h"),
        "how long nothing is heard of a session before it is ended",
    ),
    store(
        "retention.gates",
        Kind::Duration(HOUSEKEEPING),
        Some("90d"),
        "how long a decided gate keeps what was asked and said; as long again its decision is kept",
    ),
    store(
        "retention.tasks",
        Kind::Duration(HOUSEKEEPING),
        Some("90d"),
        "how long an ended task is kept, with its runs, their outcomes and output",
    ),
    store(
        "retention.tombstones",
        Kind::Duration(HOUSEKEEPING),
        Some("90d"),
        "how long it is known then that it was, and how it ended",
    ),
    store(
        "retention.events",
        Kind::Duration(HOUSEKEEPING),
        Some("30d"),
        "how long events are kept, and longer for a sink that has not got them yet",
    ),
    store(
        "retention.events_max",
        Kind::Number(1_000, 1_000_000_000),
        Some("1000000"),
        "most events that are kept of a tenant, whatever their age",
    ),
    store(
        "events.file",
        Kind::Path,
        None,
        "a file to which an owner that runs something appends each event as a line of JSON, at least once",
    ),
    store(
        "relay.lag_max",
        Kind::Duration(HOUSEKEEPING),
        Some("7d"),
        "how far behind a sink of events may be before none are kept for it",
    ),
];

/// Variables of ours that are no settings.
pub const OTHER_VARIABLES: &[&str] = &[
    "DORMOUSE_HOME",
    "DORMOUSE_CONFIG",
    "DORMOUSE_SERVER",
    "DORMOUSE_TENANT",
    "DORMOUSE_TOKEN_FILE",
    "DORMOUSE_LOG",
    "DORMOUSE_RUN",
    "DORMOUSE_RUN_DIR",
    "DORMOUSE_REPORT_FD",
];
