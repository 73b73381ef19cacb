//! Processes whose supervisor is gone: whether a recorded run still lives, and its certain end.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

use super::identity::{Boot, ProcessId, ProcessRow, RUN_VARIABLE};
use super::os::{self, Signalled};

/// How long a keeper without supervisor has to end its own tree before it is killed with it: its two seconds, and
/// one for the kernel.
const KEEPER_MAX: Duration = Duration::from_secs(3);
/// How long the kernel may need to let go of killed processes.
const KILL_MAX: Duration = Duration::from_secs(5);
/// How often it is looked whether they are gone.
const INTERVAL: Duration = Duration::from_millis(20);

/// What was found of a recorded run, and done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swept {
    /// Another machine's: nothing was looked at.
    Elsewhere,
    /// Of a former boot, or no process of it was left.
    Gone,
    /// So many processes were killed, and are gone.
    Killed(u32),
}

/// Processes of a run that could not be ended; they live. Its lease must not lapse.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The kernel did not let go of them, or they are not ours to kill.
    #[error("{} processes of run {run} are alive and could not be ended, the first is {first}", .left)]
    Alive {
        /// The run.
        run: String,
        /// How many.
        left: u32,
        /// One of them.
        first: ProcessId,
    },
    /// What this boot is called could not be read: nothing was killed.
    #[error("it is not known which boot this is: {source}")]
    Boot {
        /// Why not.
        source: io::Error,
    },
    /// The engine is shutting down.
    #[error("the sweep of run {run} was interrupted")]
    Interrupted {
        /// The run.
        run: String,
    },
}

impl SweepError {
    /// How many are known to live.
    #[must_use]
    pub fn left(&self) -> u32 {
        match self {
            Self::Alive { left, .. } => *left,
            Self::Boot { .. } | Self::Interrupted { .. } => 0,
        }
    }
}

/// Whether anything of this run is alive on this machine. Another with one of its numbers is nobody. Blocks.
///
/// # Errors
/// [`SweepError::Boot`].
pub fn lives(row: &ProcessRow) -> Result<bool, SweepError> {
    Ok(here(row)? && !members(row).is_empty())
}

/// Ends what is left of this run and waits until it is gone, at most 8 s. A keeper that lives is given the time to
/// do it itself.
///
/// # Errors
/// [`SweepError`]; the run's lease must not lapse yet.
pub async fn end(row: &ProcessRow) -> Result<Swept, SweepError> {
    let run = row.run.clone();
    let row = row.clone();
    let swept = tokio::task::spawn_blocking(move || end_blocking(&row)).await;
    swept.unwrap_or(Err(SweepError::Interrupted { run }))
}

fn end_blocking(row: &ProcessRow) -> Result<Swept, SweepError> {
    let current = Boot::current().map_err(|source| SweepError::Boot { source })?;
    if row.boot.host != current.host {
        return Ok(Swept::Elsewhere);
    }
    if row.boot != current {
        return Ok(Swept::Gone);
    }
    let found = wait_for_keeper(row);
    let mut killed = found;
    let deadline = Instant::now() + KILL_MAX;
    loop {
        let members = members(row);
        let Some(first) = members.first() else {
            return Ok(swept(killed.len()));
        };
        if Instant::now() >= deadline {
            let left = u32::try_from(members.len()).unwrap_or(u32::MAX);
            return Err(SweepError::Alive {
                run: row.run.clone(),
                left,
                first: *first,
            });
        }
        killed.extend(kill(&members, row.keeper));
        std::thread::sleep(INTERVAL);
    }
}

fn here(row: &ProcessRow) -> Result<bool, SweepError> {
    let current = Boot::current().map_err(|source| SweepError::Boot { source })?;
    Ok(row.boot == current)
}

fn swept(killed: usize) -> Swept {
    match u32::try_from(killed).unwrap_or(u32::MAX) {
        0 => Swept::Gone,
        killed => Swept::Killed(killed),
    }
}

/// Gives a living keeper its time, and returns whom it had to end.
fn wait_for_keeper(row: &ProcessRow) -> BTreeSet<ProcessId> {
    let found: BTreeSet<ProcessId> = members(row).into_iter().filter(|m| *m != row.keeper).collect();
    let deadline = Instant::now() + KEEPER_MAX;
    while is_alive(row.keeper) && Instant::now() < deadline {
        std::thread::sleep(INTERVAL);
    }
    found
}

/// KILL to all of them, halted first so that none of them forks meanwhile. The keeper goes last: as long as it
/// lives, whatever loses its parent is still found below it.
fn kill(members: &[ProcessId], keeper: ProcessId) -> Vec<ProcessId> {
    let others: Vec<ProcessId> = members.iter().copied().filter(|m| *m != keeper).collect();
    let targets = if others.is_empty() { vec![keeper] } else { others };
    for target in &targets {
        os::signal(*target, Signal::STOP);
    }
    targets
        .into_iter()
        .filter(|target| os::signal(*target, Signal::KILL) != Signalled::Gone)
        .collect()
}

/// Every living process of a run: below its keeper, below or in the session of its worker, and whoever bears the
/// run's name in the environment it was started with.
fn members(row: &ProcessRow) -> Vec<ProcessId> {
    let worker = row.worker.filter(|worker| is_alive(*worker));
    let keeper = Some(row.keeper).filter(|keeper| is_alive(*keeper));
    let mut found = os::kin(worker.map(|w| w.pid), &format!("{RUN_VARIABLE}={}", row.run));
    for root in [worker, keeper].into_iter().flatten() {
        found.extend(os::stat(root.pid));
        found.extend(os::descendants(root.pid));
    }
    let living: BTreeSet<ProcessId> = found.into_iter().filter(|s| !s.is_zombie).map(|s| s.id).collect();
    living.into_iter().collect()
}

fn is_alive(process: ProcessId) -> bool {
    os::stat(process.pid).is_some_and(|now| now.id == process && !now.is_zombie)
}
