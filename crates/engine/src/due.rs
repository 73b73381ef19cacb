//! What is due: one loop and one timer for the deadlines of all sessions, gates and capabilities of all tenants.
//!
//! Deadlines are rows and index entries. The loop reads the first of each index, sleeps until the earliest, and is
//! woken by a commit that stages an earlier one. So a thousand deadlines are one timer, and none is read while
//! nothing is due.

use std::time::Duration;

use dormouse_filesystem::{IndexValue, Query, Record, SystemIndex};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::capability::{Capability, CapabilityIndex};
use crate::engine::Engine;
use crate::gate::{Gate, GateIndex};
use crate::limits::{DUE_POLL, DUE_RETRY, PAGE_MAX};
use crate::session::{SessionIndex, SessionRow};
use crate::{CommandError, SessionId, TenantId};

/// Where commits say which deadline they staged.
#[derive(Debug)]
pub(crate) struct DueHint(watch::Sender<Option<Timestamp>>);

impl Default for DueHint {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl DueHint {
    /// A deadline was staged: whoever sleeps longer is woken.
    pub(crate) fn sooner(&self, at: Timestamp) {
        self.0.send_if_modified(|next| {
            let is_sooner = next.is_none_or(|next| at < next);
            if is_sooner {
                *next = Some(at);
            }
            is_sooner
        });
    }

    /// What is read from here on is as new as all hints before.
    fn forget(&self) {
        self.0.send_replace(None);
    }
}

/// What was due and was served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DueServed {
    /// Gates that expired.
    pub gates: usize,
    /// Capabilities that did.
    pub capabilities: usize,
    /// Sessions that became idle.
    pub sessions: usize,
}

