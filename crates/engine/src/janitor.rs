//! The janitor: ends sessions that showed no life for long, and clears away what gates leave.
//!
//! It looks now and then, and each look is bounded: a page of each kind for each tenant, a commit for each row. What is
//! left of a page comes with the next look, which is soon then. It remembers nothing durable: the next janitor begins
//! anew, and finds nothing to do where this one was.

use std::collections::HashMap;
use std::time::Duration;

use dormouse_filesystem::Cursor;
use jiff::{SignedDuration, Timestamp};
use tokio::time::sleep;

use crate::core::Core;
use crate::due::{LeftLately, Pass, is_of_store};
use crate::engine::{Engine, Tenant};
use crate::gate::{Scan, clear_ended, erase_beyond, erase_ended, wake_left};
use crate::limits::JANITOR_SOON;
use crate::thread::erase_deleted;
use crate::{CommandError, TenantId};

/// How far back the first look of a janitor goes for sessions whose gates ended: what ended before was seen by another,
/// or is seen when the next gate of its session ends.
const BACK: SignedDuration = SignedDuration::from_hours(24);

/// What a look did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cleared {
    /// Sessions that were ended since nothing was heard of them.
    pub sessions: usize,
    /// Ended gates whose content was erased.
    pub erased: usize,
    /// Ended gates whose rows were removed.
    pub removed: usize,
    /// Pages of messages of deleted threads that were removed.
    pub pages: usize,
    /// Tasks that were made ready, since the gate they waited for was decided.
    pub woken: usize,
    /// Holds that were closed, since nobody did for long.
    pub swept: usize,
    /// Whether more is left than a look does.
    pub is_more: bool,
}

/// Looks for what is old, in the stores of all tenants.
#[derive(Debug)]
pub struct Janitor {
    engine: Engine,
    rounds: HashMap<TenantId, Round>,
}

/// Where a janitor is in a tenant's rows.
#[derive(Debug, Default)]
struct Round {
    /// Sessions: behind this cursor.
    silent: Option<Cursor>,
    /// Content: up to this instant it is erased, and this is the scan from there.
    erased_until: Option<Timestamp>,
    erasing: Option<Scan>,
    /// Sessions whose gates ended: up to this instant they were looked at, and this is the scan from there.
    ended_until: Option<Timestamp>,
    ended: Option<Scan>,
}

impl Engine {
    /// A janitor that has not looked yet.
    #[must_use]
    pub fn janitor(&self) -> Janitor {
        Janitor {
            engine: self.clone(),
            rounds: HashMap::new(),
        }
    }

    /// Lets a janitor look every `janitor.every` until `shutdown`: for whoever owns the store for longer. Dropping it at
    /// any time leaves the rest to the next one.
    pub async fn serve_janitor(&self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut janitor = self.janitor();
        let mut next = JANITOR_SOON;
        // Ends with the shutdown.
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                () = sleep(next) => {}
            }
            let cleared = tokio::select! {
                biased;
                () = &mut shutdown => return,
                cleared = janitor.look() => cleared,
            };
            next = self.next_look(&cleared);
        }
    }

    fn next_look(&self, cleared: &Result<Cleared, CommandError>) -> Duration {
        let every = self.options().janitor_every;
        match cleared {
            Ok(cleared) if cleared.is_more => JANITOR_SOON.min(every),
            Ok(_) => every,
            Err(error) => {
                tracing::warn!(%error, "tenants were not looked through; it is tried again");
                every
            }
        }
    }
}

impl Janitor {
    /// Looks once. What goes wrong in the rows of one tenant is logged, and keeps no other from its turn.
    ///
    /// # Errors
    /// As any query: when the tenants cannot be listed.
    pub async fn look(&mut self) -> Result<Cleared, CommandError> {
        let mut cleared = Cleared::default();
        match self.erase_threads().await {
            Ok(done) => cleared.add(done),
            Err(error) => tracing::warn!(%error, "messages of deleted threads were not cleared away"),
        }
        match self.sweep_holds().await {
            Ok(swept) => cleared.swept = swept,
            Err(error) => tracing::warn!(%error, "old holds were not closed"),
        }
        for id in self.engine.active_tenants().await? {
            let tenant = self.engine.handle(&id);
            let round = self.rounds.entry(id.clone()).or_default();
            let rounds = [
                round.end_silent(&tenant).await,
                round.clear(&tenant.core).await,
                round.erase_old(&tenant.core).await,
                round.erase_many(&tenant.core).await,
                sweep_blobs(&tenant.core).await,
                woken(&tenant.core).await,
            ];
            for done in rounds {
                match done {
                    Ok(done) => cleared.add(done),
                    Err(error) => tracing::warn!(tenant = %id, %error, "what is old was not cleared away"),
                }
            }
        }
        Ok(cleared)
    }

