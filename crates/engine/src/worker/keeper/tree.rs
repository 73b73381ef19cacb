//! The keeper's watch over a running tree, to the last process.
//!
//! ```text
//! running ──first signal, end of the first process, supervisor gone──▶ leaving ──time over──▶ killing ──▶ empty
//! ```

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use tokio::time::Instant;

use super::link::{Heard, Link};
use super::message::{FirstSignal, Instruction, Report};
use crate::outcome::Exit;
use crate::worker::identity::ProcessId;
use crate::worker::os;

/// How long what outlives the worker's first process has to leave.
const STRAY_GRACE: Duration = Duration::from_millis(500);
/// How long a tree has to leave when its supervisor is gone.
const ORPHAN_GRACE: Duration = Duration::from_secs(2);
/// How long the kernel may need to let go of killed processes before the keeper says that some are left.
const KILL_MAX: Duration = Duration::from_secs(5);
/// How often a tree that goes on forking is halted, or killed, again.
const KILL_INTERVAL: Duration = Duration::from_millis(20);
/// How often a tree that is leaving is searched for orphans that were not asked yet.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// How often what the kernel does not let go of is looked at once that was said.
const STUCK_INTERVAL: Duration = Duration::from_secs(1);
/// Most passes to halt a tree before it is killed all the same.
const HALT_PASSES_MAX: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// Asked to leave.
    Leaving {
        kill_at: Instant,
    },
    Killing {
        since: Instant,
    },
    /// Said that some are left.
    Stuck,
}

/// A run's processes.
#[derive(Debug)]
pub(super) struct Tree {
    link: Link,
    worker: ProcessId,
    has_exited: bool,
    phase: Phase,
    /// Signals that were sent to the worker's first process.
    sent: Vec<Signal>,
    /// Who was asked to leave already.
    asked: BTreeSet<ProcessId>,
    /// Who outlived the first process.
    strays: BTreeSet<ProcessId>,
    supervisor_gone: bool,
    is_empty: bool,
    oom_kills: Option<u64>,
}

/// An error or a panic of the keeper leaves no process.
impl Drop for Tree {
    fn drop(&mut self) {
        if !self.is_empty {
            self.kill();
        }
    }
}

impl Tree {
    pub(super) fn new(link: Link, worker: ProcessId, oom_kills: Option<u64>) -> Self {
        Self {
            link,
            worker,
            has_exited: false,
            phase: Phase::Running,
            sent: Vec::new(),
            asked: BTreeSet::new(),
            strays: BTreeSet::new(),
            supervisor_gone: false,
            is_empty: false,
            oom_kills,
        }
    }

    /// Until no process is left. It ends: every way leads to the kill, and the kernel keeps no killed process
    /// but in a call that cannot be interrupted.
    pub(super) fn keep(mut self) -> io::Result<()> {
        loop {
            if self.reap()? {
                self.is_empty = true;
                self.report_empty(0);
                return Ok(());
            }
            self.advance(Instant::now());
            self.link.wait(self.timeout(Instant::now()))?;
            self.hear(Instant::now());
        }
    }