impl Engine {
    /// Serves every deadline of the store until `shutdown`: the program's one loop for them.
    ///
    /// A store that does not answer is tried again, and what cannot be served is looked at again every second: a session
    /// that cannot keeps no other from becoming idle. Dropping it at any time leaves all deadlines to the next one.
    pub async fn serve_due(&self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut hints = self.due().0.subscribe();
        // Ends with the shutdown.
        loop {
            self.due().forget();
            hints.mark_unchanged();
            let next = tokio::select! {
                biased;
                () = &mut shutdown => return,
                next = self.serve_and_look() => next,
            };
            let wake_at = Instant::now() + next;
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                () = sleep_until(wake_at) => {}
                () = self.hinted(&mut hints, wake_at) => {}
            }
        }
    }

    /// Serves what is due now, once: a commit each.
    ///
    /// # Errors
    /// As any read and any commit: the first, after all sessions were served that could be, and the gates before it.
    pub async fn serve_due_once(&self) -> Result<DueServed, CommandError> {
        let sessions = self.idle_due().await;
        let expired = self.expire_due().await?;
        Ok(DueServed {
            gates: expired.gates,
            capabilities: expired.capabilities,
            sessions: sessions?,
        })
    }

    /// Serves what is due, and says how long nothing more will be.
    async fn serve_and_look(&self) -> Duration {
        let next = match self.serve_due_once().await {
            Ok(_) => self.next_due().await,
            Err(error) => Err(error),
        };
        let next = match next {
            Ok(next) => next,
            Err(error) => {
                tracing::warn!(%error, "what is due was not served; it is tried again");
                return DUE_RETRY;
            }
        };
        // Another machine's deadlines come without a hint.
        let longest = if self.is_exclusive() {
            Duration::MAX
        } else {
            DUE_POLL
        };
        let now = self.environment().clock.now();
        match next {
            None => longest.min(FAR),
            // It could not be served, or its session's driver is about to.
            Some(at) if at <= now => DUE_RETRY,
            Some(at) => until(at, now).min(longest).min(FAR),
        }
    }

    /// Waits for a deadline that comes before this instant.
    async fn hinted(&self, hints: &mut watch::Receiver<Option<Timestamp>>, wake_at: Instant) {
        // Ends with the first such hint; whoever calls bounds it.
        loop {
            if hints.changed().await.is_err() {
                return std::future::pending().await;
            }
            let hint = *hints.borrow_and_update();
            let now = self.environment().clock.now();
            if hint.is_some_and(|at| Instant::now() + until(at, now) < wake_at) {
                return;
            }
        }
    }

    /// Makes those sessions idle whose time has come and that no driver of this process sees to. How many there were.
    pub(crate) async fn idle_due(&self) -> Result<usize, CommandError> {
        let now = self.environment().clock.now();
        let (mut idle, mut trouble) = (0, None);
        for (tenant, session) in self.due_sessions(Some(now)).await? {
            let sessions = self.handle(&tenant).sessions;
            if sessions.has_driver(session) {
                continue;
            }
            match sessions.idle_if_due(session).await {
                Ok(became_idle) => idle += usize::from(became_idle),
                Err(error) => trouble = trouble.or(Some(error)),
            }
        }
        match trouble {
            None => Ok(idle),
            Some(error) => Err(error),
        }
    }

    /// The sessions that become idle at a time, or those whose time has come.
    pub(crate) async fn due_sessions(
        &self,
        now: Option<Timestamp>,
    ) -> Result<Vec<(TenantId, SessionId)>, CommandError> {
        let until = now.and_then(|now| now.checked_add(SignedDuration::from_nanos(1)).ok());
        let (mut found, mut after) = (Vec::new(), None);
        // Ends with the last page.
        loop {
            let query = Query::of(SessionIndex::Due)
                .range(None, until.map(IndexValue::instant))
                .after(after)
                .limit(PAGE_MAX);
            let page = SystemIndex::<SessionRow>::new(self.system()).find(&query).await?;
            let named = page
                .rows
                .into_iter()
                .filter_map(|row| Some((row.owner.first()?.as_str().parse().ok()?, row.id)));
            found.extend(named);
            after = page.next;
            if after.is_none() {
                return Ok(found);
            }
        }
    }

    /// The earliest deadline of the store.
    async fn next_due(&self) -> Result<Option<Timestamp>, CommandError> {
        let session = self.first::<SessionRow>(SessionIndex::Due, |row| match row.state.lifecycle {
            dormouse_state::Lifecycle::Completed { idle_at } => Some(idle_at),
            _ => None,
        });
        let gate = self.first::<Gate>(GateIndex::Due, |gate| {
            gate.expires_at.filter(|_| gate.is_pending())
        });
        let capability = self.first::<Capability>(CapabilityIndex::Due, |row| Some(row.expires_at));
        let (session, gate, capability) = (session.await?, gate.await?, capability.await?);
        Ok([session, gate, capability].into_iter().flatten().min())
    }

    /// When the first row of an index is due. One that left meanwhile counts as due at once: it is looked again.
    async fn first<R: Record<Scope = dormouse_filesystem::Tenant>>(
        &self,
        index: R::Index,
        at: impl Fn(&R) -> Option<Timestamp>,
    ) -> Result<Option<Timestamp>, CommandError> {
        let index = Query::of(index).limit(1);
        let mut page = SystemIndex::<R>::new(self.system()).find(&index).await?;
        let Some(found) = page.rows.pop() else {
            return Ok(None);
        };
        let Some(Ok(tenant)) = found.owner.first().map(|name| name.as_str().parse::<TenantId>()) else {
            return Ok(None);
        };
        let rows = dormouse_filesystem::Records::<R>::new(self.handle(&tenant).space());
        match rows.get(&found.id).await? {
            Some(row) => Ok(at(&row)),
            None => Ok(Some(self.environment().clock.now())),
        }
    }
}

/// Longer than anything sleeps: a timer does not take more.
const FAR: Duration = Duration::from_secs(24 * 60 * 60);

fn until(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO)
}
