//! A handle to one life of a session: it holds no copy of its state, and a switch that ends with it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use dormouse_state::driver::Driven;
use dormouse_state::{Answer, Command, Observed, Rejected, Snapshot};
use tokio_util::sync::CancellationToken;

use super::SessionService;
use crate::{CommandError, Principal, SessionId};

/// One life of a session. Cloning is cheap; after the end of that life each use is `StaleIncarnation`, or is refused
/// by the session that has ended.
#[derive(Debug, Clone)]
pub struct SessionContext(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sessions: SessionService,
    session: SessionId,
    incarnation: u32,
    cancel: CancellationToken,
}

impl SessionContext {
    pub(super) fn new(sessions: SessionService, session: SessionId, incarnation: u32) -> Self {
        let cancel = sessions.core().switches.enter(session, incarnation);
        Self(Arc::new(Inner {
            sessions,
            session,
            incarnation,
            cancel,
        }))
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.0.session
    }

    /// Which of its lives.
    #[must_use]
    pub fn incarnation(&self) -> u32 {
        self.0.incarnation
    }

    /// Waits until somebody in this process ends that life. Another process's end is seen by the next use.
    pub async fn cancelled(&self) {
        self.0.cancel.cancelled().await;
    }

    /// Whether it was ended in this process.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.cancel.is_cancelled()
    }

    /// The newest state.
    ///
    /// # Errors
    /// `StaleIncarnation`; as any read.
    pub async fn state(&self) -> Result<Snapshot, CommandError> {
        let inner = &self.0;
        let state = inner.sessions.state(inner.session).await?;
        self.check(state.incarnation)?;
        Ok(state)
    }

    /// Tells what was observed in this life.
    ///
    /// # Errors
    /// `StaleIncarnation`; as [`SessionService::observe`].
    pub async fn observe(&self, observed: &Observed) -> Result<Driven, CommandError> {
        let inner = &self.0;
        let observed = Observed {
            incarnation: inner.incarnation,
            ..observed.clone()
        };
        let driven = inner.sessions.observe(inner.session, &observed).await?;
        if driven.answer == Answer::Rejected(Rejected::Incarnation) {
            let current = inner.sessions.require(inner.session).await?.state.incarnation;
            self.check(current)?;
        }
        Ok(driven)
    }

    /// Tells what the engine says to this life.
    ///
    /// # Errors
    /// `StaleIncarnation`; as [`SessionService::command`].
    pub async fn command(&self, by: &Principal, command: &Command) -> Result<Answer, CommandError> {
        let inner = &self.0;
        inner
            .sessions
            .command_in(by, inner.session, Some(inner.incarnation), command)
            .await
    }

    fn check(&self, current: u32) -> Result<(), CommandError> {
        if current == self.0.incarnation {
            return Ok(());
        }
        Err(CommandError::StaleIncarnation {
            session: self.0.session,
            current,
        })
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.sessions
            .core()
            .switches
            .leave(self.session, self.incarnation);
    }
}

/// The switches of the contexts of this process.
#[derive(Debug, Default)]
pub(crate) struct Switches(Mutex<HashMap<(SessionId, u32), Switch>>);

#[derive(Debug, Default)]
struct Switch {
    contexts: usize,
    cancel: CancellationToken,
}

impl Switches {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.with(|switches| switches.len())
    }

    fn enter(&self, session: SessionId, incarnation: u32) -> CancellationToken {
        self.with(|switches| {
            let switch = switches.entry((session, incarnation)).or_default();
            switch.contexts += 1;
            switch.cancel.clone()
        })
    }

    fn leave(&self, session: SessionId, incarnation: u32) {
        self.with(|switches| {
            let Some(switch) = switches.get_mut(&(session, incarnation)) else {
                return;
            };
            switch.contexts -= 1;
            if switch.contexts == 0 {
                switches.remove(&(session, incarnation));
            }
        });
    }

    /// Cancels the contexts of a life.
    pub(super) fn cancel(&self, session: SessionId, incarnation: u32) {
        self.with(|switches| {
            if let Some(switch) = switches.get(&(session, incarnation)) {
                switch.cancel.cancel();
            }
        });
    }

    fn with<T>(&self, f: impl FnOnce(&mut HashMap<(SessionId, u32), Switch>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
