//! A worker that is a process, in two phases, so that what is needed to kill it is durable before it runs.
//!
//! ```no_run
//! # async fn example(launch: dormouse_engine::worker::Launch) -> Result<(), Box<dyn std::error::Error>> {
//! use dormouse_engine::worker::{self, LiveEvent, Stop};
//!
//! let prepared = worker::prepare(&launch).await?; // a keeper is up, nothing runs
//! let _row = prepared.row(); // now it is made durable
//! let mut live = prepared.go().await?; // the worker runs
//! live.stop(Stop::default()); // it is asked to leave, and killed when its grace is over
//! while let Some(event) = live.next().await {
//!     match event {
//!         LiveEvent::Stdout(_) | LiveEvent::Stderr(_) | LiveEvent::Report(_) | LiveEvent::Elided { .. } => { /* the transcript */ }
//!         LiveEvent::Exited(_) => { /* how the first process left; strays may be left */ }
//!         LiveEvent::Gone(_) => { /* no process is left; the last event */ }
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Dropping a [`Prepared`] runs nothing; dropping a [`Live`] kills the tree. Both at any await.

mod buffer;
mod error;
mod live;
mod prepare;
mod program;
mod pump;

pub use buffer::{BUFFER_BYTES_MAX, Output};
pub use error::SpawnError;
pub use live::{Ended, Gone, Live, LiveEvent, Stop};
pub use prepare::{Prepared, READY_MAX, prepare};
pub use program::find_program;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::isolation::{Offered, Policy, WallSpec};
use super::limits::ProcessLimits;
use crate::command::Stdin;

/// A run's process, described whole.
#[derive(Clone, PartialEq, Eq)]
pub struct Launch {
    /// The executable that becomes the keeper: it calls [`enter`](super::keeper::enter) first of all.
    pub keeper: PathBuf,
    /// The run's id, for the row and for `DORMOUSE_RUN`.
    pub run: String,
    /// Program and arguments; the program is looked for on the `PATH` of [`Launch::environment`].
    pub argv: Vec<String>,
    /// The agent's workspace, an existing folder.
    pub workspace: PathBuf,
    /// The working folder, inside the workspace once every link is resolved; the workspace when none.
    pub cwd: Option<PathBuf>,
    /// The worker's whole environment ([`environment::build`](super::environment::build)).
    pub environment: BTreeMap<String, String>,
    /// What it reads.
    pub stdin: Stdin,
    /// Whether it reads that, or what is written to it while it runs.
    pub feed: Feed,
    /// What each of its processes may use.
    pub limits: ProcessLimits,
    /// Whether it is walled in; none asks for a wall wherever the kernel has one.
    pub isolation: Option<Policy>,
    /// What the kernel has for that; it is asked where none is given.
    pub offered: Option<Offered>,
    /// What it may reach beside the system and the workspace.
    pub wall: WallSpec,
}

/// Where a worker's standard input comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Feed {
    /// What [`Launch::stdin`] says.
    #[default]
    Given,
    /// A pipe, into which [`Live::take_feed`] writes.
    Piped,
}

impl fmt::Debug for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Arguments and variables may hold credentials.
        f.debug_struct("Launch")
            .field("run", &self.run)
            .field("program", &self.argv.first())
            .field("workspace", &self.workspace)
            .finish_non_exhaustive()
    }
}
