//! The agents of a tenant: the one service that writes their rows.

use std::sync::Arc;

use dormouse_filesystem::{Cursor, Issue, Query, Records, Version, Versioned};
use dormouse_secrets::Scrubbed;

use super::stop::stop_held;
use super::{Agent, AgentConfig, AgentEvent, AgentIndex, AgentState, AtWork, decide, delete};
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::event::Change;
use crate::limits::{AGENT_CONCURRENCY_MAX, DELEGATES_MAX, PAGE_MAX, REASON_MAX};
use crate::run::StopReason;
use crate::wake::WakeCause;
use crate::{AgentName, CommandError, Decision, Incarnation, Principal, Reason, Subject};

/// One page of agents.
#[derive(Debug, Clone)]
pub struct AgentPage {
    /// By name.
    pub rows: Vec<Versioned<Agent>>,
    /// For the next page; none only at the end.
    pub next: Option<Cursor>,
    /// Rows that cannot be believed, left out.
    pub issues: Vec<Issue>,
}

/// A tenant's agents.
#[derive(Debug, Clone)]
pub struct Agents {
    pub(super) core: Arc<Core>,
    pub(super) rows: Records<Agent>,
}

impl Agents {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        Self {
            core: Arc::clone(core),
            rows: Records::new(&core.space),
        }
    }

    /// The same, read as this core reads.
    pub(crate) fn reading(&self, core: &Core) -> Self {
        Self {
            core: Arc::clone(&self.core),
            rows: Records::new(&core.space),
        }
    }

    /// Makes an agent. The row is its only registration.
    ///
    /// # Errors
    /// `Exists` when there is one of that name, `AgentDeleting` while a former one goes, `Invalid` for a concurrency of 0.
    pub async fn create(
        &self,
        by: &Principal,
        name: &AgentName,
        config: AgentConfig,
    ) -> Result<Agent, CommandError> {
        check(&config)?;
        let (name, config) = (name, &config);
        let done = self.core.command(by, |mut draft| async move {
            let read = self.rows.get(name).await?;
            let event = AgentEvent::Create;
            match decide(read.as_ref().map(|agent| agent.state), event) {
                Decision::Apply(state) => {
                    let agent = self.made(&draft, name, config, state);
                    match &read {
                        None => self.rows.stage_create(draft.batch(), &agent)?,
                        Some(read) => self.rows.stage_replace(draft.batch(), read, &agent).await?,
                    }
                    let config_digest = agent.config_digest.clone();
                    draft.tell(&agent.about(), &Change::AgentCreated { config_digest })?;
                    Ok(Verdict::Commit(draft, agent))
                }
                Decision::Same | Decision::Ignore(_) => unreachable!("no cell of create says so"),
                Decision::Reject(reason) => Err(refused(name, read.as_deref(), event, reason)),
            }
        });
        Ok(done.await?.answer)
    }

    /// A new one, as this draft makes it.
    pub(super) fn made(
        &self,
        draft: &Draft,
        name: &AgentName,
        config: &AgentConfig,
        state: AgentState,
    ) -> Agent {
        Agent {
            name: name.clone(),
            incarnation: Incarnation::make(draft.now(), &self.core.environment.random),
            state,
            config: config.clone(),
            config_digest: config.digest(),
            paused_reason: None,
            created_at: draft.now(),
            updated_at: draft.now(),
            op: draft.op(),
            deleted_at: None,
        }
    }

    /// Changes an agent's configuration, as it is when the change is written: of two changes at once none undoes the other. One
    /// that changes nothing writes nothing.
    ///
    /// # Errors
    /// `NotFound`, `AgentDeleting`, `Invalid` for a concurrency of 0.
    pub async fn configure(
        &self,
        by: &Principal,
        name: &AgentName,
        change: impl Fn(&mut AgentConfig) + Sync,
    ) -> Result<Agent, CommandError> {
        self.configured(by, name, None, change).await
    }

    /// The same, of the agent as it was read at this version.
    ///
    /// # Errors
    /// As [`configure`](Self::configure), and `Stale` when it was written since.
    pub async fn configure_at(
        &self,
        by: &Principal,
        name: &AgentName,
        version: Version,
        change: impl Fn(&mut AgentConfig) + Sync,
    ) -> Result<Agent, CommandError> {
        self.configured(by, name, Some(version), change).await
    }

    async fn configured(
        &self,
        by: &Principal,
        name: &AgentName,
        expected: Option<Version>,
        change: impl Fn(&mut AgentConfig) + Sync,
    ) -> Result<Agent, CommandError> {
        let set = |agent: &mut Agent| {
            change(&mut agent.config);
            check(&agent.config)?;
            let config_digest = agent.config.digest();
            agent.config_digest.clone_from(&config_digest);
            Ok(Change::AgentConfigured { config_digest })
        };
        self.change(by, name, (AgentEvent::Configure, expected), &set)
            .await
    }

    /// Lets an agent claim and fire nothing. Runs in progress finish, unless [`stop_runs`](Self::stop_runs) stops them.
    ///
    /// # Errors
    /// `NotFound`, `AgentDeleting`.
    pub async fn pause(
        &self,
        by: &Principal,
        name: &AgentName,
        reason: Option<Scrubbed>,
    ) -> Result<Agent, CommandError> {
        self.paused(by, name, None, reason).await
    }

    /// The same, where it is to be at the version at which it was judged.
    ///
    /// # Errors
    /// As [`pause`](Self::pause), and `Stale` when it was written since.
    pub(super) async fn paused(
        &self,
        by: &Principal,
        name: &AgentName,
        expected: Option<Version>,
        reason: Option<Scrubbed>,
    ) -> Result<Agent, CommandError> {
        let reason = reason.map(|reason| reason.truncate_to(REASON_MAX));
        let set = |agent: &mut Agent| {
            agent.paused_reason.clone_from(&reason);
            let reason = reason.clone();
            Ok(Change::AgentPaused { reason })
        };
        self.change(by, name, (AgentEvent::Pause, expected), &set).await
    }

    /// Tells the runs of an agent to stop that somebody holds, as it is paused: their tasks are ready again, unless what
    /// they did is not known. One that is parked goes on waiting. Says how many were told.
    ///
    /// # Errors
    /// `NotFound`; as any commit: those before it were told, and the same again tells the others.
    pub async fn stop_runs(&self, by: &Principal, name: &AgentName) -> Result<usize, CommandError> {
        let agent = self.get(name).await?;
        stop_held(&self.core, by, &agent, &StopReason::AgentPause).await
    }

    /// Deletes an agent: that is durable first, then what is its goes, in the background. Its runs are stopped, its tasks
    /// called off, its gates and sessions ended, its secrets set aside. When all has gone a tombstone is left, and the
    /// name may be taken again. Of one that is being deleted nothing changes.
    ///
    /// # Errors
    /// `NotFound`; `Rejected` while it has runs and these are not to be stopped; `Stale` when it is not at the expected
    /// version.
    pub async fn delete(
        &self,
        by: &Principal,
        name: &AgentName,
        at_work: AtWork,
        expected: Option<Version>,
    ) -> Result<Versioned<Agent>, CommandError> {
        delete::delete(&self.core, by, name, at_work, expected).await
    }

    /// Lets it claim and fire again.
    ///
    /// # Errors
    /// `NotFound`, `AgentDeleting`.
    pub async fn resume(&self, by: &Principal, name: &AgentName) -> Result<Agent, CommandError> {
        let set = |agent: &mut Agent| {
            agent.paused_reason = None;
            Ok(Change::AgentResumed {})
        };
        self.change(by, name, (AgentEvent::Resume, None), &set).await
    }

    async fn change(
        &self,
        by: &Principal,
        name: &AgentName,
        (event, expected): (AgentEvent, Option<Version>),
        set: &(dyn Fn(&mut Agent) -> Result<Change, CommandError> + Sync),
    ) -> Result<Agent, CommandError> {
        let done = self.core.command(by, |mut draft| async move {
            let Some(read) = self.rows.get(name).await? else {
                return Err(CommandError::not_found("agent", name));
            };
            let state = match decide(Some(read.state), event) {
                Decision::Apply(state) => state,
                Decision::Same => read.state,
                Decision::Ignore(_) => return Ok(Verdict::Nothing(read.into_inner())),
                Decision::Reject(reason) => return Err(refused(name, Some(&read), event, reason)),
            };
            at_version(&read, expected)?;
            let mut agent = Agent {
                state,
                ..Agent::clone(&read)
            };
            let change = set(&mut agent)?;
            if agent == *read {
                return Ok(Verdict::Nothing(agent));
            }
            (agent.updated_at, agent.op) = (draft.now(), draft.op());
            self.rows.stage_replace(draft.batch(), &read, &agent).await?;
            draft.tell(&agent.about(), &change)?;
            let has_more_room = agent.config.concurrency > read.config.concurrency;
            if has_more_room {
                give_room(&mut draft, name);
            } else if event == AgentEvent::Resume {
                draft.ring(name, WakeCause::Resumed);
            }
            Ok(Verdict::Commit(draft, agent))
        });
        Ok(done.await?.answer)
    }

    /// An agent, unless it is deleted.
    ///
    /// # Errors
    /// `NotFound`, `Corrupt`.
    pub async fn get(&self, name: &AgentName) -> Result<Versioned<Agent>, CommandError> {
        let row = self.rows.get(name).await?;
        row.filter(|agent| agent.state != AgentState::Deleted)
            .ok_or_else(|| CommandError::not_found("agent", name))
    }

    /// One page of agents, by name, without the deleted ones.
    ///
    /// # Errors
    /// `CursorScope`, `Invalid` for a limit that is not 1 to 1,000.
    pub async fn list(&self, after: Option<Cursor>, limit: usize) -> Result<AgentPage, CommandError> {
        let query = Query::of(AgentIndex::Name).after(after).limit(limit);
        let mut found = self.rows.find(&query).await?;
        found.rows.retain(|agent| agent.state != AgentState::Deleted);
        Ok(AgentPage {
            rows: found.rows,
            next: found.next,
            issues: found.issues,
        })
    }

    /// The names of all agents, in order: what a misspelt one is compared with.
    ///
    /// # Errors
    /// As any read.
    pub async fn names(&self) -> Result<Vec<AgentName>, CommandError> {
        let (mut names, mut after) = (Vec::new(), None);
        // Ends with the last page: agents are finite.
        loop {
            let page = self.list(after, PAGE_MAX).await?;
            names.extend(page.rows.iter().map(|agent| agent.name.clone()));
            after = page.next;
            if after.is_none() {
                return Ok(names);
            }
        }
    }

    /// The agent that is to get, or to do, a task. Its version becomes a precondition of the draft's commit.
    pub(crate) async fn require(
        &self,
        draft: &mut Draft,
        name: &AgentName,
    ) -> Result<Versioned<Agent>, CommandError> {
        let agent = self.get(name).await?;
        if agent.state == AgentState::Deleting {
            let agent = name.clone();
            return Err(CommandError::AgentDeleting { agent });
        }
        if draft.is_first_to_expect_agent(name) {
            self.rows.stage_check(draft.batch(), &agent);
        }
        Ok(agent)
    }
}

