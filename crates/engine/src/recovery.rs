//! Recovery: what a former process left behind is ended before anything new begins.
//!
//! First the process trees that outlived it, then the leases it held: a run is lapsed only when nothing of it can do
//! anything more. Each step is a commit of its own and is found again if this process dies in between.

use std::collections::HashSet;
use std::fmt;

use async_trait::async_trait;
use dormouse_filesystem::Records;

use crate::core::Core;
use crate::engine::{Engine, Tenant};
use crate::gate::{Gate, GateIndex};
use crate::lease::{Lease, LeaseIndex, held, over};
use crate::run::{Finished, Lapsed, Process, ProcessIndex, Seen, forget_gone, lapse};
use crate::session::{SessionIndex, SessionRow, repair};
use crate::{AgentName, CommandError, RunId, SessionId, Subject, TenantId};

/// What became of a process tree that outlived its supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrphanFate {
    /// Nothing of it was left.
    Gone,
    /// It was killed, and nothing of it is left.
    Killed,
    /// It is there still: nothing may be assumed of it.
    Alive,
}

/// Ends process trees by what is written of them.
#[async_trait]
pub trait Orphans: fmt::Debug + Send + Sync {
    /// Ends the tree of this boot of this host, and waits until nothing of it is left.
    async fn end(&self, process: &Process) -> OrphanFate;
}

/// A run that recovery ended.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// Whose.
    pub tenant: TenantId,
    /// How it ended, and what its task became.
    pub finished: Finished,
}

/// A run that recovery could not end. It is tried again at the next start.
#[derive(Debug)]
pub struct Left {
    /// Whose.
    pub tenant: TenantId,
    /// What.
    pub subject: Subject,
    /// Why.
    pub why: LeftBecause,
}

/// Why a run was left.
#[derive(Debug)]
pub enum LeftBecause {
    /// Its processes could not be ended.
    ProcessAlive,
    /// Its rows could not be read or written.
    Error(CommandError),
}

/// What recovery did.
#[derive(Debug, Default)]
pub struct Recovery {
    /// Process trees killed.
    pub killed: Vec<RunId>,
    /// Runs ended.
    pub ended: Vec<Recovered>,
    /// Agents whose deletion had been cut, and that are gone now.
    pub removed: Vec<(TenantId, AgentName)>,
    /// What is left as it was.
    pub left: Vec<Left>,
}

impl Recovery {
    /// Whether there was nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.killed.is_empty() && self.ended.is_empty() && self.removed.is_empty() && self.left.is_empty()
    }
}

impl Engine {
    /// Ends what former processes left: to be called once, before anything is claimed.
    ///
    /// In a store that is this process's alone every lease of another epoch is over. In a shared one those are whose
    /// holder had the [seat](crate::Seat) that this process has now, and those that have expired for longer than
    /// clocks may differ; whoever holds another is left alone with its processes, also on this machine.
    ///
    /// # Errors
    /// When what is to be recovered cannot be listed. What goes wrong with one run is in the answer and keeps no other
    /// from its end.
    pub async fn recover(&self, orphans: &dyn Orphans) -> Result<Recovery, CommandError> {
        let mut recovery = Recovery::default();
        let alive = self.end_orphans(orphans, &mut recovery).await?;
        for (tenant, subject) in self.found::<Lease>(LeaseIndex::Deadline, None).await? {
            let tenant = self.handle(&tenant);
            match self.recover_lease(&tenant, &subject, &alive).await {
                Ok(Some(finished)) => recovery.ended.push(Recovered {
                    tenant: tenant.core.tenant.clone(),
                    finished,
                }),
                Ok(None) => {}
                Err(why) => recovery.left.push(Left {
                    tenant: tenant.core.tenant.clone(),
                    subject,
                    why,
                }),
            }
        }
        self.repair_sessions(&mut recovery).await?;
        self.idle_sessions(&mut recovery).await?;
        self.finish_removals(&mut recovery).await?;
        Ok(recovery)
    }

    /// Makes those sessions idle whose time came while nobody was there. One whose time is further away than it may be,
    /// since the clock went back, is pulled in.
    async fn idle_sessions(&self, recovery: &mut Recovery) -> Result<(), CommandError> {
        for (tenant, session) in self.found::<SessionRow>(SessionIndex::Due, None).await? {
            if let Err(error) = self.handle(&tenant).sessions.idle_if_due(session).await {
                recovery.left.push(Left {
                    tenant,
                    subject: Subject::Session(session),
                    why: LeftBecause::Error(error),
                });
            }
        }
        Ok(())
    }

