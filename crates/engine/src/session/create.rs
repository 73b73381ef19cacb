//! Making a session: once by its key, or by what its provider calls it; what was made outside of the store for a
//! session that did not come to be is undone.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use dormouse_filesystem::{
    Class, IndexEntry, IndexValue, NoIndexes, Query, Record, RecordKind, Records, Tenant, Versioned,
};
use dormouse_state::{Lifecycle, Mode, Session};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::live::Newest;
use super::{External, SessionIndex, SessionRow};
use crate::agent::{Agent, Agents};
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::event::Change;
use crate::gate::KeyId;
use crate::limits::{PAGE_MAX, SESSION_KEY_MAX};
use crate::{AgentName, CommandError, OpId, PrefixedId, Principal, SessionId};

/// A session to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    /// Whose.
    pub agent: AgentName,
    /// What makes the same wish find the same session: at most [`SESSION_KEY_MAX`] bytes.
    pub key: Option<String>,
    /// What its provider calls it: that finds the same session too, and begins its next life if it had ended.
    pub external: Option<External>,
    /// The rule its calls are made under; none for the engine's, `gates.mode`.
    pub mode: Option<Mode>,
}

impl NewSession {
    /// A session of this agent under the rule of `gates.mode`, unlike any other.
    #[must_use]
    pub fn new(agent: AgentName) -> Self {
        Self {
            agent,
            key: None,
            external: None,
            mode: None,
        }
    }

    fn check(&self) -> Result<(), CommandError> {
        let external = self
            .external
            .iter()
            .flat_map(|external| [&external.provider, &external.id]);
        for (field, text) in self
            .key
            .iter()
            .map(|key| ("key", key))
            .chain(external.map(|text| ("external", text)))
        {
            if text.is_empty() || text.len() > SESSION_KEY_MAX {
                return Err(CommandError::invalid(field, "has 1 to 1024 bytes"));
            }
        }
        Ok(())
    }

    fn keys(&self, agent: &Agent) -> Vec<KeyId> {
        let agent = agent.incarnation.to_string();
        let own = self
            .key
            .iter()
            .map(|key| KeyId::of_parts(&["session", &agent, key]));
        let external = self.external.iter();
        let external =
            external.map(|external| KeyId::of_parts(&["external", &agent, &external.provider, &external.id]));
        own.chain(external).collect()
    }
}

/// A session that is there now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Created {
    /// It.
    pub session: SessionId,
    /// Which of its lives.
    pub incarnation: u32,
    /// How it came to be.
    pub how: CreatedHow,
}

/// How a session came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreatedHow {
    /// It was made.
    New,
    /// It was there.
    Found,
    /// It was there and had ended: its next life began.
    Reopened,
}

/// What is made outside of the store for a session: a folder, a conversation at a provider.
#[async_trait]
pub trait Outside: fmt::Debug + Send + Sync + 'static {
    /// Makes it, before the session is stored.
    async fn make(&self, session: SessionId) -> Result<(), Box<dyn Error + Send + Sync>>;

    /// Takes back what was made, or half made: the session did not come to be. May be called for nothing.
    async fn undo(&self, session: SessionId);
}

/// Which session a key names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionKey {
    /// The key.
    pub key: KeyId,
    /// Its session.
    pub session: SessionId,
    /// When it was made.
    pub created_at: Timestamp,
    /// The command that made it.
    pub op: OpId,
}

impl Record for SessionKey {
    type Scope = Tenant;
    type Id = KeyId;
    type Index = NoIndexes;
    const KIND: RecordKind = RecordKind::of("session_key");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> KeyId {
        self.key
    }

    fn index_entries(&self) -> Vec<IndexEntry<NoIndexes>> {
        Vec::new()
    }
}

/// Makes a session, or finds it.
pub(super) async fn create(
    core: &Arc<Core>,
    by: &Principal,
    new: &NewSession,
    outside: Option<Arc<dyn Outside>>,
) -> Result<Created, CommandError> {
    new.check()?;
    let id = SessionId::make(core.environment.clock.now(), &core.environment.random);
    let mut half = None;
    if let Some(outside) = outside
        && !is_there(core, new).await?
    {
        let made = Half::new(core, id, outside);
        made.outside().make(id).await.map_err(CommandError::Unavailable)?;
        half = Some(made);
    }
    let done = core.command(by, |draft| staged(core, draft, new, id)).await;
    let is_unknown = matches!(done, Err(CommandError::Indeterminate { .. }));
    let came_to_be = match &done {
        Ok(done) => done.answer.how == CreatedHow::New,
        // What is not known is asked; what cannot be asked is left as if it were.
        Err(_) => is_unknown && !matches!(super::get(&core.space, id).await, Ok(None)),
    };
    if let Some(half) = half {
        half.end(came_to_be).await;
    }
    Ok(done?.answer)
}

/// Whether a wish names a session that is there.
async fn is_there(core: &Arc<Core>, new: &NewSession) -> Result<bool, CommandError> {
    let agent = Agents::new(core).get(&new.agent).await?;
    let keys = new.keys(&agent);
    let found = Records::<SessionKey>::new(&core.space).get_many(&keys).await?;
    Ok(found.iter().any(Option::is_some))
}

