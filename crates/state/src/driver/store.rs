//! Where a driver saves: a trait that its user implements.

use std::error::Error;

use async_trait::async_trait;

use crate::{Applied, Snapshot};

type Source = Box<dyn Error + Send + Sync>;

/// Whether a state has to outlive a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveKind {
    /// It has, before it is acknowledged.
    Durable,
    /// It may be lost with the process: its sources tell it again. It belongs beside the durable state, not over it.
    Live,
}

/// A state to save.
#[derive(Clone, Copy, Debug)]
pub struct Save<'a> {
    /// Whether it has to outlive a crash.
    pub kind: SaveKind,
    /// The state.
    pub snapshot: &'a Snapshot,
    /// What happened since the last durable state, in order: edges for the history, effects to tell. With
    /// [`SaveKind::Live`] they are not to be told yet, they come again with the next durable save.
    pub changes: &'a [Applied],
}

/// A state as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The newest one.
    pub snapshot: Snapshot,
    /// Whether the bound run waits without a process.
    pub is_parked: bool,
}

/// A save that was not done, or of which that is not known.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// Not done: somebody else wrote since it was last read here. It is read again.
    #[error("the session was changed meanwhile")]
    Conflict,
    /// Not done: another one drives the session now. The driver ends.
    #[error("the session is driven by another one")]
    Fenced,
    /// Unknown. It is read again before anything else.
    #[error("it is unknown whether the session was saved")]
    Indeterminate(#[source] Source),
    /// Not done: the old state stands.
    #[error("the session cannot be saved now")]
    Unavailable(#[source] Source),
    /// Not done: what is stored cannot be used, and is left as it is. The driver ends.
    #[error("the stored session cannot be used")]
    Corrupt(#[source] Source),
}

/// Keeps one session.
///
/// A save is conditional: it is done only if the store still holds what was last loaded or saved here. A save that was
/// refused changed nothing. Each may be dropped at any await when the driver is told to stop for too long.
#[async_trait]
pub trait Store: Send + 'static {
    /// Reads the newest state, live or durable.
    ///
    /// # Errors
    /// [`SaveError::Unavailable`], [`SaveError::Fenced`] or [`SaveError::Corrupt`].
    async fn load(&mut self) -> Result<Stored, SaveError>;

    /// Saves a state.
    ///
    /// # Errors
    /// Each variant says what was done and what the driver does next.
    async fn save(&mut self, save: Save<'_>) -> Result<(), SaveError>;
}