    /// Removes a page of the messages of each deleted thread of which some are left.
    async fn erase_threads(&self) -> Result<Cleared, CommandError> {
        let now = self.engine.environment().clock.now();
        let (pages, is_more) = erase_deleted(&self.engine, now).await?;
        Ok(Cleared {
            pages,
            is_more,
            ..Cleared::default()
        })
    }

    /// Closes the holds that nobody closes any more.
    async fn sweep_holds(&self) -> Result<usize, CommandError> {
        let mut lately = LeftLately::default();
        let mut pass = Pass::new(&mut lately);
        let swept = self.engine.sweep_holds(&mut pass).await?;
        pass.told()?;
        Ok(swept)
    }
}

/// Wakes the tasks whose gate was decided, and that a crash left waiting.
async fn woken(core: &Core) -> Result<Cleared, CommandError> {
    Ok(Cleared {
        woken: wake_left(core).await?,
        ..Cleared::default()
    })
}

impl Round {
    /// Ends a page of the sessions that showed no life for long.
    async fn end_silent(&mut self, tenant: &Tenant) -> Result<Cleared, CommandError> {
        let silent = tenant.core.sessions.stale;
        let closed = tenant.sessions.close_stale(silent, self.silent.take()).await?;
        for left in closed.left {
            tracing::warn!(session = %left.session, error = %left.error, "a silent session was not ended");
        }
        self.silent = closed.next;
        Ok(Cleared {
            sessions: closed.ended.len(),
            is_more: self.silent.is_some(),
            ..Cleared::default()
        })
    }

    /// Removes a page of the gates that nobody needs any more.
    async fn clear(&mut self, core: &Core) -> Result<Cleared, CommandError> {
        let (removed, is_more) = clear_ended(core, core.environment.clock.now()).await?;
        Ok(Cleared {
            removed,
            is_more,
            ..Cleared::default()
        })
    }

    /// Erases the content of a page of the gates that ended long ago.
    async fn erase_old(&mut self, core: &Core) -> Result<Cleared, CommandError> {
        let now = core.environment.clock.now();
        let scan = self
            .erasing
            .take()
            .or_else(|| erase_ended(core, now, self.erased_until));
        let Some(mut scan) = scan else {
            return Ok(Cleared::default());
        };
        let erased = scan.erase(core).await?;
        if scan.has_ended() {
            self.erased_until = Some(scan.until());
        } else {
            self.erasing = Some(scan);
        }
        Ok(Cleared {
            erased,
            is_more: self.erasing.is_some(),
            ..Cleared::default()
        })
    }

    /// Erases what sessions have beyond their newest ended gates: those of which gates ended since the last look.
    async fn erase_many(&mut self, core: &Core) -> Result<Cleared, CommandError> {
        let now = core.environment.clock.now();
        let from = self.ended_until.or_else(|| now.checked_sub(BACK).ok());
        let before = (self.ended.clone(), self.ended_until);
        let mut scan = self.ended.take().unwrap_or_else(|| Scan::new(from, now));
        let sessions = scan.sessions(core).await?;
        if scan.has_ended() {
            self.ended_until = Some(scan.until());
        } else {
            self.ended = Some(scan);
        }
        let (mut erased, mut trouble) = (0, None);
        for session in sessions {
            match erase_beyond(core, session).await {
                Ok(more) => erased += more,
                Err(error) if is_of_store(&error) => drop(trouble.get_or_insert(error)),
                // It will not be better at the next look, and the pages behind this one have their turn.
                Err(error) => {
                    tracing::warn!(%session, %error, "a session was not looked through for old gates");
                }
            }
        }
        if let Some(error) = trouble {
            // The page is read again: what was erased is so, and the others may go no other way.
            (self.ended, self.ended_until) = before;
            return Err(error);
        }
        Ok(Cleared {
            erased,
            is_more: self.ended.is_some(),
            ..Cleared::default()
        })
    }
}

/// Gives back the space of a page of blobs that are nobody's.
async fn sweep_blobs(core: &Core) -> Result<Cleared, CommandError> {
    let is_more = crate::thread::sweep_blobs(core, core.environment.clock.now()).await?;
    Ok(Cleared {
        is_more,
        ..Cleared::default()
    })
}

impl Cleared {
    fn add(&mut self, more: Self) {
        self.sessions += more.sessions;
        self.erased += more.erased;
        self.removed += more.removed;
        self.pages += more.pages;
        self.woken += more.woken;
        self.swept += more.swept;
        self.is_more |= more.is_more;
    }
}