async fn staged(
    core: &Arc<Core>,
    mut draft: Draft,
    new: &NewSession,
    id: SessionId,
) -> Result<Verdict<Created>, CommandError> {
    let agent = Agents::new(core).require(&mut draft, &new.agent).await?;
    let keys = new.keys(&agent);
    let found = Records::<SessionKey>::new(&core.space).get_many(&keys).await?;
    if let Some(key) = found.iter().flatten().next() {
        return again(core, draft, new, key.session).await;
    }
    check_room(core, &new.agent).await?;
    let options = dormouse_state::Options {
        mode: new.mode.unwrap_or(core.sessions.mode),
        ..draft.session_options()
    };
    let row = SessionRow {
        id,
        agent: agent.name.clone(),
        agent_incarnation: agent.incarnation,
        external: new.external.clone(),
        state: Session::new(options, draft.now()).snapshot(),
        turn_task: None,
        ends: Vec::new(),
        created_at: draft.now(),
        updated_at: draft.now(),
        op: draft.op(),
    };
    Records::new(&core.space).stage_create(draft.batch(), &row)?;
    for key in keys {
        let key = SessionKey {
            key,
            session: id,
            created_at: draft.now(),
            op: draft.op(),
        };
        Records::new(&core.space).stage_create(draft.batch(), &key)?;
    }
    draft.tell(&row.about(), &created(&row))?;
    let created = Created {
        session: id,
        incarnation: 1,
        how: CreatedHow::New,
    };
    Ok(Verdict::Commit(draft, created))
}

/// The event of a session that was made.
pub(super) fn created(row: &SessionRow) -> Change {
    Change::SessionCreated {
        provider: row.external.as_ref().map(|external| external.provider.clone()),
        mode: row.state.mode,
    }
}

/// A wish that was fulfilled before.
async fn again(
    core: &Core,
    mut draft: Draft,
    new: &NewSession,
    id: SessionId,
) -> Result<Verdict<Created>, CommandError> {
    let read = Newest::read(&core.space, id).await?;
    let read = read.ok_or_else(|| CommandError::not_found("session", &id))?;
    let has_ended = read.row.state.lifecycle == Lifecycle::Ended;
    if !has_ended || new.external.is_none() || read.row.external != new.external {
        return Ok(Verdict::Nothing(Created {
            session: id,
            incarnation: read.row.state.incarnation,
            how: CreatedHow::Found,
        }));
    }
    let incarnation = super::end::stage_reopen(&core.space, &mut draft, &read).await?;
    let created = Created {
        session: id,
        incarnation,
        how: CreatedHow::Reopened,
    };
    Ok(Verdict::Commit(draft, created))
}

/// An agent has at most so many sessions that have not ended.
async fn check_room(core: &Core, agent: &AgentName) -> Result<(), CommandError> {
    // A page has no more.
    let max = core.sessions.open_max.clamp(1, PAGE_MAX);
    let query = Query::of(SessionIndex::Open)
        .equals([IndexValue::segment(agent.segment())])
        .limit(max);
    if core.rooms.has_room(agent) {
        return Ok(());
    }
    let open: Vec<Versioned<SessionRow>> = Records::new(&core.space).find(&query).await?.rows;
    if open.len() >= max {
        return Err(CommandError::TooManySessions { agent: agent.clone() });
    }
    core.rooms.counted(agent, max - open.len());
    Ok(())
}

/// How many sessions agents may make before theirs are counted again: half of what there was room for, since another
/// process may make some too.
#[derive(Debug, Default)]
pub(crate) struct Rooms(Mutex<HashMap<AgentName, usize>>);

impl Rooms {
    /// Takes one, if it is known that there is one.
    fn has_room(&self, agent: &AgentName) -> bool {
        let mut rooms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match rooms.get_mut(agent) {
            Some(left @ 1..) => {
                *left -= 1;
                true
            }
            Some(0) | None => false,
        }
    }

    /// There was room for so many, at least one.
    fn counted(&self, agent: &AgentName, room: usize) {
        let mut rooms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rooms.insert(agent.clone(), (room - 1) / 2);
    }
}

/// What was made outside for a session that is not stored yet. Dropped, it is undone.
struct Half {
    core: Arc<Core>,
    session: SessionId,
    outside: Option<Arc<dyn Outside>>,
}

impl Half {
    fn new(core: &Arc<Core>, session: SessionId, outside: Arc<dyn Outside>) -> Self {
        Self {
            core: Arc::clone(core),
            session,
            outside: Some(outside),
        }
    }

    fn outside(&self) -> &Arc<dyn Outside> {
        self.outside.as_ref().expect("it is taken only at its end")
    }

    async fn end(mut self, came_to_be: bool) {
        // While it is being undone it is still there, so that a drop in between goes on undoing it.
        if !came_to_be {
            let outside = Arc::clone(self.outside());
            outside.undo(self.session).await;
        }
        self.outside = None;
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        if let Some(outside) = self.outside.take() {
            let session = self.session;
            self.core
                .background
                .spawn(async move { outside.undo(session).await });
        }
    }
}
