//! What is asked of the operating system about processes: one file per system, the same functions in each.

#[cfg(not(target_os = "linux"))]
mod degraded;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(not(target_os = "linux"))]
pub(crate) use degraded::{
    become_subreaper, boot_id, descendants, hide_memory, kin, lower_rights, new_privileges_off, oom_kills,
    open_descriptors, signal, stat, walk,
};
#[cfg(target_os = "linux")]
pub(crate) use linux::{
    become_subreaper, boot_id, descendants, hide_memory, kin, lower_rights, new_privileges_off, oom_kills,
    open_descriptors, signal, stat, walk,
};

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

use super::identity::ProcessId;
use crate::outcome::ResourceUsage;

/// A process, as the system shows it at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) id: ProcessId,
    pub(crate) parent: i32,
    pub(crate) session: i32,
    /// Ended, and not yet waited for.
    pub(crate) is_zombie: bool,
    /// Processor time of it and of the children it waited for.
    pub(crate) cpu: Duration,
}

/// What a worker that was started by root keeps of root's rights. No other user's worker has any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rights {
    /// Behind a wall: those over files and users. Not those over devices, the network, the system or other processes,
    /// by which a wall is gone round.
    Walled,
    /// Without a wall: all but those that show other processes' memory and environment.
    Open,
}

/// What came of a signal to exactly this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signalled {
    /// Delivered.
    Sent,
    /// It is no more; another with its number was left alone.
    Gone,
    /// It lives and we may not.
    Refused,
}

/// What the children of this process that were waited for have used, theirs included.
pub(crate) fn children_usage() -> ResourceUsage {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else {
        return ResourceUsage::default();
    };
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    ResourceUsage {
        user_ms: millis(usage.user_time()),
        system_ms: millis(usage.system_time()),
        resident_max_bytes: u64::try_from(usage.max_rss()).unwrap_or(0) * unit,
    }
}

fn millis(time: TimeVal) -> u64 {
    let ms = i128::from(time.tv_sec()) * 1000 + i128::from(time.tv_usec()) / 1000;
    u64::try_from(ms).unwrap_or(0)
}
