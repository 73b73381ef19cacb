//! The one table of settings: files, environment, `config` and the help texts are made from it.

use std::time::Duration;

use dormouse_engine::command;
use dormouse_filesystem::{Backend, StoreUrl};

use crate::bytes;
use crate::duration::{self, Bounds};

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

/// The clocks of a run.
pub const CLOCK: Bounds = Bounds {
    min: command::CLOCK_MIN,
    max: command::CLOCK_MAX,
};
/// For how long a gate can be decided.
pub const EXPIRES: Bounds = Bounds {
    min: dormouse_engine::limits::GATE_TIMEOUT_MIN,
    max: dormouse_engine::limits::GATE_TIMEOUT_MAX,
};
/// From the cooperative stop to the kill.
pub const GRACE: Bounds = Bounds {
    min: Duration::ZERO,
    max: command::GRACE_MAX,
};
/// How long a command waits for an owner or an answer.
const WAIT: Bounds = Bounds {
    min: Duration::from_millis(1),
    max: Duration::from_secs(3600),
};

const MIB: u64 = 1 << 20;
/// The index in memory.
const CACHE: bytes::Bounds = bytes::Bounds {
    min: MIB,
    max: 64 << 30,
};
/// A segment of the log.
const SEGMENT: bytes::Bounds = bytes::Bounds {
    min: MIB,
    max: 1 << 30,
};
/// What is kept of the disk.
const RESERVE: bytes::Bounds = bytes::Bounds {
    min: MIB,
    max: 1 << 40,
};
/// A commit, less than the 15 s that an update may take.
const COMMIT: Bounds = Bounds {
    min: Duration::from_millis(100),
    max: Duration::from_millis(14_999),
};
/// What is waited for within a commit.
const WITHIN_COMMIT: Bounds = Bounds {
    min: Duration::from_millis(1),
    max: Duration::from_millis(14_998),
};
const NOTIFY: Bounds = Bounds {
    min: Duration::from_millis(1),
    max: Duration::from_secs(10),
};
const TOMBSTONES: Bounds = Bounds {
    min: Duration::from_secs(60),
    max: Duration::from_secs(365 * 24 * 60 * 60),
};

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

impl Key {
    /// The key of this path.
    #[must_use]
    pub fn find(path: &str) -> Option<&'static Self> {
        TABLE.iter().find(|key| key.path == path)
    }

    /// The variable that sets it: `DORMOUSE_` and the path, dots to `_`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("DORMOUSE_{}", self.path.replace('.', "_").to_ascii_uppercase())
    }

    /// Checks a value, as it is written in a file or variable.
    ///
    /// # Errors
    /// What is wrong, with the bound; the value is shown by the caller.
    pub fn check(&self, value: &str) -> Result<(), String> {
        match self.kind {
            Kind::Path if value.starts_with('/') && !value.contains('\0') => Ok(()),
            Kind::Path => Err("not an absolute path".to_owned()),
            Kind::Server if value.starts_with("unix:/") || value.starts_with("http://") => Ok(()),
            Kind::Server => Err("not a server, unix:/PATH or http://HOST:PORT is taken".to_owned()),
            Kind::DurationOrOff(_) if value == "off" => Ok(()),
            Kind::Duration(bounds) => duration::parse(value, bounds)
                .map(drop)
                .map_err(|e| e.to_string()),
            Kind::DurationOrOff(bounds) => duration::parse(value, bounds)
                .map(drop)
                .map_err(|e| format!("{e}, or off")),
            Kind::Store => check_store(value).map(drop),
            Kind::Postgres if check_store(value)?.backend() == Backend::Postgres => Ok(()),
            Kind::Postgres => {
                Err("not the url of a server, postgres://USER@HOST/DATABASE is taken".to_owned())
            }
            Kind::Bytes(bounds) => bytes::parse(value, bounds).map(drop).map_err(|e| e.to_string()),
            Kind::Number(min, max) => check_number(value, min, max, ""),
            Kind::Percent(min, max) => match value.strip_suffix('%') {
                Some(number) => check_number(number, min, max, "%"),
                None => Err(format!("not a share, {min}% to {max}% is taken")),
            },
            Kind::Schema if is_schema(value) => Ok(()),
            Kind::Schema => Err("not a schema, [a-z_][a-z0-9_]* of at most 63 bytes is taken".to_owned()),
            Kind::Word(words) if words.contains(&value) => Ok(()),
            Kind::Word(words) => Err(format!("not one of {}", words.join(", "))),
        }
    }

    /// A value as it may be shown: without a password.
    #[must_use]
    pub fn shown(&self, value: &str) -> String {
        match self.kind {
            Kind::Store | Kind::Postgres => match value.parse::<StoreUrl>() {
                Ok(url) => url.to_string(),
                Err(_) => "***".to_owned(),
            },
            Kind::Path
            | Kind::Server
            | Kind::Duration(_)
            | Kind::DurationOrOff(_)
            | Kind::Bytes(_)
            | Kind::Number(..)
            | Kind::Percent(..)
            | Kind::Schema
            | Kind::Word(_) => value.to_owned(),
        }
    }

    /// Whether a value holds a password: a file with it is nobody else's to read.
    #[must_use]
    pub fn holds_password(&self, value: &str) -> bool {
        matches!(self.kind, Kind::Store | Kind::Postgres)
            && value.parse::<StoreUrl>().is_ok_and(|url| url.has_password())
    }
}

fn check_store(value: &str) -> Result<StoreUrl, String> {
    let url: StoreUrl = value
        .parse()
        .map_err(|why| format!("not the url of a store: {why}"))?;
    if !url.backend().is_built() {
        return Err(format!(
            "not to be had: this build has no backend {}:",
            url.backend()
        ));
    }
    if url.folder().is_some_and(|folder| !folder.is_absolute()) {
        return Err(format!("not an absolute path, {}:/PATH is taken", url.backend()));
    }
    Ok(url)
}

fn check_number(value: &str, min: u64, max: u64, unit: &str) -> Result<(), String> {
    let is_digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits {
        return Err(format!("not a whole number, {min}{unit} to {max}{unit} is taken"));
    }
    // What no 64 bits hold is out of every bounds.
    let is_within = value
        .parse()
        .is_ok_and(|number: u64| (min..=max).contains(&number));
    is_within
        .then_some(())
        .ok_or_else(|| format!("out of bounds, {min}{unit} to {max}{unit} is taken"))
}

fn is_schema(name: &str) -> bool {
    let is_first = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    name.len() <= 63
        && name.bytes().next().is_some_and(is_first)
        && name.bytes().all(|byte| is_first(byte) || byte.is_ascii_digit())
}
