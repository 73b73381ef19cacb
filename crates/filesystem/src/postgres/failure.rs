//! What the server's and the pool's errors mean for a caller.

use deadpool::managed::{PoolError, TimeoutType};
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use super::session::SessionError;
use crate::{BusyCause, OpenError, ReadError, Source};

/// Why a transaction certainly did nothing.
#[derive(Debug)]
pub(super) enum NotDone {
    /// The guard found an expectation that does not hold.
    Guard,
    /// A lock, a serialization, a connection was not had in time: the same again may go.
    Congestion,
    /// The server has no room.
    NoSpace,
    /// The server refused or was not there.
    Unavailable(Option<Source>),
}

impl NotDone {
    /// Of an error that the server answered before the end of the transaction.
    pub(super) fn of(error: Error) -> Self {
        let Some(code) = error.code() else {
            return Self::Unavailable(Some(Box::new(error)));
        };
        if *code == SqlState::DIVISION_BY_ZERO {
            Self::Guard
        } else if is_congestion(code) {
            Self::Congestion
        } else if *code == SqlState::DISK_FULL {
            Self::NoSpace
        } else {
            Self::Unavailable(Some(Box::new(error)))
        }
    }

    pub(super) fn of_checkout(error: PoolError<SessionError>) -> Self {
        match error {
            PoolError::Timeout(TimeoutType::Wait) => Self::Congestion,
            PoolError::Backend(SessionError::Server(error)) => Self::of(error),
            PoolError::Backend(error) => Self::Unavailable(Some(Box::new(error))),
            PoolError::Timeout(TimeoutType::Create | TimeoutType::Recycle)
            | PoolError::Closed
            | PoolError::NoRuntimeSpecified
            | PoolError::PostCreateHook(_) => Self::Unavailable(None),
        }
    }

    /// What it is called when it is not tried again.
    pub(super) fn cause(&self) -> Option<BusyCause> {
        match self {
            Self::Guard | Self::Congestion => Some(BusyCause::Contention),
            Self::NoSpace => Some(BusyCause::NoSpace),
            Self::Unavailable(_) => None,
        }
    }

    /// What the server said of it, or the way to it.
    pub(super) fn source(self) -> Option<Source> {
        match self {
            Self::Unavailable(source) => source,
            Self::Guard | Self::Congestion | Self::NoSpace => None,
        }
    }
}

/// 40001, 40P01, 55P03, and a server without a free connection or memory.
pub(super) fn is_congestion(code: &SqlState) -> bool {
    [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::OUT_OF_MEMORY,
    ]
    .contains(code)
}

/// Whether an error that answers the `COMMIT` itself says for certain that nothing was done.
pub(super) fn is_certain_at_commit(error: &Error) -> bool {
    error.code().is_some_and(|code| {
        *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED
    })
}

pub(super) fn unread(error: Error) -> ReadError {
    ReadError::Unavailable {
        reason: "the server",
        source: Some(Box::new(error)),
    }
}

pub(super) fn no_session(error: PoolError<SessionError>) -> ReadError {
    match error {
        PoolError::Timeout(_) => ReadError::Unavailable {
            reason: "a connection (store.pool, store.checkout)",
            source: None,
        },
        PoolError::Backend(error) => ReadError::Unavailable {
            reason: "the server",
            source: Some(Box::new(error)),
        },
        PoolError::Closed | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
            ReadError::Unavailable {
                reason: "a connection",
                source: None,
            }
        }
    }
}

pub(super) fn unreachable(reason: &str, error: Error) -> OpenError {
    OpenError::Unavailable {
        reason: reason.to_owned(),
        source: Some(Box::new(error)),
    }
}
