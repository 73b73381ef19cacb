//! The one task of a running worker: it drains the pipes, hears the keeper, passes instructions on.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStderr, ChildStdout};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until, timeout};

use super::buffer::Buffer;
use super::{Ended, Gone, Output};
use crate::outcome::{Exit, ResourceUsage};
use crate::worker::identity::ProcessRow;
use crate::worker::keeper::message::{Frames, Instruction, Report, frame};
use crate::worker::orphans;

/// How long pipes are drained after the tree is empty: somebody outside of it may hold them open.
const DRAIN_MAX: Duration = Duration::from_secs(2);
/// How long a keeper that said its last word has to leave.
const KEEPER_LEAVES_MAX: Duration = Duration::from_secs(1);
/// Most bytes taken from a pipe at once.
const READ_MAX: usize = 64 * 1024;
/// The same of the report channel, on which little comes.
const REPORT_READ_MAX: usize = 8 * 1024;

/// The connections to a keeper and its worker.
#[derive(Debug)]
pub(super) struct Wire {
    socket: UnixStream,
    frames: Frames,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    report: Option<pipe::Receiver>,
}

impl Wire {
    pub(super) fn new(
        socket: UnixStream,
        stdout: ChildStdout,
        stderr: ChildStderr,
        report: pipe::Receiver,
    ) -> Self {
        Self {
            socket,
            frames: Frames::default(),
            stdout: Some(stdout),
            stderr: Some(stderr),
            report: Some(report),
        }
    }

    pub(super) async fn send(&mut self, instruction: &Instruction) -> io::Result<()> {
        self.socket.write_all(&frame(instruction)?).await
    }

    fn close(&mut self, output: Output) {
        match output {
            Output::Stdout => self.stdout = None,
            Output::Stderr => self.stderr = None,
            Output::Report => self.report = None,
        }
    }

    fn is_closed(&self) -> bool {
        self.stdout.is_none() && self.stderr.is_none() && self.report.is_none()
    }

    /// The next report; none when the keeper is gone. Dropping the future loses nothing.
    pub(super) async fn report(&mut self) -> io::Result<Option<Report>> {
        report(&mut self.socket, &mut self.frames).await
    }
}

