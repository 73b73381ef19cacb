//! Being asked to stop.

use std::fs::File;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Exit;

/// What asks a command to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// Ctrl-C.
    Interrupt,
    /// SIGTERM, or the terminal has gone.
    Terminate,
}

/// What a server is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// To leave.
    Stop,
    /// To read its settings again: SIGHUP of one whose terminal, if it had one, is still there.
    Reload,
}

/// The signals that ask a command to stop; from here on none of them ends the process by itself.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hangup: Option<Signal>,
    had_terminal: bool,
    /// To read its settings again was heard while nobody could heed it.
    is_reload_due: bool,
}

impl Signals {
    /// Begins to listen.
    pub(super) fn listen() -> Self {
        // Where a handler cannot be installed the signal keeps ending the process.
        let of = |kind| signal(kind).ok();
        Self {
            interrupt: of(SignalKind::interrupt()),
            terminate: of(SignalKind::terminate()),
            hangup: of(SignalKind::hangup()),
            had_terminal: has_terminal(),
            is_reload_due: false,
        }
    }

    /// Waits for the next one, of a server; what [`Signals::stop_of_server`] heard beside is due first.
    pub(super) async fn of_server(&mut self) -> Heard {
        match std::mem::take(&mut self.is_reload_due) {
            true => Heard::Reload,
            false => self.arriving().await,
        }
    }

    async fn arriving(&mut self) -> Heard {
        tokio::select! {
            () = arrives(&mut self.interrupt) => Heard::Stop,
            () = arrives(&mut self.terminate) => Heard::Stop,
            () = arrives(&mut self.hangup) => {
                // A shell says the same when its terminal goes: whoever served there is gone.
                match self.had_terminal && !has_terminal() {
                    true => Heard::Stop,
                    false => Heard::Reload,
                }
            }
        }
    }

    /// Waits until a server is asked to leave; that it is to read its settings again is kept for [`Signals::of_server`].
    pub(super) async fn stop_of_server(&mut self) {
        // Ends with the signal to leave.
        while self.arriving().await == Heard::Reload {
            self.is_reload_due = true;
        }
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) -> Asked {
        tokio::select! {
            () = arrives(&mut self.interrupt) => Asked::Interrupt,
            () = arrives(&mut self.terminate) => Asked::Terminate,
            () = arrives(&mut self.hangup) => Asked::Terminate,
        }
    }
}

/// Whether this process has a terminal that controls it.
fn has_terminal() -> bool {
    File::open("/dev/tty").is_ok()
}

async fn arrives(signal: &mut Option<Signal>) {
    if let Some(signal) = signal
        && signal.recv().await.is_some()
    {
        return;
    }
    std::future::pending::<()>().await;
}

/// Waits until a command is asked to stop, and says how it then ends.
pub(super) async fn first() -> Exit {
    Signals::listen().next().await;
    Exit::Cancelled
}
