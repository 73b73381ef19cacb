//! Who a process is: its number, and the moment it was started, so that a re-used number is nobody's.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::os;

/// The variable of every worker that names its run.
pub(crate) const RUN_VARIABLE: &str = "DORMOUSE_RUN";

/// A process, told from every other one of the same boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number.
    pub pid: i32,
    /// When it was started, in the system's own unit since boot (clock ticks on Linux).
    pub start_time: u64,
}

impl ProcessId {
    /// Whoever has this number now; none when nobody has.
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        os::stat(pid).map(|s| s.id)
    }
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.pid, self.start_time)
    }
}

/// The machine, and the time since it was last started: only within one boot do process numbers mean anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// The machine's own name.
    pub host: String,
    /// A random name the kernel gave this boot.
    pub boot_id: String,
}

impl Boot {
    /// This machine, this boot. Blocks for a read of a kernel file.
    ///
    /// # Errors
    /// The kernel's answer could not be read.
    pub fn current() -> std::io::Result<Self> {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Ok(Self {
            host,
            boot_id: os::boot_id()?,
        })
    }
}

/// What must be known of a run's processes to end them after their supervisor: durable before `go`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRow {
    /// Where they run.
    #[serde(flatten)]
    pub boot: Boot,
    /// The process that owns the tree.
    pub keeper: ProcessId,
    /// The worker's first process, once it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<ProcessId>,
    /// The run's id, as the worker's `DORMOUSE_RUN` has it.
    pub run: String,
}
