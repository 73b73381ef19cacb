//! Sessions: what is known about one conversation of an agent, kept as a row beside its runs.
//!
//! The machine is `dormouse-state`; here its snapshot is a record, and [`Sessions`] lets it follow the runs bound to
//! it: every change of a run changes its session in the same commit. Attempts at one task share their session. While
//! it is at work, a driver gathers what need not be durable at once; at rest a session is its row and nothing else.

mod apply;
mod context;
mod create;
mod drivers;
mod end;
mod follow;
mod history;
mod live;
mod repair;
mod row;
mod service;
mod shelf;
mod stale;
mod told;

use std::time::Duration;

use dormouse_filesystem::{Cursor, IndexValue, Namespace, Query, Records, Tenant, Versioned};
use dormouse_state::{Mode, Options, Session, Snapshot};
use jiff::Timestamp;

pub use context::SessionContext;
pub use create::{Created, CreatedHow, NewSession, Outside, SessionKey};
pub use dormouse_state::driver::Driven;
pub use drivers::Unsaved;
pub use follow::Sessions;
pub(crate) use follow::called_off;
pub use live::SessionLive;
pub use row::{External, LifeEnd, SessionIndex, SessionRow, TurnTask};
pub use service::SessionService;
pub use stale::{StaleClosed, StaleLeft};

pub(crate) use apply::{Input, Moved, Whom, apply};
pub(crate) use context::Switches;
pub(crate) use create::Rooms;
pub(crate) use drivers::Drivers;
pub(crate) use repair::repair;

use crate::limits::{
    SESSION_AUTO_IDLE, SESSION_HISTORY_MAX, SESSION_LINGER, SESSION_LIVE_FLUSH, SESSION_MAILBOX_MAX,
    SESSION_STALE, SESSIONS_OPEN_MAX,
};
use crate::{AgentName, CommandError, SessionId};

/// How sessions behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionOptions {
    /// `sessions.auto_idle`: for how long the end of a turn is news, 100 ms to 10 min.
    pub auto_idle: Duration,
    /// `sessions.live_flush`: what may be gathered is saved at most once in so long.
    pub live_flush: Duration,
    /// `sessions.linger`: a driver without anything to do ends after so long.
    pub linger: Duration,
    /// `sessions.mailbox_max`: events that wait for a driver; who sends another one waits too.
    pub mailbox_max: usize,
    /// `sessions.open_max`: most sessions of an agent that have not ended, 1 to 1,000.
    pub open_max: usize,
    /// `sessions.history_max`: how many of the newest moves of a session are kept, 1 to 1,000.
    pub history_max: usize,
    /// `janitor.session_stale`: a session of which nothing is heard for so long is ended; zero is never.
    pub stale: Duration,
    /// `gates.mode`: the rule that calls of a session are made under which begins with its first run.
    pub mode: Mode,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            auto_idle: SESSION_AUTO_IDLE,
            live_flush: SESSION_LIVE_FLUSH,
            linger: SESSION_LINGER,
            mailbox_max: SESSION_MAILBOX_MAX,
            open_max: SESSIONS_OPEN_MAX,
            history_max: SESSION_HISTORY_MAX,
            stale: SESSION_STALE,
            mode: Mode::Ask,
        }
    }
}

impl SessionOptions {
    /// Those of the machine.
    pub(crate) fn machine(&self) -> Options {
        Options {
            auto_idle: self.auto_idle,
            mode: self.mode,
        }
    }
}

/// The machine, at this state.
fn machine(state: &Snapshot, options: Options, now: Timestamp) -> Result<Session, CommandError> {
    Session::restore(state.clone(), options, now).map_err(|error| match error {
        dormouse_state::RestoreError::TooNew { .. } => CommandError::TooNew(error.into()),
        corrupt @ dormouse_state::RestoreError::Corrupt { .. } => CommandError::Corrupt(corrupt.into()),
    })
}

/// A session, if there is one of this id. Reads create nothing.
///
/// # Errors
/// As any read.
pub async fn get(
    tenant: &Namespace<Tenant>,
    id: SessionId,
) -> Result<Option<Versioned<SessionRow>>, CommandError> {
    Ok(Records::<SessionRow>::new(tenant).get(&id).await?)
}

/// One page of an agent's sessions, oldest first.
///
/// # Errors
/// As any query.
pub async fn list(
    tenant: &Namespace<Tenant>,
    agent: &AgentName,
    after: Option<Cursor>,
    limit: usize,
) -> Result<(Vec<Versioned<SessionRow>>, Option<Cursor>), CommandError> {
    let query = Query::of(SessionIndex::Agent)
        .equals([IndexValue::segment(agent.segment())])
        .after(after)
        .limit(limit);
    let found = Records::<SessionRow>::new(tenant).find(&query).await?;
    Ok((found.rows, found.next))
}
