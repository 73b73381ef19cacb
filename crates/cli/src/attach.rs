//! How a command finds the store: the order of program.md, decided in one pure function.

/// What connecting to the control socket gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketFound {
    /// Somebody answers.
    Live,
    /// Nobody does, or there is none.
    Silent,
}

/// What an attempt at the owner lock gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockFound {
    /// It is ours now.
    Held,
    /// Another process has it.
    Busy,
    /// Not tried yet.
    Untried,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Be a client of the server that was named.
    UseServer,
    /// Be a client of the owner.
    UseSocket,
    /// Try the owner lock.
    TryLock,
    /// Open the store and serve it.
    Own,
    /// Wait a little, at random, and look at the socket again.
    Retry,
    /// Nothing was ready in time.
    GiveUp,
}

/// The next step, from what is known.
#[must_use]
pub const fn decide(
    is_server_named: bool,
    socket: SocketFound,
    lock: LockFound,
    has_time_left: bool,
) -> Step {
    match (is_server_named, socket, lock) {
        // Never another store than the one that was named.
        (true, ..) => Step::UseServer,
        (false, SocketFound::Live, LockFound::Untried | LockFound::Busy) => Step::UseSocket,
        (false, SocketFound::Silent, LockFound::Untried) => Step::TryLock,
        // With the lock in hand a socket that answers is not an owner's: binding says so.
        (false, _, LockFound::Held) => Step::Own,
        (false, SocketFound::Silent, LockFound::Busy) if has_time_left => Step::Retry,
        (false, SocketFound::Silent, LockFound::Busy) => Step::GiveUp,
    }
}