pub(super) fn check(config: &AgentConfig) -> Result<(), CommandError> {
    if config.concurrency == 0 {
        return Err(CommandError::invalid(
            "concurrency",
            "0 lets the agent do nothing; pause it instead",
        ));
    }
    if config.concurrency > AGENT_CONCURRENCY_MAX {
        let reason = format!("is at most {AGENT_CONCURRENCY_MAX}");
        return Err(CommandError::invalid("concurrency", reason));
    }
    if config.delegates_to.len() > DELEGATES_MAX {
        let reason = format!("names at most {DELEGATES_MAX} agents");
        return Err(CommandError::invalid("delegates_to", reason));
    }
    let clocks = config.clocks.validate();
    clocks.map_err(|clock| CommandError::invalid(clock.field, clock.reason()))
}

/// Whether a row is at the version that somebody read.
pub(super) fn at_version(read: &Versioned<Agent>, expected: Option<Version>) -> Result<(), CommandError> {
    let current = read.version();
    match expected {
        Some(expected) if expected != current => Err(CommandError::Stale {
            subject: Subject::Agent(read.name.clone()),
            current,
        }),
        Some(_) | None => Ok(()),
    }
}

pub(super) fn refused(
    name: &AgentName,
    read: Option<&Agent>,
    event: AgentEvent,
    reason: Reason,
) -> CommandError {
    let agent = name.clone();
    match reason {
        Reason::Exists => CommandError::Exists {
            what: "agent",
            id: name.to_string(),
        },
        Reason::Missing => CommandError::not_found("agent", name),
        Reason::Deleting => CommandError::AgentDeleting { agent },
        reason => CommandError::Rejected {
            subject: Subject::Agent(agent),
            state: read.map_or("deleted", |agent| agent.state.word()),
            event: event.word(),
            reason,
        },
    }
}

/// An agent may run more at once: what waits for that is looked at. A ring alone leaves a full lane full.
pub(super) fn give_room(draft: &mut Draft, name: &AgentName) {
    draft.ring(name, WakeCause::Resumed);
    draft.free(name);
}
