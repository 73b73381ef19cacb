//! What happens to credentials is told in the event logs, in the commit in which it happens.

use std::sync::Arc;

use dormouse_filesystem::{Log, ScopedBatch, System, Tenant};
use dormouse_secrets::{AgentId, Change, Journal, VaultChange};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::event::{EVENT_SCHEMA, Event};
use crate::{AgentName, EventId, OpId, PrefixedId, Principal, Random, TenantId};

/// Most names of one event: a change of more tells the first of them.
const NAMES_MAX: usize = 64;
/// Whose the events of the vault and of settings are, which belong to no tenant.
pub(crate) fn of_no_tenant() -> TenantId {
    "system".parse().expect("it is a name")
}

/// Tells the changes of one command.
#[derive(Debug)]
pub(crate) struct EventJournal {
    pub(crate) tenant: TenantId,
    /// The tenant's log.
    pub(crate) events: Log,
    /// The installation's.
    pub(crate) system: Log,
    pub(crate) now: Timestamp,
    pub(crate) op: OpId,
    pub(crate) actor: Principal,
    pub(crate) random: Arc<Random>,
}

impl Journal for EventJournal {
    fn tenant(&self, batch: &mut ScopedBatch<Tenant>, change: &Change) {
        let (subject, agent) = self.about(change);
        let agent = agent.and_then(|agent| agent.as_str().parse::<AgentName>().ok());
        let event = self.event(self.tenant.clone(), subject, agent, &short(change));
        batch.append(&self.events, event);
    }

    fn system(&self, batch: &mut ScopedBatch<System>, change: &VaultChange) {
        let event = self.event(of_no_tenant(), "vault:one".to_owned(), None, change);
        batch.append(&self.system, event);
    }
}

impl EventJournal {
    fn event(
        &self,
        tenant: TenantId,
        subject: String,
        agent: Option<AgentName>,
        change: &impl Serialize,
    ) -> Vec<u8> {
        let Value::Object(mut data) = serde_json::to_value(change).expect("a change is plain data") else {
            unreachable!("a change is tagged, so it is an object")
        };
        let Some(Value::String(kind)) = data.remove("type") else {
            unreachable!("every change has a type")
        };
        let event = Event {
            id: EventId::make(self.now, &self.random),
            kind,
            schema: EVENT_SCHEMA,
            at: self.now,
            tenant,
            agent,
            agent_incarnation: None,
            subject,
            op: self.op,
            actor: self.actor.clone(),
            cause: None,
            data,
        };
        serde_json::to_vec(&event).expect("an event is plain data")
    }

    /// What a change is about, and whose.
    fn about<'a>(&self, change: &'a Change) -> (String, Option<&'a AgentId>) {
        match change {
            Change::Put { at, .. } | Change::Deleted { at, .. } => {
                (format!("secret:{at}"), agent_of(&at.scope))
            }
            Change::Leased { lease, at, .. } => (format!("secret_lease:{lease}"), agent_of(&at.scope)),
            Change::LeaseRevoked { lease, at, .. } => (
                format!("secret_lease:{lease}"),
                at.as_ref().and_then(|at| agent_of(&at.scope)),
            ),
            Change::Unreadable { agent, .. }
            | Change::Quarantined { agent, .. }
            | Change::Restored { agent, .. } => (format!("agent:{agent}"), Some(agent)),
            Change::Imported { .. } | Change::Exported { .. } | Change::Resealed { .. } => {
                (format!("tenant:{}", self.tenant), None)
            }
        }
    }
}

fn agent_of(scope: &dormouse_secrets::SecretScope) -> Option<&AgentId> {
    match scope {
        dormouse_secrets::SecretScope::InstanceShared => None,
        dormouse_secrets::SecretScope::Agent(agent) => Some(agent),
    }
}

/// The change with as many names as an event takes.
fn short(change: &Change) -> Change {
    let mut change = change.clone();
    match &mut change {
        Change::Unreadable { names, .. } | Change::Restored { names, .. } => names.truncate(NAMES_MAX),
        Change::Resealed { unreadable, .. } => unreadable.truncate(NAMES_MAX),
        Change::Put { .. }
        | Change::Deleted { .. }
        | Change::Leased { .. }
        | Change::LeaseRevoked { .. }
        | Change::Imported { .. }
        | Change::Exported { .. }
        | Change::Quarantined { .. } => {}
    }
    change
}
