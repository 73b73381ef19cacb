//! What a setting is, and what it may hold.

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
    /// How often within how long, or `off`.
    Intensity,
    /// Names of variables that a worker may be given, with commas between; none of an empty text.
    Variables,
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
