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

/// When a value that was changed in a file takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// At a reload, for what begins from then on.
    Live,
    /// At the next start of whoever owns the store; a reload lists it as pending.
    Restart,
    /// At the next command: each reads it for itself, and an owner has no use for it.
    Command,
}

impl Class {
    /// The class's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Restart => "restart",
            Self::Command => "command",
        }
    }
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
    /// When a change of it takes effect.
    pub class: Class,
    /// What it does.
    pub about: &'static str,
}

impl Key {
    /// The same, taken at a reload.
    pub(super) const fn live(self) -> Self {
        Self {
            class: Class::Live,
            ..self
        }
    }
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
