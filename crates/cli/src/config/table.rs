//! The one table of settings: files, environment, `config` and the help texts are made from it.

use std::time::Duration;

use dormouse_engine::command;

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

/// Every setting, in the order of the reference.
pub const TABLE: &[Key] = &[
    Key {
        path: "store.path",
        kind: Kind::Path,
        default: None,
        scope: Scope::User,
        about: "the folder of store and workspaces",
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
        }
    }
}