    /// Waits for every child that ended, and says whether none is left.
    fn reap(&mut self) -> io::Result<bool> {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status)))
                    if pid.as_raw_nonzero().get() == self.worker.pid && !self.has_exited =>
                {
                    self.exited(status);
                }
                Ok(Some(_)) => {}
                Ok(None) => return Ok(false),
                Err(Errno::CHILD) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(other) => return Err(other.into()),
            }
        }
    }

    /// The first process left. How it left stands, whatever becomes of the rest.
    fn exited(&mut self, status: WaitStatus) {
        self.has_exited = true;
        let signal = status.terminating_signal();
        let by_us = signal.is_some_and(|s| self.sent.iter().any(|ours| ours.as_raw() == s));
        let killed = signal == Some(Signal::KILL.as_raw()) && !by_us;
        let oom = killed && os::oom_kills() > self.oom_kills;
        let exit = Exit {
            code: status.exit_status(),
            signal,
            by_us,
            oom,
        };
        self.say(&Report::Exited {
            exit,
            signalled: !self.sent.is_empty(),
        });
        if self.phase == Phase::Running {
            self.phase = Phase::Leaving {
                kill_at: Instant::now() + STRAY_GRACE,
            };
        }
    }

    fn advance(&mut self, now: Instant) {
        match self.phase {
            Phase::Running => {}
            Phase::Leaving { kill_at } if now >= kill_at => {
                self.phase = Phase::Killing { since: now };
                self.kill();
            }
            Phase::Leaving { .. } if self.has_exited || self.supervisor_gone => self.ask_all(),
            Phase::Leaving { .. } => {}
            Phase::Killing { since } if now >= since + KILL_MAX => {
                let left = living().len();
                self.phase = Phase::Stuck;
                self.report_empty(u32::try_from(left).unwrap_or(u32::MAX));
            }
            Phase::Killing { .. } | Phase::Stuck => self.kill(),
        }
    }

    fn timeout(&self, now: Instant) -> Option<Duration> {
        match self.phase {
            Phase::Running => None,
            // An orphan that is adopted meanwhile rings no bell: it is looked for.
            Phase::Leaving { kill_at } if self.has_exited => {
                Some(LOOK_INTERVAL.min(kill_at.saturating_duration_since(now)))
            }
            Phase::Leaving { kill_at } => Some(kill_at.saturating_duration_since(now)),
            Phase::Killing { .. } => Some(KILL_INTERVAL),
            Phase::Stuck => Some(STUCK_INTERVAL),
        }
    }

    fn hear(&mut self, now: Instant) {
        loop {
            match self.link.take() {
                Ok(Heard::Nothing) => return,
                Ok(Heard::Instruction(Instruction::Stop { first, grace_ms })) => {
                    self.stop(first, now + Duration::from_millis(grace_ms));
                }
                Ok(Heard::Instruction(Instruction::Kill)) => self.leave_by(now),
                Ok(Heard::Instruction(Instruction::Launch(_) | Instruction::Go)) => {}
                // A supervisor that talks nonsense is no better than one that is gone.
                Ok(Heard::End) | Err(_) => {
                    self.orphaned(now);
                    return;
                }
            }
        }
    }

    /// The first stop stands; a second one changes nothing.
    fn stop(&mut self, first: FirstSignal, kill_at: Instant) {
        if self.phase != Phase::Running {
            return;
        }
        self.phase = Phase::Leaving { kill_at };
        let signal = match first {
            FirstSignal::Terminate => Signal::TERM,
            FirstSignal::Interrupt => Signal::INT,
        };
        self.sent.push(signal);
        // The first process was not waited for, so its number is still that of its group.
        let group = Pid::from_raw(self.worker.pid).expect("a child's number is positive");
        let _ = rustix::process::kill_process_group(group, signal);
    }

    /// Brings the kill forward, never back.
    fn leave_by(&mut self, kill_at: Instant) {
        self.phase = match self.phase {
            Phase::Running => Phase::Leaving { kill_at },
            Phase::Leaving { kill_at: before } => Phase::Leaving {
                kill_at: kill_at.min(before),
            },
            later @ (Phase::Killing { .. } | Phase::Stuck) => later,
        };
    }

    fn orphaned(&mut self, now: Instant) {
        if !self.supervisor_gone {
            self.supervisor_gone = true;
            self.leave_by(now + ORPHAN_GRACE);
        }
    }

    /// TERM to everyone who had none yet.
    fn ask_all(&mut self) {
        for process in living() {
            if self.asked.insert(process) {
                self.note(process, Signal::TERM);
                os::signal(process, Signal::TERM);
            }
        }
    }

    /// KILL to everyone. They are halted first, parents before their children: a tree at the limit of its processes
    /// that forks all the time would otherwise use each place that a death makes free.
    fn kill(&mut self) {
        let mut halted = BTreeSet::new();
        for _ in 0..HALT_PASSES_MAX {
            // Those that ended are let go first: a list that is long with them is old when it is read to its end.
            if self.reap().unwrap_or(false) {
                return;
            }
            let before = halted.len();
            os::walk(own_pid(), |process| {
                if !process.is_zombie && halted.insert(process.id) {
                    os::signal(process.id, Signal::STOP);
                }
            });
            if halted.len() == before {
                break;
            }
        }
        for process in halted {
            self.note(process, Signal::KILL);
            os::signal(process, Signal::KILL);
        }
    }

    /// Remembers what was ours of the ends to come.
    fn note(&mut self, process: ProcessId, signal: Signal) {
        if process == self.worker {
            self.sent.push(signal);
        } else if self.has_exited {
            self.strays.insert(process);
        }
    }

    fn report_empty(&mut self, left: u32) {
        let strays = u32::try_from(self.strays.len()).unwrap_or(u32::MAX);
        self.say(&Report::Empty {
            usage: os::children_usage(),
            strays,
            left,
        });
    }

    /// Nobody may be there to hear it, and the tree is ended all the same.
    fn say(&mut self, report: &Report) {
        let _ = self.link.report(report);
    }
}

fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

/// Everyone below the keeper who has not ended.
fn living() -> Vec<ProcessId> {
    os::descendants(own_pid())
        .into_iter()
        .filter(|s| !s.is_zombie)
        .map(|s| s.id)
        .collect()
}
