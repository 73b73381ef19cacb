//! What an owner is, and what may happen to it: program.md's table, as far as one process can see it.

use tokio::sync::watch;

/// What the owner of a store is at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// There is none: no lock is held and no socket is left.
    Absent,
    /// It holds the lock and opens the store.
    Starting,
    /// It answers on its socket.
    Serving,
    /// It ends streams, finishes requests and leaves.
    Draining,
    /// It was killed: the lock is free, its socket is left.
    Dead,
}

/// What happens to an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A client connects to the socket.
    Connect,
    /// Another process wants to own the store.
    Candidate,
    /// It is asked to stop, or its own work is done.
    Stop,
    /// SIGKILL.
    Kill,
}

/// A cell of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It happens, and the phase stays.
    Apply,
    /// It happens, and the phase becomes this.
    Become(Phase),
    /// Nothing happens, and nobody minds.
    Ignore(&'static str),
    /// Nothing happens, and whoever asked looks again.
    Reject(&'static str),
}

/// Waits until the owner drains, or is no more.
pub async fn is_draining(phase: &mut watch::Receiver<Phase>) {
    let _ = phase.wait_for(|phase| *phase == Phase::Draining).await;
}

/// All phases.
pub const PHASES: [Phase; 5] = [
    Phase::Absent,
    Phase::Starting,
    Phase::Serving,
    Phase::Draining,
    Phase::Dead,
];
/// All events.
pub const EVENTS: [Event; 4] = [Event::Connect, Event::Candidate, Event::Stop, Event::Kill];

impl Phase {
    /// What an event does in this phase.
    #[must_use]
    pub const fn on(self, event: Event) -> Answer {
        use Answer::{Apply, Become, Ignore, Reject};
        match (self, event) {
            (Self::Absent | Self::Dead, Event::Connect) => Reject("refused"),
            (Self::Absent | Self::Dead, Event::Candidate) => Become(Self::Starting),
            (Self::Absent | Self::Dead, Event::Stop | Event::Kill) => Ignore("no process"),
            (Self::Starting, Event::Connect) => Reject("not listening"),
            (Self::Starting | Self::Draining, Event::Candidate) => Reject("lock busy"),
            (Self::Starting | Self::Serving, Event::Stop) => Become(Self::Draining),
            (Self::Starting | Self::Serving | Self::Draining, Event::Kill) => Become(Self::Dead),
            (Self::Serving, Event::Connect) => Apply,
            (Self::Serving, Event::Candidate) => Reject("served by another process"),
            (Self::Draining, Event::Connect) => Reject("draining"),
            (Self::Draining, Event::Stop) => Ignore("already"),
        }
    }
}
