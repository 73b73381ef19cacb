//! What one worker process may have open, write and dump.

use serde::{Deserialize, Serialize};

/// Limits of a worker's processes, each on its own. Processes and memory are not here: the kernel counts
/// those per user, not per run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessLimits {
    /// Size of a core dump, in bytes.
    pub core_bytes_max: u64,
    /// Files open at once.
    pub open_files_max: u64,
    /// Size of a file it writes, in bytes.
    pub file_bytes_max: u64,
}

impl Default for ProcessLimits {
    fn default() -> Self {
        Self {
            core_bytes_max: 0,
            open_files_max: 4096,
            file_bytes_max: 4 * 1024 * 1024 * 1024,
        }
    }
}
