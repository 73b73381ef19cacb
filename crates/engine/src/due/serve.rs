//! Serving what is due, once: each row by itself, so that one that is damaged stops no other.

use std::fmt;

use crate::engine::Engine;
use crate::session::{SessionIndex, SessionRow};
use crate::{CommandError, TenantId};

/// What was due and was served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DueServed {
    /// Gates that expired.
    pub gates: usize,
    /// Capabilities that did.
    pub capabilities: usize,
    /// Sessions that became idle.
    pub sessions: usize,
    /// Sessions that were passed over, because their drivers in this process see to it.
    pub driven: usize,
    /// Rows that cannot be read or written, and are as they were.
    pub left: usize,
}

impl Engine {
    /// Serves what is due now, once: a commit each. A row that cannot be believed is left as it is, counted and told in
    /// the log.
    ///
    /// # Errors
    /// A store that does not answer: the first error, after all were tried.
    pub async fn serve_due_once(&self) -> Result<DueServed, CommandError> {
        let sessions = self.idle_due().await;
        let expired = self.expire_due().await?;
        let sessions = sessions?;
        Ok(DueServed {
            gates: expired.gates,
            capabilities: expired.capabilities,
            left: expired.left + sessions.left,
            ..sessions
        })
    }

    /// Makes those sessions idle whose time has come and that no driver of this process sees to.
    async fn idle_due(&self) -> Result<DueServed, CommandError> {
        let now = self.environment().clock.now();
        let (mut tried, mut driven) = (Tried::of("session"), 0);
        for (tenant, session) in self.found::<SessionRow>(SessionIndex::Due, Some(now)).await? {
            let sessions = self.handle(&tenant).sessions;
            if sessions.has_driver(session) {
                driven += 1;
                continue;
            }
            tried.note(&tenant, &session, sessions.idle_if_due(session).await);
        }
        let tried = tried.told()?;
        Ok(DueServed {
            sessions: tried.served,
            left: tried.left,
            driven,
            ..DueServed::default()
        })
    }
}

/// What came of going over rows that are due.
#[derive(Debug)]
pub(crate) struct Tried {
    what: &'static str,
    /// How many were served.
    pub(crate) served: usize,
    /// How many cannot be.
    pub(crate) left: usize,
    trouble: Option<CommandError>,
}

impl Tried {
    /// None so far, of rows of this name.
    pub(crate) fn of(what: &'static str) -> Self {
        Self {
            what,
            served: 0,
            left: 0,
            trouble: None,
        }
    }

    /// Whether a row was served.
    pub(crate) fn note(
        &mut self,
        tenant: &TenantId,
        id: &impl fmt::Display,
        was_served: Result<bool, CommandError>,
    ) {
        let what = self.what;
        match was_served {
            Ok(was_served) => self.served += usize::from(was_served),
            Err(error) if is_of_store(&error) => drop(self.trouble.get_or_insert(error)),
            Err(error) => {
                tracing::warn!(%tenant, %id, %error, "the time of a {what} is up, and it is left as it is");
                self.left += 1;
            }
        }
    }

    /// The counts, unless the store had trouble.
    pub(crate) fn told(self) -> Result<Self, CommandError> {
        match self.trouble {
            None => Ok(self),
            Some(error) => Err(error),
        }
    }
}

/// Whether the store did not answer, so that the same again may go well; every other error is of the row, and stays.
pub(crate) fn is_of_store(error: &CommandError) -> bool {
    matches!(
        error,
        CommandError::Contended { .. } | CommandError::Unavailable(_) | CommandError::Indeterminate { .. }
    )
}
