//! Why a worker could not be started. In every case nothing of it runs.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::adapter::Provider;
use crate::outcome::FailReason;
use crate::worker::isolation::{IsolationConflict, IsolationUnavailable};
use crate::worker::keeper::message::{Report, Stage};

/// A worker that was not started. Nothing of it runs.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// No such program.
    #[error(
        "the program `{program}` was not found on the worker's PATH ({})",
        shortly(path)
    )]
    NotFound {
        /// As it was asked for.
        program: String,
        /// Where it was looked for.
        path: String,
    },
    /// A file, and not one that can be run.
    #[error("the program {} cannot be run: {why}", program.display())]
    NotExecutable {
        /// The file.
        program: PathBuf,
        /// What it is instead.
        why: &'static str,
    },
    /// The workspace or the working folder is not there.
    #[error("the folder {} cannot be entered: {source}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The working folder is not in the workspace.
    #[error("the working folder {} is outside of the workspace {}", cwd.display(), workspace.display())]
    OutsideWorkspace {
        /// The working folder, links resolved.
        cwd: PathBuf,
        /// The workspace, links resolved.
        workspace: PathBuf,
    },
    /// Standard input could not be opened.
    #[error("the input {} cannot be read: {source}", file.display())]
    Stdin {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The system refused the child its session, limits or descriptors.
    #[error("the worker's process could not be set up: {source}")]
    SetUp {
        /// Why not.
        source: io::Error,
    },
    /// The wall that was asked for could not be had.
    #[error(transparent)]
    IsolationUnavailable(#[from] IsolationUnavailable),
    /// What was opened for it beside its own would open what stays closed.
    #[error(transparent)]
    IsolationConflict(#[from] IsolationConflict),
    /// The wall could not be built or entered.
    #[error("the worker could not be walled in: {source}")]
    Isolation {
        /// Why not.
        source: io::Error,
    },
    /// The system did not run the program.
    #[error("the program {} could not be run: {source}", program.display())]
    Exec {
        /// The file.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// No keeper could be started.
    #[error("the keeper {} could not be started: {source}", keeper.display())]
    Keeper {
        /// The executable.
        keeper: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The keeper ended, or did not answer.
    #[error("the keeper {} was lost before the worker ran", keeper.display())]
    KeeperLost {
        /// The executable.
        keeper: PathBuf,
    },
}

impl SpawnError {
    /// What to do about it, where that can be said.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotFound { program, .. } => Some(Provider::of_program(program).map_or(
                "install it, or give its whole path; the worker's PATH is not yours",
                Provider::install_hint,
            )),
            Self::NotExecutable { .. } => {
                Some("give it the right to be executed, or name its interpreter first")
            }
            Self::Folder { .. } => Some("create it, or name another one"),
            Self::OutsideWorkspace { .. } => Some("name a folder inside of the agent's workspace"),
            Self::Stdin { .. } => Some("check that the file exists and may be read"),
            Self::IsolationUnavailable(_) => {
                Some("ask for `best_effort` or `off`, or use a kernel with Landlock")
            }
            Self::IsolationConflict(_) => Some("open something narrower, or move it out of there"),
            Self::Exec { source, .. } => exec_hint(source),
            Self::KeeperLost { .. } => {
                Some("the first line of the executable's `main` must be `keeper::enter()`")
            }
            Self::SetUp { .. } | Self::Isolation { .. } | Self::Keeper { .. } => None,
        }
    }

    /// Whether no retry can mend it: everything but a want of the machine that passes.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Exec { source, .. } | Self::SetUp { source } | Self::Keeper { source, .. } => {
                !is_passing(source)
            }
            Self::KeeperLost { .. } => false,
            Self::NotFound { .. }
            | Self::NotExecutable { .. }
            | Self::Folder { .. }
            | Self::OutsideWorkspace { .. }
            | Self::Stdin { .. }
            | Self::IsolationUnavailable(_)
            | Self::IsolationConflict(_)
            | Self::Isolation { .. } => true,
        }
    }

    /// The class of the outcome.
    #[must_use]
    pub fn fail_reason(&self) -> FailReason {
        match self {
            Self::IsolationUnavailable(_) | Self::IsolationConflict(_) | Self::Isolation { .. } => {
                FailReason::Isolation
            }
            Self::KeeperLost { .. } => FailReason::KeeperLost,
            Self::NotFound { .. }
            | Self::NotExecutable { .. }
            | Self::Folder { .. }
            | Self::OutsideWorkspace { .. }
            | Self::Stdin { .. }
            | Self::SetUp { .. }
            | Self::Exec { .. }
            | Self::Keeper { .. } => FailReason::Spawn,
        }
    }

    /// What a keeper said went wrong.
    pub(super) fn told(stage: Stage, source: io::Error, launch: Told) -> Self {
        match stage {
            Stage::WorkingFolder => Self::Folder {
                folder: launch.cwd,
                source,
            },
            Stage::Stdin => Self::Stdin {
                file: launch.stdin.unwrap_or_default(),
                source,
            },
            Stage::Setup => Self::SetUp { source },
            Stage::Wall => Self::Isolation { source },
            Stage::Exec => Self::Exec {
                program: launch.program,
                source,
            },
        }
    }
}

/// The first folders of a `PATH`, and how many more there are.
fn shortly(path: &str) -> String {
    let folders: Vec<&str> = path.split(':').filter(|folder| folder.starts_with('/')).collect();
    match folders.as_slice() {
        [] => "it has no folder".to_owned(),
        [first, second, rest @ ..] if rest.len() > 1 => {
            format!("{first}, {second} and {} more folders", rest.len())
        }
        few => few.join(", "),
    }
}

/// The paths an error names.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) keeper: PathBuf,
    pub(super) program: PathBuf,
    pub(super) cwd: PathBuf,
    pub(super) stdin: Option<PathBuf>,
}

impl Told {
    /// The error of a report that is not the expected one.
    pub(super) fn error(self, report: Option<Report>) -> SpawnError {
        match report {
            Some(Report::Failed { stage, errno, detail }) => {
                let source = errno.map_or_else(|| io::Error::other(detail), io::Error::from_raw_os_error);
                SpawnError::told(stage, source, self)
            }
            Some(
                Report::Ready { .. } | Report::Started { .. } | Report::Exited { .. } | Report::Empty { .. },
            )
            | None => SpawnError::KeeperLost { keeper: self.keeper },
        }
    }
}

/// A want of processes or memory, or a program that is being written this moment.
fn is_passing(error: &io::Error) -> bool {
    let passing = [Errno::AGAIN, Errno::NOMEM, Errno::TXTBSY];
    error
        .raw_os_error()
        .is_some_and(|raw| passing.iter().any(|e| e.raw_os_error() == raw))
}

fn exec_hint(error: &io::Error) -> Option<&'static str> {
    match error.raw_os_error().map(Errno::from_raw_os_error)? {
        Errno::ACCESS => {
            Some("check the rights of the file and its folders, and that its volume allows execution")
        }
        Errno::NOENT => Some("its interpreter (the `#!` line) or loader does not exist"),
        Errno::NOEXEC => Some("the file is no program of this machine"),
        Errno::TXTBSY => Some("the file is being written; it is tried again"),
        Errno::AGAIN | Errno::NOMEM => Some("the machine is short of processes or memory; it is tried again"),
        Errno::TOOBIG => Some("arguments and environment together are longer than the system takes"),
        _ => None,
    }
}
