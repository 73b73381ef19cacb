//! Why a task waits that could run, as far as it is known where it is asked.

use std::fmt;

use super::bell::Service;
use crate::CommandError;
use crate::agent::AgentState;
use crate::budget::{AccountPath, Dimension, Refusal, would_refuse};
use crate::engine::{Engine, Tenant};
use crate::task::{Task, TaskState, Wait};

/// Why a task waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WhyWaits {
    /// Its agent runs as much at once as it may.
    AgentFull,
    /// Its tenant does, by its budget.
    TenantFull,
    /// The process that serves does: `runs.instance_max`.
    InstanceFull,
    /// An account is at its limit, or a person is asked first.
    Budget,
    /// Its agent is paused.
    Paused,
    /// Its time has not come.
    NotDue,
    /// A gate is not decided.
    Gate,
    /// Its worker needs secrets, and nobody unlocked them.
    Locked,
    /// The loop that claims panicked too often, and is not begun any more.
    Degraded,
    /// Nobody claims.
    NoSupervisor,
}

impl WhyWaits {
    /// Every reason.
    pub const ALL: [Self; 10] = [
        Self::AgentFull,
        Self::TenantFull,
        Self::InstanceFull,
        Self::Budget,
        Self::Paused,
        Self::NotDue,
        Self::Gate,
        Self::Locked,
        Self::Degraded,
        Self::NoSupervisor,
    ];

    /// The reason's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::AgentFull => "agent_full",
            Self::TenantFull => "tenant_full",
            Self::InstanceFull => "instance_full",
            Self::Budget => "budget",
            Self::Paused => "paused",
            Self::NotDue => "not_due",
            Self::Gate => "gate",
            Self::Locked => "locked",
            Self::Degraded => "degraded",
            Self::NoSupervisor => "no_supervisor",
        }
    }
}

impl fmt::Display for WhyWaits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The loop of wakes, as [`Engine::keep`] is told of it.
const LOOP: &str = "wakes";

impl Engine {
    /// Why a task waits; none where it does not wait, where it waits for other tasks or for somebody's word, and where nothing
    /// is known to be in its way. It is read from rows and from what this process knows: where several share the store,
    /// whether another one serves or is full is not known here, and not said.
    ///
    /// Of several reasons the first in this order is said: of the task, of its agent, of who serves, of what is full.
    ///
    /// # Errors
    /// As any read.
    pub async fn why_waits(&self, tenant: &Tenant, task: &Task) -> Result<Option<WhyWaits>, CommandError> {
        match task.state {
            TaskState::Ready => self.why_ready(tenant, task).await,
            TaskState::Waiting { on } => Ok(match on {
                Wait::Until { .. } => Some(WhyWaits::NotDue),
                Wait::Gate { .. } => Some(WhyWaits::Gate),
                Wait::Tasks => None,
            }),
            TaskState::PendingApproval
            | TaskState::Backlog
            | TaskState::Running
            | TaskState::Done { .. }
            | TaskState::Failed { .. }
            | TaskState::Quarantined
            | TaskState::Cancelled => Ok(None),
        }
    }

    /// Why one is not claimed that could be.
    async fn why_ready(&self, tenant: &Tenant, task: &Task) -> Result<Option<WhyWaits>, CommandError> {
        let agent = tenant.core.agent_if_there(&task.assignee).await?;
        let Some(agent) = agent.filter(|agent| agent.incarnation == task.agent_incarnation) else {
            return Ok(None);
        };
        if agent.state == AgentState::Paused {
            return Ok(Some(WhyWaits::Paused));
        }
        if tenant.credentials.awaited(task).await?.is_some() {
            return Ok(Some(WhyWaits::Locked));
        }
        if let Some(why) = self.why_unserved() {
            return Ok(Some(why));
        }
        // As it would be claimed: a clock that it does not set is its agent's or the engine's.
        let mut task = task.clone();
        if let Some(command) = &mut task.command {
            command.fill(&agent.config.clocks.or(&tenant.core.adjusted.now().clocks));
        }
        if let Some(refusal) = would_refuse(&tenant.core, &task, agent.config.concurrency).await? {
            return Ok(Some(of_refusal(&refusal)));
        }
        Ok(self.bell().is_full().then_some(WhyWaits::InstanceFull))
    }

    /// Why nobody claims here, if nobody does and others are not known to.
    fn why_unserved(&self) -> Option<WhyWaits> {
        match self.bell().service() {
            Service::Here => None,
            Service::Nobody | Service::Leaving | Service::Ended => {
                let is_degraded = self.degraded().contains(&LOOP);
                match (is_degraded, self.is_exclusive()) {
                    (true, _) => Some(WhyWaits::Degraded),
                    (false, true) => Some(WhyWaits::NoSupervisor),
                    (false, false) => None,
                }
            }
        }
    }
}

/// What an account that refuses means: of runs at once, its own are full; of anything else it is a budget.
fn of_refusal(refusal: &Refusal) -> WhyWaits {
    match (refusal.dimension, &refusal.account) {
        (Dimension::Concurrency, AccountPath::Agent(_)) => WhyWaits::AgentFull,
        (Dimension::Concurrency, AccountPath::Tenant) => WhyWaits::TenantFull,
        (Dimension::Concurrency, AccountPath::Session(_) | AccountPath::Task(_) | AccountPath::Run(_))
        | (
            Dimension::UsdMicros
            | Dimension::InputTokens
            | Dimension::OutputTokens
            | Dimension::OutputBytes
            | Dimension::EgressBytes
            | Dimension::WallMs
            | Dimension::Processes,
            _,
        ) => WhyWaits::Budget,
    }
}
