//! A worker that runs.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::unix::pipe::Sender;
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::task::AbortOnDropHandle;

use super::Output;
use super::buffer::Buffer;
use crate::command::GRACE_DEFAULT;
use crate::outcome::{Exit, ResourceUsage};
use crate::worker::identity::ProcessRow;
use crate::worker::isolation::Level;
use crate::worker::keeper::message::{FirstSignal, Instruction};
use crate::worker::os;

/// What happens to a running worker, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LiveEvent {
    /// It wrote this.
    Stdout(Bytes),
    /// It wrote this on standard error.
    Stderr(Bytes),
    /// It wrote this on its report channel.
    Report(Bytes),
    /// It wrote more here, and its reader was too slow. For a scrubber this is a cut: no value reaches across it.
    Elided {
        /// The stream.
        output: Output,
        /// How many bytes are missing.
        bytes: u64,
    },
    /// Its first process left. Others may be left; they are being ended.
    Exited(Exit),
    /// Nothing is left. The last event.
    Gone(Gone),
}

/// The end of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone {
    /// How.
    pub ended: Ended,
    /// What its processes used.
    pub usage: ResourceUsage,
    /// Processes that outlived the first one and were ended.
    pub strays: u32,
    /// Processes that were killed and that the kernel has not let go of within 5 s; the keeper goes on waiting.
    pub left: u32,
    /// Output that its reader was too slow for, in bytes.
    pub elided_bytes: u64,
}

/// How a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Its first process left.
    Exited {
        /// How.
        exit: Exit,
        /// Whether a signal of ours was sent to it before: an exit after it is no finish.
        signalled: bool,
    },
    /// The keeper vanished, and the tree was killed by its row.
    KeeperLost,
}

/// A stop that leaves the worker time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// The signal to its group at once.
    pub first: FirstSignal,
    /// From that signal to the kill.
    pub grace: Duration,
}

impl Default for Stop {
    fn default() -> Self {
        Self {
            first: FirstSignal::default(),
            grace: GRACE_DEFAULT,
        }
    }
}

/// A worker that runs. Dropped, its tree is killed: TERM, 2 s, KILL.
#[derive(Debug)]
pub struct Live {
    pub(super) row: ProcessRow,
    pub(super) level: Level,
    pub(super) buffer: Arc<Buffer>,
    pub(super) instructions: UnboundedSender<Instruction>,
    pub(super) feed: Option<Sender>,
    pub(super) _pump: AbortOnDropHandle<()>,
}

impl Live {
    /// What must be known to end it without its keeper, the worker's process included.
    #[must_use]
    pub fn row(&self) -> &ProcessRow {
        &self.row
    }

    /// How it is walled in.
    #[must_use]
    pub fn isolation(&self) -> Level {
        self.level
    }

    /// The next event; none after [`LiveEvent::Gone`]. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<LiveEvent> {
        self.buffer.next().await
    }

    /// What writes to its standard input, once, of a worker that is fed ([`Feed::Piped`](super::Feed::Piped)). Dropped, the
    /// worker reads its end.
    pub fn take_feed(&mut self) -> Option<Sender> {
        self.feed.take()
    }

    /// How its first process left, as soon as that is known, however much output waits before the event: what a
    /// clock that runs out looks at first.
    #[must_use]
    pub fn exit(&self) -> Option<Exit> {
        self.buffer.exit()
    }

    /// Asks it to leave, and kills the tree when the grace is over. The first stop stands.
    pub fn stop(&self, stop: Stop) {
        let grace_ms = u64::try_from(stop.grace.as_millis()).unwrap_or(u64::MAX);
        self.instruct(Instruction::Stop {
            first: stop.first,
            grace_ms,
        });
    }

    /// Kills the tree.
    pub fn kill(&self) {
        self.instruct(Instruction::Kill);
    }

    /// Processor time of the tree so far: silence with work is no idleness. It may be a little lower than a former
    /// answer when a process has just left.
    pub async fn cpu(&self) -> Duration {
        let keeper = self.row.keeper.pid;
        let sample = move || {
            os::stat(keeper)
                .into_iter()
                .chain(os::descendants(keeper))
                .map(|s| s.cpu)
                .sum()
        };
        tokio::task::spawn_blocking(sample).await.unwrap_or_default()
    }

    fn instruct(&self, instruction: Instruction) {
        // A pump that is gone has told its end already.
        let _ = self.instructions.send(instruction);
    }
}
