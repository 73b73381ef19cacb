//! Being asked to stop.

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

/// The signals that ask a command to stop; from here on none of them ends the process by itself.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hangup: Option<Signal>,
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