    /// Holds the sessions of pending gates against these, and those that wait for a person against their gates.
    async fn repair_sessions(&self, recovery: &mut Recovery) -> Result<(), CommandError> {
        let mut seen = HashSet::new();
        let waiting = self.found::<SessionRow>(SessionIndex::Waiting, None).await?;
        for (tenant, session) in waiting {
            seen.insert(session);
            self.repair_session(tenant, session, recovery).await;
        }
        for (tenant, gate) in self.found::<Gate>(GateIndex::Due, None).await? {
            let core = self.handle(&tenant).core;
            let session = match Records::<Gate>::new(&core.space).get(&gate).await {
                Ok(gate) => gate.and_then(|gate| gate.session),
                // Whoever uses the gate is told.
                Err(_) => None,
            };
            let Some(session) = session.map(|turn| turn.session) else {
                continue;
            };
            if seen.insert(session) {
                self.repair_session(tenant, session, recovery).await;
            }
        }
        Ok(())
    }

    async fn repair_session(&self, tenant: TenantId, session: SessionId, recovery: &mut Recovery) {
        if let Err(error) = repair(&self.handle(&tenant).core, session).await {
            recovery.left.push(Left {
                tenant,
                subject: Subject::Session(session),
                why: LeftBecause::Error(error),
            });
        }
    }

    /// Kills what is left of process trees. Returns the runs of which something lives.
    async fn end_orphans(
        &self,
        orphans: &dyn Orphans,
        recovery: &mut Recovery,
    ) -> Result<HashSet<RunId>, CommandError> {
        let mut alive = HashSet::new();
        for (tenant, run) in self.found::<Process>(ProcessIndex::Host, None).await? {
            let core = self.handle(&tenant).core;
            let process = match Records::<Process>::new(&core.space).get(&run).await {
                Ok(Some(process)) => process,
                Ok(None) => continue,
                Err(error) => {
                    alive.insert(run);
                    let (subject, why) = (Subject::Run(run), LeftBecause::Error(error.into()));
                    recovery.left.push(Left { tenant, subject, why });
                    continue;
                }
            };
            match self.is_abandoned(&core, run).await {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => {
                    alive.insert(run);
                    let (subject, why) = (Subject::Run(run), LeftBecause::Error(error));
                    recovery.left.push(Left { tenant, subject, why });
                    continue;
                }
            }
            match self.end_orphan(orphans, &process).await {
                OrphanFate::Gone => {}
                OrphanFate::Killed => recovery.killed.push(run),
                OrphanFate::Alive => {
                    alive.insert(run);
                    continue;
                }
            }
            // Of another host's nothing was looked at.
            if process.host != self.environment().host.host {
                continue;
            }
            if let Err(error) = forget_gone(&core, &process).await {
                let (subject, why) = (Subject::Run(run), LeftBecause::Error(error));
                recovery.left.push(Left { tenant, subject, why });
            }
        }
        Ok(alive)
    }

    /// Whether nobody supervises a run's processes any more. Another process of this machine may, where the store is
    /// shared.
    async fn is_abandoned(&self, core: &Core, run: RunId) -> Result<bool, CommandError> {
        if self.is_exclusive() {
            return Ok(true);
        }
        let held = held(core, &Subject::Run(run)).await?;
        Ok(held.is_none_or(|held| over(core, &held).is_some()))
    }

    /// In another boot, or on another host, the numbers of the row are no processes of that run.
    pub(crate) async fn end_orphan(&self, orphans: &dyn Orphans, process: &Process) -> OrphanFate {
        let host = &self.environment().host;
        if process.host == host.host && process.boot_id == host.boot_id {
            orphans.end(process).await
        } else {
            OrphanFate::Gone
        }
    }

    pub(crate) async fn recover_lease(
        &self,
        tenant: &Tenant,
        subject: &Subject,
        alive: &HashSet<RunId>,
    ) -> Result<Option<Finished>, LeftBecause> {
        let held = held(&tenant.core, subject).await.map_err(LeftBecause::Error)?;
        let (Some(held), Subject::Run(run)) = (held, subject) else {
            return Ok(None);
        };
        let Some(over) = over(&tenant.core, &held) else {
            return Ok(None);
        };
        if alive.contains(run) {
            return Err(LeftBecause::ProcessAlive);
        }
        let lapsed = Lapsed {
            lease: held.lease.id,
            seen: Seen::Heartbeat(held.heartbeat.version()),
            reason: over.reason,
            holder_is_dead: over.holder_is_dead,
        };
        lapse(&tenant.core, *run, lapsed)
            .await
            .map_err(LeftBecause::Error)
    }
}
