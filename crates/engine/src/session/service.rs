//! The sessions of a tenant: what moves them beside their runs.

use std::sync::Arc;

use dormouse_filesystem::{Cursor, Namespace, Query, Records, Tenant, Versioned};
use dormouse_state::{Answer, Command, EndReason, Observed};

use super::apply::{Input, Moved, apply, stage};
use super::{SessionIndex, SessionRow, get, list};
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::event::Change;
use crate::find::resolve;
use crate::{AgentName, CommandError, Principal, SessionId};

/// A tenant's sessions.
#[derive(Debug, Clone)]
pub struct SessionService {
    core: Arc<Core>,
}

impl SessionService {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        Self {
            core: Arc::clone(core),
        }
    }

    /// A session, if there is one of this id. Makes nothing.
    ///
    /// # Errors
    /// As any read.
    pub async fn get(&self, id: SessionId) -> Result<Option<Versioned<SessionRow>>, CommandError> {
        get(self.space(), id).await
    }

    /// A session that has to be there. Makes nothing.
    ///
    /// # Errors
    /// `NotFound` when there is none, or none to be seen.
    pub async fn require(&self, id: SessionId) -> Result<Versioned<SessionRow>, CommandError> {
        let found = self.get(id).await?;
        found.ok_or_else(|| CommandError::not_found("session", &id))
    }

    /// One page of an agent's sessions, oldest first.
    ///
    /// # Errors
    /// As any query.
    pub async fn list(
        &self,
        agent: &AgentName,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<(Vec<Versioned<SessionRow>>, Option<Cursor>), CommandError> {
        list(self.space(), agent, after, limit).await
    }

    /// The id that is meant by a whole id or its first 8 digits or more.
    ///
    /// # Errors
    /// `InvalidId`; `NotFound` and `Ambiguous` for a short form. A whole id is not looked up.
    pub async fn resolve(&self, given: &str) -> Result<SessionId, CommandError> {
        resolve(&Records::<SessionRow>::new(self.space()), SessionIndex::Id, given).await
    }

    /// One page of the sessions of all agents, oldest first.
    ///
    /// # Errors
    /// As any query.
    pub async fn list_all(
        &self,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<(Vec<Versioned<SessionRow>>, Option<Cursor>), CommandError> {
        let query = Query::of(SessionIndex::Id).after(after).limit(limit);
        let found = Records::<SessionRow>::new(self.space()).find(&query).await?;
        Ok((found.rows, found.next))
    }

    /// Tells a session what was observed of its worker. Each is a commit: a session at work has a driver for what may
    /// be gathered.
    ///
    /// # Errors
    /// `NotFound`; as any commit. What the session makes of it is in the answer.
    pub async fn observe(
        &self,
        by: &Principal,
        id: SessionId,
        observed: &Observed,
    ) -> Result<Answer, CommandError> {
        self.tell(by, id, Input::Observed(observed)).await
    }

    /// Tells a session what the engine says.
    ///
    /// # Errors
    /// `NotFound`; as any commit. What the session makes of it is in the answer.
    pub async fn command(
        &self,
        by: &Principal,
        id: SessionId,
        command: &Command,
    ) -> Result<Answer, CommandError> {
        self.tell(by, id, Input::Command(command)).await
    }

    /// Ends a session for good: its gates and grants go in the same commit. Ended again, nothing changes. The run that
    /// works on it is not stopped by this yet.
    ///
    /// # Errors
    /// `NotFound`; as any commit.
    pub async fn end(
        &self,
        by: &Principal,
        id: SessionId,
        reason: EndReason,
    ) -> Result<Answer, CommandError> {
        self.command(by, id, &Command::End { reason }).await
    }

    /// Begins the next life of an ended session: nothing is pending, the number of the turn is kept, and events and
    /// gates of the former life are refused. Answers which life it is; that of a session that has not ended stays.
    ///
    /// # Errors
    /// `NotFound`; as any commit.
    pub async fn reopen(&self, by: &Principal, id: SessionId) -> Result<u32, CommandError> {
        let reopened = |draft: Draft| self.reopened(draft, id);
        Ok(self.core.command(by, reopened).await?.answer)
    }

    async fn reopened(&self, mut draft: Draft, id: SessionId) -> Result<Verdict<u32>, CommandError> {
        let read = self.require(id).await?;
        let mut session = read.session(draft.now())?;
        if session.reopen(draft.now()).is_err() {
            return Ok(Verdict::Nothing(session.view().incarnation));
        }
        let incarnation = session.view().incarnation;
        let row = stage(self.space(), &mut draft, &read, &session).await?;
        draft.tell(&row.about(), &Change::SessionReopened { incarnation })?;
        Ok(Verdict::Commit(draft, incarnation))
    }

    /// Makes a session idle whose time has come. Says whether it did.
    pub(crate) async fn idle_if_due(&self, id: SessionId) -> Result<bool, CommandError> {
        let answer = self.tell(&Principal::engine(), id, Input::Clock).await?;
        Ok(answer.applied().is_some())
    }

    async fn tell(&self, by: &Principal, id: SessionId, input: Input<'_>) -> Result<Answer, CommandError> {
        let told = |mut draft: Draft| async move {
            match apply(self.space(), &mut draft, id, input).await? {
                Moved::Unknown => Err(CommandError::not_found("session", &id)),
                Moved::Not(answer) => Ok(Verdict::Nothing(answer)),
                Moved::To(answer) => Ok(Verdict::Commit(draft, answer)),
            }
        };
        Ok(self.core.command(by, told).await?.answer)
    }

    fn space(&self) -> &Namespace<Tenant> {
        &self.core.space
    }
}
