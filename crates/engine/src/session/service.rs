//! The sessions of a tenant: what makes, reads and moves them beside their runs.

use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::{Cursor, Namespace, Query, Records, Tenant, Versioned};
use dormouse_state::driver::Driven;
use dormouse_state::{Answer, Command, Edge, EndReason, Observed, Snapshot};

use super::apply::{Input, Moved, Whom, apply};
use super::create::create;
use super::live::Newest;
use super::{
    Created, NewSession, Outside, SessionContext, SessionIndex, SessionRow, StaleClosed, drivers, end, get,
    history, list, stale,
};
use crate::core::Core;
use crate::draft::Verdict;
use crate::find::resolve;
use crate::{AgentName, CommandError, Principal, SessionId};

/// A tenant's sessions. Reads make nothing and start no driver.
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

    pub(super) fn core(&self) -> &Core {
        &self.core
    }

    /// Makes a session. The same key, or the same name at the same provider, finds the one that was made; of a
    /// provider's session that had ended the next life begins.
    ///
    /// # Errors
    /// `Invalid` for a key that is empty or over 1 KiB; `TooManySessions`; `NotFound` and `AgentDeleting` for its
    /// agent; as any commit.
    pub async fn create(&self, by: &Principal, new: &NewSession) -> Result<Created, CommandError> {
        create(&self.core, by, new, None).await
    }

    /// Makes a session together with something outside of the store: first that, then the session. What was made
    /// for a session that did not come to be is undone, also when this is dropped.
    ///
    /// # Errors
    /// As [`create`](Self::create); `Unavailable` when it cannot be made outside.
    pub async fn create_with(
        &self,
        by: &Principal,
        new: &NewSession,
        outside: Arc<dyn Outside>,
    ) -> Result<Created, CommandError> {
        create(&self.core, by, new, Some(outside)).await
    }

    /// The row of a session, if there is one of this id. What it does within a turn may be a second newer:
    /// [`state`](Self::state).
    ///
    /// # Errors
    /// As any read.
    pub async fn get(&self, id: SessionId) -> Result<Option<Versioned<SessionRow>>, CommandError> {
        get(self.space(), id).await
    }

    /// The row of a session that has to be there.
    ///
    /// # Errors
    /// `NotFound` when there is none, or none to be seen.
    pub async fn require(&self, id: SessionId) -> Result<Versioned<SessionRow>, CommandError> {
        let found = self.get(id).await?;
        found.ok_or_else(|| CommandError::not_found("session", &id))
    }

    /// The newest state of a session that is stored: its row, or what was gathered since.
    ///
    /// # Errors
    /// `NotFound`; as any read.
    pub async fn state(&self, id: SessionId) -> Result<Snapshot, CommandError> {
        let read = Newest::read(self.space(), id).await?;
        let read = read.ok_or_else(|| CommandError::not_found("session", &id))?;
        Ok(read.state().clone())
    }

    /// The newest edges of a session, oldest first: at most 100.
    ///
    /// # Errors
    /// As any read. A session that is not there has none.
    pub async fn history(&self, id: SessionId) -> Result<Vec<Edge>, CommandError> {
        history::newest(&self.core, id).await
    }

    /// One page of an agent's sessions, oldest first; those of a former agent of that name are not among them.
    ///
    /// # Errors
    /// As any query.
    pub async fn list(
        &self,
        agent: &AgentName,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<(Vec<Versioned<SessionRow>>, Option<Cursor>), CommandError> {
        let living = self.core.living(agent).await?;
        let (mut rows, next) = list(self.space(), agent, after, limit).await?;
        rows.retain(|session| Some(session.agent_incarnation) == living);
        Ok((rows, next))
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

    /// A handle to the life a session is in.
    ///
    /// # Errors
    /// `NotFound`; as any read.
    pub async fn context(&self, id: SessionId) -> Result<SessionContext, CommandError> {
        let incarnation = self.require(id).await?.state.incarnation;
        Ok(SessionContext::new(self.clone(), id, incarnation))
    }

    /// Tells a session what was observed of its worker. It is at work from then on, so it gets a driver, which gathers
    /// what need not be durable at once: the answer says whether it is.
    ///
    /// # Errors
    /// `NotFound`; `Fenced` when another process drives it: stop telling it. After `Indeterminate`, `Contended` and
    /// `Unavailable` tell it again: what was taken is known by its position.
    pub async fn observe(&self, id: SessionId, observed: &Observed) -> Result<Driven, CommandError> {
        drivers::observe(&self.core, id, observed).await
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
        self.command_in(by, id, None, command).await
    }

    /// As [`command`](Self::command), to one of its lives.
    pub(super) async fn command_in(
        &self,
        by: &Principal,
        session: SessionId,
        incarnation: Option<u32>,
        command: &Command,
    ) -> Result<Answer, CommandError> {
        let whom = Whom {
            incarnation,
            ..Whom::any(session)
        };
        self.tell(by, whom, Input::Command(command)).await
    }

    /// Ends a session for good: its gates and grants go in the same commit, and the run that is at it is told to stop.
    /// Ended again, nothing changes.
    ///
    /// # Errors
    /// `NotFound`; as any commit.
    pub async fn end(
        &self,
        by: &Principal,
        id: SessionId,
        reason: EndReason,
    ) -> Result<Answer, CommandError> {
        end::end(&self.core, by, id, reason).await
    }

    /// Begins the next life of an ended session: nothing is pending, the number of the turn is kept, and events and
    /// gates of the former life are refused. Answers which life it is; that of a session that has not ended stays.
    ///
    /// # Errors
    /// `NotFound`; as any commit.
    pub async fn reopen(&self, by: &Principal, id: SessionId) -> Result<u32, CommandError> {
        end::reopen(&self.core, by, id).await
    }

    /// Ends a page of the sessions that showed no life for so long, each in a commit of its own; zero is off. One that
    /// waits for a person, is paused or has a run is left, and so is one that shows life in between.
    ///
    /// # Errors
    /// As any query. What goes wrong with one session is in the answer, and keeps no other open.
    pub async fn close_stale(
        &self,
        silent: Duration,
        after: Option<Cursor>,
    ) -> Result<StaleClosed, CommandError> {
        stale::close(&self.core, silent, after).await
    }

    /// How many sessions have a driver in this process.
    #[must_use]
    pub fn at_work(&self) -> usize {
        self.core.drivers.count()
    }

    /// Whether a driver of this process sees to a session.
    pub(crate) fn has_driver(&self, id: SessionId) -> bool {
        self.core.drivers.get(id).is_some()
    }

    /// How many lives of sessions have a context in this process.
    #[must_use]
    pub fn contexts(&self) -> usize {
        self.core.switches.count()
    }

    /// Makes a session idle whose time has come. Says whether it did.
    pub(crate) async fn idle_if_due(&self, id: SessionId) -> Result<bool, CommandError> {
        match self.tell(&Principal::engine(), Whom::any(id), Input::Clock).await {
            // It went between the reading of the index and this, and has no time any more.
            Err(CommandError::NotFound { .. }) => Ok(false),
            told => Ok(told?.applied().is_some()),
        }
    }

    async fn tell(&self, by: &Principal, whom: Whom, input: Input<'_>) -> Result<Answer, CommandError> {
        let session = whom.session;
        let told = |mut draft| async move {
            match apply(self.space(), &mut draft, whom, input).await? {
                Moved::Unknown => Err(CommandError::not_found("session", &session)),
                Moved::Stale(current) => Err(CommandError::StaleIncarnation { session, current }),
                Moved::Not(answer, _) => Ok(Verdict::Nothing(answer)),
                Moved::To(answer, _) => Ok(Verdict::Commit(draft, answer)),
            }
        };
        Ok(self.core.command(by, told).await?.answer)
    }

    fn space(&self) -> &Namespace<Tenant> {
        &self.core.space
    }
}
