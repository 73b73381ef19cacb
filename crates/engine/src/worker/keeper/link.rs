//! The keeper's ears: its supervisor's socket, and the signal that says a child has changed.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use super::handed::Handed;
use super::message::{Frames, Instruction, Report, frame};

/// What came over the socket.
#[derive(Debug)]
pub(super) enum Heard {
    Instruction(Instruction),
    /// The supervisor is gone.
    End,
    /// Nothing that is whole.
    Nothing,
}

/// The socket and the signals.
#[derive(Debug)]
pub(super) struct Link {
    socket: UnixStream,
    frames: Frames,
    is_over: bool,
    /// Readable when a child has changed.
    children: UnixStream,
}

impl Link {
    /// Takes the socket from standard input, what is handed over it first, and catches the signals.
    pub(super) fn open() -> io::Result<(Self, Handed)> {
        let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        let handed = Handed::receive(&socket)?;
        let link = Self {
            socket,
            frames: Frames::default(),
            is_over: false,
            children: catch_signals()?,
        };
        Ok((link, handed))
    }

    /// Waits for the next instruction, or the end.
    pub(super) fn hear(&mut self) -> io::Result<Heard> {
        loop {
            match self.take()? {
                Heard::Nothing => self.fill(),
                heard => return Ok(heard),
            }
        }
    }

    /// Waits for something to happen, at most so long.
    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = timeout.map(|t| {
            Timespec::try_from(t).unwrap_or(Timespec {
                tv_sec: 3600,
                tv_nsec: 0,
            })
        });
        let mut ready = vec![PollFd::new(&self.children, PollFlags::IN)];
        if !self.is_over {
            ready.push(PollFd::new(&self.socket, PollFlags::IN));
        }
        match poll(&mut ready, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(other) => return Err(other.into()),
        }
        let [children, socket] = [0, 1].map(|nth| ready.get(nth).is_some_and(|r| !r.revents().is_empty()));
        // First the bell is silenced, then what it rang for is looked at: never the other way round.
        if children {
            let _ = self.children.read(&mut [0; 64]);
        }
        if socket {
            self.fill();
        }
        Ok(())
    }

    /// The next instruction that is here already. The end is told once.
    pub(super) fn take(&mut self) -> io::Result<Heard> {
        match self.frames.next()? {
            Some(instruction) => Ok(Heard::Instruction(instruction)),
            None if self.is_over => Ok(Heard::End),
            None => Ok(Heard::Nothing),
        }
    }

    /// Says something. Reports are small: the socket has room for all that a run ever makes.
    pub(super) fn report(&mut self, report: &Report) -> io::Result<()> {
        self.socket.write_all(&frame(report)?)
    }

    fn fill(&mut self) {
        let mut bytes = [0; 16 * 1024];
        match self.socket.read(&mut bytes) {
            Ok(0) => self.is_over = true,
            Ok(read) => self.frames.extend(&bytes[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A supervisor that died with bytes unread, or cannot be heard for another reason.
            Err(_) => self.is_over = true,
        }
    }
}

/// Catches every signal that can be caught (faults of the keeper itself left out), and rings on a change of a child.
///
/// Caught and not ignored: an exec makes a caught signal the default again, whatever was inherited, while an
/// ignored one would stay ignored in the worker.
fn catch_signals() -> io::Result<UnixStream> {
    let (bell, ringer) = UnixStream::pair()?;
    bell.set_nonblocking(true)?;
    let never = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let child = Signal::CHILD.as_raw();
    let is_ours =
        |s: &i32| *s != child && *s != Signal::BUS.as_raw() && !signal_hook::consts::FORBIDDEN.contains(s);
    signal_hook::low_level::pipe::register(child, ringer)?;
    for signal in (1..32).filter(is_ours) {
        signal_hook::flag::register(signal, never.clone())?;
    }
    Ok(bell)
}

/// Gives up the worker's pipes.
pub(super) fn close_outputs() -> io::Result<()> {
    let null = File::options().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}
