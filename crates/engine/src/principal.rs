//! Who asks: named on every decision and event.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What kind of asker it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrincipalKind {
    /// A person or a program that was let in to operate a tenant.
    Operator,
    /// The program itself, or who holds its control token.
    System,
    /// A run, through its own endpoint.
    Run,
}

/// The way it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// A command line of this host.
    Cli,
    /// The HTTP interface.
    Http,
    /// A run's tools.
    Mcp,
    /// Nobody asked: the engine by itself, at a deadline or at start.
    Engine,
}

/// Who asks. It carries no credential: those were judged at the edge.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Principal {
    /// What kind of asker.
    pub kind: PrincipalKind,
    /// Its name: of a token, a login, a run.
    pub name: String,
    /// The way it came.
    pub channel: Channel,
}

impl Principal {
    /// The engine by itself.
    #[must_use]
    pub fn engine() -> Self {
        Self {
            kind: PrincipalKind::System,
            name: "engine".to_owned(),
            channel: Channel::Engine,
        }
    }

    /// The person at this host's command line.
    #[must_use]
    pub fn operator(name: impl Into<String>, channel: Channel) -> Self {
        Self {
            kind: PrincipalKind::Operator,
            name: name.into(),
            channel,
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
