//! Sweeping until it is told to leave: one timer for everything that is to go.

use std::collections::HashMap;
use std::time::Duration;

use dormouse_filesystem::Cursor;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::events::Log;
use super::sweep::Sweep;
use super::{Retention, table};
use crate::clock::until;
use crate::engine::Engine;
use crate::limits::{JANITOR_SOON, SWEEP_EVENTS_EVERY};
use crate::{CommandError, TenantId};

/// What a look did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Rows that went.
    pub removed: usize,
    /// Events that went.
    pub events: u64,
    /// Sinks that were detached.
    pub detached: usize,
    /// Whether more is due than a look does.
    pub is_more: bool,
}

/// Removes what has ended long enough ago, in the stores of all tenants. It keeps nothing durable: the next one begins
/// anew, and finds nothing where this one was.
#[derive(Debug)]
pub struct Sweeper {
    engine: Engine,
    sweeps: Vec<Sweeping>,
    logs: HashMap<TenantId, Log>,
    /// When tenants are to be listed again.
    tenants_due: Option<Timestamp>,
    made: watch::Receiver<u64>,
}

/// A sweep under way.
#[derive(Debug)]
struct Sweeping {
    sweep: Box<dyn Sweep>,
    /// When something is due; none before the first look.
    due: Option<Timestamp>,
    /// Where a page ended that was not the last, and up to when its rows had to have ended.
    after: Option<(Timestamp, Cursor)>,
}

/// Sweeping takes a twentieth of the time at most.
const PACE: u32 = 19;
/// The longest rest between two pages.
const REST_MAX: Duration = Duration::from_secs(60);
/// The longest sleep, since timers stand while a machine sleeps.
const SLEEP_MAX: Duration = Duration::from_secs(60 * 60);

impl Engine {
    /// A sweeper that has not looked yet.
    #[must_use]
    pub fn sweeper(&self) -> Sweeper {
        let of = |sweep| Sweeping {
            sweep,
            due: None,
            after: None,
        };
        Sweeper {
            engine: self.clone(),
            sweeps: table().into_iter().map(of).collect(),
            logs: HashMap::new(),
            tenants_due: None,
            made: self.made_tenants(),
        }
    }

    /// Removes what has ended long enough ago until `shutdown`: for whoever owns the store for longer. While nothing is due
    /// nothing is read. Dropping it at any time leaves the rest to the next one.
    pub async fn serve_retention(&self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut sweeper = self.sweeper();
        let mut next = JANITOR_SOON;
        // Ends with the shutdown.
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                () = sleep(next) => {}
                _ = sweeper.made.changed() => sweeper.tenants_due = None,
            }
            let begun = Instant::now();
            let swept = tokio::select! {
                biased;
                () = &mut shutdown => return,
                swept = sweeper.look() => swept,
            };
            next = match swept {
                Ok(swept) if swept.is_more => (begun.elapsed() * PACE).clamp(JANITOR_SOON, REST_MAX),
                Ok(_) => sweeper.idle(),
                Err(error) => {
                    tracing::warn!(%error, "what has ended was not cleared away; it is tried again");
                    REST_MAX
                }
            };
        }
    }
}

impl Sweeper {
    /// Looks once: a page of each kind of which something is due.
    ///
    /// # Errors
    /// A store that does not answer: the first error, when all was tried. What cannot be believed is left, and keeps
    /// nothing else from its end.
    pub async fn look(&mut self) -> Result<Swept, CommandError> {
        let (mut swept, mut trouble) = (Swept::default(), None);
        let retention = self.engine.options().retention.clone();
        let now = self.engine.environment().clock.now();
        for sweeping in &mut self.sweeps {
            if sweeping.due.is_none_or(|due| due <= now) {
                let looked = sweeping.look(&self.engine, &retention, &mut swept).await;
                if let Err(error) = looked {
                    trouble.get_or_insert(error);
                }
            }
        }
        self.find_logs(now).await?;
        for (tenant, log) in &mut self.logs {
            if log.due.is_some_and(|due| due > now) {
                continue;
            }
            let core = self.engine.handle(tenant).core;
            match log.look(&core, &retention).await {
                Ok(cut) => {
                    swept.events += cut.events;
                    swept.detached += cut.detached;
                    swept.is_more |= cut.is_more;
                }
                // Who fights for one tenant's log keeps nobody from another's.
                Err(error @ CommandError::Contended { .. }) => drop(trouble.get_or_insert(error)),
                Err(error) if crate::due::is_of_store(&error) => return Err(error),
                Err(error) => {
                    tracing::warn!(%tenant, %error, "old events were not cleared away");
                    log.due = Some(super::sweep::later(now, SWEEP_EVENTS_EVERY));
                }
            }
        }
        trouble.map_or(Ok(swept), Err)
    }

    /// When the next look has something to do, unless a tenant is made before.
    fn next(&self) -> Option<Timestamp> {
        let sweeps = self.sweeps.iter().filter_map(|sweeping| sweeping.due);
        let logs = self.logs.values().filter_map(|log| log.due);
        sweeps.chain(logs).chain(self.tenants_due).min()
    }

    fn idle(&self) -> Duration {
        let now = self.engine.environment().clock.now();
        let wait = self.next().map_or(SLEEP_MAX, |next| until(next, now));
        wait.clamp(JANITOR_SOON, SLEEP_MAX)
    }

    async fn find_logs(&mut self, now: Timestamp) -> Result<(), CommandError> {
        if self.tenants_due.is_some_and(|due| due > now) {
            return Ok(());
        }
        for tenant in self.engine.active_tenants().await? {
            self.logs.entry(tenant).or_default();
        }
        let again = if self.engine.is_exclusive() {
            Timestamp::MAX
        } else {
            // Another machine makes tenants too.
            super::sweep::later(now, SWEEP_EVENTS_EVERY)
        };
        self.tenants_due = Some(again);
        Ok(())
    }
}

impl Sweeping {
    async fn look(
        &mut self,
        engine: &Engine,
        retention: &Retention,
        swept: &mut Swept,
    ) -> Result<(), CommandError> {
        let now = engine.environment().clock.now();
        let begun = match self.after.take() {
            Some((until, after)) => Some((until, Some(after))),
            None => self.sweep.until(retention, now).map(|until| (until, None)),
        };
        let Some((until, after)) = begun else {
            return Ok(());
        };
        let page = self.sweep.page(engine, until, after).await?;
        swept.removed += page.removed;
        self.after = page.next.map(|next| (until, next));
        if self.after.is_some() {
            swept.is_more = true;
            return Ok(());
        }
        tracing::trace!(sweep = self.sweep.name(), removed = page.removed, "swept");
        self.due = Some(self.sweep.next(engine, retention).await?);
        Ok(())
    }
}
