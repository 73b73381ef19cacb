//! Leases without a holder: a run whose holder vanished is ended by whoever is there, when its lease is over for longer than
//! clocks may differ. What this process itself let go of is, too; in a store that is its alone there is nothing else, and it
//! looks only where something may have been let go of.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::time::Duration;

use dormouse_filesystem::Records;
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep};

use crate::clock::until;
use crate::core::Core;
use crate::engine::Engine;
use crate::lease::{Lease, LeaseIndex, LeaseOptions, held};
use crate::limits::{DUE_LOOK, DUE_RETRY};
use crate::recovery::{OrphanFate, Orphans};
use crate::run::Process;
use crate::{CommandError, RunId, Subject, TenantId};

/// What is known of leases whose first deadline is over, and of the clock.
#[derive(Debug)]
struct Watched {
    options: LeaseOptions,
    /// Until when each was renewed, as it was read last.
    renewed: HashMap<(TenantId, Subject), Timestamp>,
    /// The clock and the time that passed, when they were looked at last.
    seen: (Timestamp, Instant),
    /// Nothing is taken over before: the clock jumped.
    not_before: Option<Instant>,
}

impl Watched {
    fn new(options: LeaseOptions, now: Timestamp) -> Self {
        Self {
            options,
            renewed: HashMap::new(),
            seen: (now, Instant::now()),
            not_before: None,
        }
    }

    /// Whether the clock can be gone by: after a jump no lease is taken over for as long as one lives.
    fn trusts(&mut self, now: Timestamp) -> bool {
        let (clock, at) = self.seen;
        let passed = SignedDuration::try_from(at.elapsed()).unwrap_or(SignedDuration::MAX);
        let jumped = now.duration_since(clock).saturating_sub(passed).unsigned_abs();
        self.seen = (now, Instant::now());
        if jumped > self.options.self_stop {
            tracing::warn!(by = ?jumped, "the clock jumped: no run of another process is taken over for a while");
            self.not_before = Some(Instant::now() + self.options.ttl);
        }
        self.not_before.is_none_or(|at| at <= Instant::now())
    }
}