async fn report(socket: &mut UnixStream, frames: &mut Frames) -> io::Result<Option<Report>> {
    let mut bytes = [0; 1024];
    loop {
        if let Some(report) = frames.next()? {
            return Ok(Some(report));
        }
        match socket.read(&mut bytes).await {
            Ok(0) => return Ok(None),
            Ok(read) => frames.extend(&bytes[..read]),
            // A keeper that died with bytes unread.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// What a pipe has; never, when it is closed.
async fn read(pipe: Option<&mut (impl AsyncRead + Unpin)>, bytes: &mut [u8]) -> io::Result<usize> {
    match pipe {
        Some(pipe) => pipe.read(bytes).await,
        None => std::future::pending().await,
    }
}

/// A reader must not wait for a task that is no more.
#[derive(Debug)]
struct CloseOnDrop(Arc<Buffer>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What is known of the end so far.
#[derive(Debug, Clone, Copy)]
enum End {
    Running,
    Draining {
        until: Instant,
        usage: ResourceUsage,
        strays: u32,
        left: u32,
        keeper_lost: bool,
    },
}

/// The task. Aborted, it closes the socket, by which the keeper knows.
#[derive(Debug)]
pub(super) struct Pump {
    wire: Wire,
    keeper: Child,
    inbox: UnboundedReceiver<Instruction>,
    buffer: Arc<Buffer>,
    row: ProcessRow,
    exit: Option<(Exit, bool)>,
    end: End,
}

/// Where what comes out of the pipes is read to.
struct Read {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    report: Vec<u8>,
}

impl Read {
    fn new() -> Self {
        let [stdout, stderr] = [0; 2].map(|_| vec![0; READ_MAX]);
        Self {
            stdout,
            stderr,
            report: vec![0; REPORT_READ_MAX],
        }
    }

    fn of(&self, output: Output) -> &[u8] {
        match output {
            Output::Stdout => &self.stdout,
            Output::Stderr => &self.stderr,
            Output::Report => &self.report,
        }
    }
}

/// One thing that happened.
enum Step {
    Report(io::Result<Option<Report>>),
    Output(Output, io::Result<usize>),
    Instruction(Option<Instruction>),
    DrainedLongEnough,
}

impl Pump {
    pub(super) fn new(
        wire: Wire,
        keeper: Child,
        inbox: UnboundedReceiver<Instruction>,
        buffer: Arc<Buffer>,
        row: ProcessRow,
    ) -> Self {
        Self {
            wire,
            keeper,
            inbox,
            buffer,
            row,
            exit: None,
            end: End::Running,
        }
    }

    pub(super) async fn run(mut self) {
        let closes = CloseOnDrop(self.buffer.clone());
        let mut read = Read::new();
        // Ends: the keeper says that the tree is empty, or is gone itself, and the pipes have their time.
        while !self.is_over() {
            let step = self.step(&mut read).await;
            self.take(step, &read).await;
        }
        // Nothing is left when the keeper has left too; one that still waits for the kernel is left to that.
        let _ = timeout(KEEPER_LEAVES_MAX, self.keeper.wait()).await;
        self.buffer.gone(self.gone());
        drop(closes);
    }

    async fn step(&mut self, into: &mut Read) -> Step {
        let until = match self.end {
            End::Running => None,
            End::Draining { until, .. } => Some(until),
        };
        let is_running = until.is_none();
        let Wire {
            socket,
            frames,
            stdout,
            stderr,
            report: third,
        } = &mut self.wire;
        tokio::select! {
            report = report(socket, frames), if is_running => Step::Report(report),
            read = read(stdout.as_mut(), &mut into.stdout), if stdout.is_some() => Step::Output(Output::Stdout, read),
            read = read(stderr.as_mut(), &mut into.stderr), if stderr.is_some() => Step::Output(Output::Stderr, read),
            read = read(third.as_mut(), &mut into.report), if third.is_some() => Step::Output(Output::Report, read),
            instruction = self.inbox.recv(), if is_running => Step::Instruction(instruction),
            () = sleep_until(until.unwrap_or_else(Instant::now)), if !is_running => Step::DrainedLongEnough,
        }
    }

    async fn take(&mut self, step: Step, bytes: &Read) {
        match step {
            Step::Report(Ok(Some(report))) => self.heard(&report),
            Step::Report(Ok(None) | Err(_)) => self.keeper_lost().await,
            Step::Output(output, Ok(read @ 1..)) => self.buffer.push(output, &bytes.of(output)[..read]),
            Step::Output(output, Ok(0) | Err(_)) => self.wire.close(output),
            Step::Instruction(Some(instruction)) => {
                // A keeper that cannot be told is about to be found lost.
                let _ = self.wire.send(&instruction).await;
            }
            // Its sender lives as long as this task.
            Step::Instruction(None) => {}
            Step::DrainedLongEnough => {
                (self.wire.stdout, self.wire.stderr, self.wire.report) = (None, None, None);
            }
        }
    }

    fn heard(&mut self, report: &Report) {
        match *report {
            Report::Exited { exit, signalled } => {
                self.exit = Some((exit, signalled));
                self.buffer.exited(exit);
            }
            Report::Empty { usage, strays, left } => {
                if left > 0 {
                    tracing::error!(run = %self.row.run, left, "the kernel does not let go of killed processes");
                }
                self.end = End::Draining {
                    until: Instant::now() + DRAIN_MAX,
                    usage,
                    strays,
                    left,
                    keeper_lost: false,
                };
            }
            // Not said twice.
            Report::Ready { .. } | Report::Failed { .. } | Report::Started { .. } => {}
        }
    }

    /// The tree without its keeper: killed by its row.
    async fn keeper_lost(&mut self) {
        tracing::error!(run = %self.row.run, keeper = %self.row.keeper, "a keeper vanished; its tree is killed by its row");
        let left = match orphans::end(&self.row).await {
            Ok(_) => 0,
            Err(error) => {
                tracing::error!(run = %self.row.run, %error, "a tree could not be ended");
                error.left()
            }
        };
        let usage = ResourceUsage::default();
        self.end = End::Draining {
            until: Instant::now() + DRAIN_MAX,
            usage,
            strays: 0,
            left,
            keeper_lost: true,
        };
    }

    fn is_over(&self) -> bool {
        matches!(self.end, End::Draining { .. }) && self.wire.is_closed()
    }

    fn gone(&self) -> Gone {
        let End::Draining {
            usage,
            strays,
            left,
            keeper_lost,
            ..
        } = self.end
        else {
            unreachable!("it is over");
        };
        let ended = match self.exit {
            Some((exit, signalled)) if !keeper_lost => Ended::Exited { exit, signalled },
            Some(_) | None => Ended::KeeperLost,
        };
        Gone {
            ended,
            usage,
            strays,
            left,
            elided_bytes: self.buffer.elided_bytes(),
        }
    }
}
