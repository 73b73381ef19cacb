//! The wall round a worker: what it may read and write of the file system.
//!
//! The wall is the kernel's (Landlock); it stands in the worker's first process before that becomes its program,
//! and every descendant is born behind it. Keeper and supervisor stay outside, so a worker can neither trace them
//! nor read their memory. TCP stays open.

#[cfg_attr(target_os = "linux", path = "landlock.rs")]
#[cfg_attr(not(target_os = "linux"), path = "none.rs")]
mod kernel;
mod wall;

pub(crate) use kernel::Built;
pub use wall::{IsolationConflict, Wall, WallSpec};

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Without a wall nothing runs.
    Required,
    /// A wall where the kernel has one.
    BestEffort,
    /// No wall.
    Off,
}

impl Policy {
    /// The words of every policy, strictest first.
    pub const WORDS: [&str; 3] = ["required", "best_effort", "off"];
}

/// A word that is no policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not one of required, best_effort, off")]
pub struct InvalidPolicy;

impl FromStr for Policy {
    type Err = InvalidPolicy;

    fn from_str(word: &str) -> Result<Self, InvalidPolicy> {
        match word {
            "required" => Ok(Self::Required),
            "best_effort" => Ok(Self::BestEffort),
            "off" => Ok(Self::Off),
            _ => Err(InvalidPolicy),
        }
    }
}

/// What the kernel has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Offered {
    /// Nothing.
    Nothing,
    /// Landlock of this version of its interface.
    Landlock {
        /// The version; each adds something that can be closed.
        abi: u8,
    },
}

/// Asks the kernel what it has.
#[must_use]
pub fn offered() -> Offered {
    match kernel::abi() {
        0 => Offered::Nothing,
        abi => Offered::Landlock { abi },
    }
}

/// What a run gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// No wall, as was asked for.
    Off,
    /// No wall, though one was wanted: the kernel has none.
    Degraded,
    /// A wall.
    Landlock {
        /// The version of the kernel's interface.
        abi: u8,
    },
}

/// A wall was required, and this kernel has none. Nothing ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("isolation is required, and this kernel has no Landlock")]
pub struct IsolationUnavailable;

/// What a run gets of what is offered; a policy that is not set asks for a wall wherever there is one.
///
/// # Errors
/// A wall is required and cannot be had.
pub fn decide(policy: Option<Policy>, offered: Offered) -> Result<Level, IsolationUnavailable> {
    match (policy, offered) {
        (Some(Policy::Off), _) => Ok(Level::Off),
        (_, Offered::Landlock { abi }) => Ok(Level::Landlock { abi }),
        (Some(Policy::Required), Offered::Nothing) => Err(IsolationUnavailable),
        (Some(Policy::BestEffort) | None, Offered::Nothing) => Ok(Level::Degraded),
    }
}

/// What a wall of this version leaves open: the version that closes it, and its name.
const CLOSED_BY: [(u8, &str); 4] = [
    (3, "truncation"),
    (5, "device ioctl"),
    (6, "signals and abstract sockets"),
    (9, "path-named sockets"),
];

impl Level {
    /// What this level does not close, though a later kernel could.
    #[must_use]
    pub fn open(self) -> Vec<&'static str> {
        match self {
            Self::Off | Self::Degraded => Vec::new(),
            Self::Landlock { abi } => CLOSED_BY
                .iter()
                .filter(|(by, _)| abi < *by)
                .map(|(_, what)| *what)
                .collect(),
        }
    }

    /// What of others a worker can get at, being of our user: with a wall, nothing. That files are there, their sizes, modes and
    /// times are not hidden by one: the kernel closes what is in them.
    #[must_use]
    pub const fn exposes(self) -> &'static [&'static str] {
        match self {
            Self::Landlock { .. } => &[],
            Self::Off | Self::Degraded => &[
                "the store, its key, tokens and backups",
                "the workspaces of other agents",
                "the environment and memory of other workers",
            ],
        }
    }

    /// Whether something that was wanted is missing.
    #[must_use]
    pub fn is_degraded(self) -> bool {
        matches!(self, Self::Degraded) || cfg!(not(target_os = "linux"))
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Degraded => f.write_str("degraded: this kernel has no Landlock"),
            Self::Landlock { abi } => {
                write!(f, "landlock {abi}")?;
                match self.open().as_slice() {
                    [] => Ok(()),
                    open => write!(f, ", open: {}", open.join(", ")),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_meets_what_the_kernel_has() {
        let wall = Offered::Landlock { abi: 6 };
        let some = Ok(Level::Landlock { abi: 6 });
        for (policy, with, without) in [
            (None, some, Ok(Level::Degraded)),
            (Some(Policy::Required), some, Err(IsolationUnavailable)),
            (Some(Policy::BestEffort), some, Ok(Level::Degraded)),
            (Some(Policy::Off), Ok(Level::Off), Ok(Level::Off)),
        ] {
            assert_eq!(decide(policy, wall), with, "{policy:?}");
            assert_eq!(decide(policy, Offered::Nothing), without, "{policy:?}");
        }
    }

    #[test]
    fn every_version_names_what_it_leaves_open() {
        let open = |abi| Level::Landlock { abi }.open().len();
        assert_eq!((1..=9).map(open).collect::<Vec<_>>(), [4, 4, 3, 3, 2, 1, 1, 1, 0]);
        assert_eq!(
            Level::Landlock { abi: 6 }.to_string(),
            "landlock 6, open: path-named sockets"
        );
    }
}