impl Engine {
    /// Ends the runs whose leases are over and that nobody holds, until `shutdown`: those of other processes that vanished, and
    /// those of this process whose holder let go of them, or whose claim nobody knows of. In a store that is this process's
    /// alone those are all, and nothing is read but when some may have been let go of.
    pub async fn serve_leases(&self, orphans: &dyn Orphans, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        if self.is_exclusive() {
            return tokio::select! {
                biased;
                () = &mut shutdown => {}
                never = self.lapse_what_is_let_go_of(orphans) => match never {},
            };
        }
        let mut watched = Watched::new(self.options().lease, self.environment().clock.now());
        // Ends with the shutdown.
        loop {
            let wait = tokio::select! {
                biased;
                () = &mut shutdown => return,
                wait = self.lapse_and_look(orphans, &mut watched) => wait,
            };
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                () = sleep(wait) => {}
            }
        }
    }

    /// The same, once: ends what is over now.
    ///
    /// # Errors
    /// When leases cannot be listed or read. What goes wrong with one run is in the log and keeps no other from its end.
    pub async fn serve_leases_once(&self, orphans: &dyn Orphans) -> Result<(), CommandError> {
        if self.is_exclusive() {
            return self.lapse_unheld(orphans).await.map(drop);
        }
        let mut watched = Watched::new(self.options().lease, self.environment().clock.now());
        self.lapse_due(orphans, &mut watched).await.map(drop)
    }

    /// Looks when whatever was let go of has to be over, and at nothing while nothing is.
    async fn lapse_what_is_let_go_of(&self, orphans: &dyn Orphans) -> Infallible {
        let options = self.options().lease;
        // Ends with whoever races it.
        loop {
            let said = self.live().unheld().await;
            let mut wait = Some(options.ttl + options.skew);
            // Ends when nothing is left that nobody holds.
            while let Some(time) = wait {
                sleep(time).await;
                wait = self.lapse_unheld(orphans).await.unwrap_or_else(|error| {
                    tracing::warn!(%error, "leases were not looked at; it is tried again");
                    Some(DUE_RETRY)
                });
            }
            self.live().unheld_looked_into(said);
        }
    }

    /// Ends what nobody here holds any more and is over, where nobody else can hold anything, and says how long it is until
    /// the next may be.
    async fn lapse_unheld(&self, orphans: &dyn Orphans) -> Result<Option<Duration>, CommandError> {
        let now = self.environment().clock.now();
        let over_at = now.checked_sub(self.options().lease.skew()).unwrap_or(now);
        let mut next: Option<Timestamp> = None;
        for key in self.found::<Lease>(LeaseIndex::Deadline, None).await? {
            // Whoever does other work than runs takes its lease up again.
            if let Subject::Run(_) = &key.1
                && let Some(at) = self.lapse_or_renewed(orphans, &key, over_at).await?
            {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        }
        Ok(next.map(|at| until(at, over_at)))
    }

    async fn lapse_and_look(&self, orphans: &dyn Orphans, watched: &mut Watched) -> Duration {
        match self.lapse_due(orphans, watched).await {
            // What another process takes meanwhile does not expire sooner.
            Ok(next) => next.min(DUE_LOOK).min(watched.options.ttl),
            Err(error) => {
                tracing::warn!(%error, "leases were not looked at; it is tried again");
                DUE_RETRY
            }
        }
    }

    /// Ends what is over now, and says how long it is until the next may be.
    async fn lapse_due(
        &self,
        orphans: &dyn Orphans,
        watched: &mut Watched,
    ) -> Result<Duration, CommandError> {
        let now = self.environment().clock.now();
        if !watched.trusts(now) {
            return Ok(DUE_LOOK);
        }
        let over_at = now.checked_sub(watched.options.skew()).unwrap_or(now);
        let found = self.found::<Lease>(LeaseIndex::Deadline, Some(over_at)).await?;
        let known = std::mem::take(&mut watched.renewed);
        let mut next = self
            .first::<Lease>(LeaseIndex::Deadline, over_at, |lease| Some(lease.deadline))
            .await?;
        for key in found {
            let renewed = known.get(&key).copied().filter(|at| *at > over_at);
            let renewed = match renewed {
                Some(at) => Some(at),
                None => self.lapse_or_renewed(orphans, &key, over_at).await?,
            };
            if let Some(at) = renewed {
                next = Some(next.map_or(at, |next| next.min(at)));
                watched.renewed.insert(key, at);
            }
        }
        Ok(next.map_or(DUE_LOOK, |at| until(at, over_at)))
    }

    /// Until when a lease was renewed, or is to be left alone; none when it is held here, is gone, or its run was ended.
    async fn lapse_or_renewed(
        &self,
        orphans: &dyn Orphans,
        (tenant, subject): &(TenantId, Subject),
        over_at: Timestamp,
    ) -> Result<Option<Timestamp>, CommandError> {
        if let Subject::Run(run) = subject
            && self.live().holds(*run)
        {
            // Its holder stops its work by itself.
            return Ok(None);
        }
        let tenant = self.handle(tenant);
        let read = match held(&tenant.core, subject).await {
            Ok(Some(read)) => read,
            Ok(None) => return Ok(None),
            // Whoever uses it is told.
            Err(CommandError::Corrupt(_) | CommandError::TooNew(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        if read.heartbeat.expires_at > over_at {
            return Ok(Some(read.heartbeat.expires_at));
        }
        let Subject::Run(run) = subject else {
            return Ok(None);
        };
        let alive = self.end_orphan_of(&tenant.core, orphans, *run).await?;
        match self.recover_lease(&tenant, subject, &alive).await {
            Ok(Some(ended)) => tracing::info!(run = %ended.run.id, "a run was ended whose holder vanished"),
            Ok(None) => {}
            Err(why) => {
                tracing::warn!(%subject, ?why, "a run whose lease is over was not ended; it is tried again");
                let later = SignedDuration::try_from(DUE_LOOK).expect("seconds fit");
                return Ok(over_at.checked_add(later).ok());
            }
        }
        Ok(None)
    }

    /// What of a run's processes lives on this machine in spite of being told to end.
    async fn end_orphan_of(
        &self,
        core: &Core,
        orphans: &dyn Orphans,
        run: RunId,
    ) -> Result<HashSet<RunId>, CommandError> {
        let process = match Records::<Process>::new(&core.space).get(&run).await {
            Ok(Some(process)) => process,
            Ok(None) => return Ok(HashSet::new()),
            Err(error) => match CommandError::from(error) {
                // As recovery takes it: nobody knows what lives of this one, and the others are looked at.
                error @ (CommandError::Corrupt(_) | CommandError::TooNew(_)) => {
                    tracing::error!(%run, %error, "which processes a run has cannot be believed; it is not ended");
                    return Ok([run].into());
                }
                error => return Err(error),
            },
        };
        let fate = self.end_orphan(orphans, &process).await;
        Ok((fate == OrphanFate::Alive).then_some(run).into_iter().collect())
    }
}
