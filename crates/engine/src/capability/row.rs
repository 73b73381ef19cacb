//! A capability as it is stored.

use dormouse_filesystem::{Class, Digest, IndexEntry, IndexValue, Record, RecordKind, Tenant, indexes};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::draft::Draft;
use crate::event::About;
use crate::gate::{Gate, InTurn};
use crate::{AgentName, GateId, Incarnation, LeaseId, OpId, RunId, Subject};

/// What one approval allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capability {
    /// The gate that was approved: its key.
    pub gate: GateId,
    /// The agent that may.
    pub agent: AgentName,
    /// That agent, told from former ones of its name.
    pub agent_incarnation: Incarnation,
    /// The session it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<InTurn>,
    /// What the call belongs to.
    pub origin: Subject,
    /// The digest of the call it fits.
    pub digest: Digest,
    /// The digest of the call that was asked for, where another was approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Digest>,
    /// Where it is.
    pub state: CapabilityState,
    /// Until when it can be used, as long as its time goes.
    pub expires_at: Timestamp,
    /// Since when its time stands: nobody is there to use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stands_since: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its row was last written.
    pub updated_at: Timestamp,
    /// The command that wrote the row.
    pub op: OpId,
}

/// Where a capability is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum CapabilityState {
    /// It can be used.
    Active,
    /// A run is about to.
    Claimed {
        /// Which, by which lease.
        by: Holder,
    },
    /// Its effect may be happening.
    Dispatching {
        /// By which run, by which lease.
        by: Holder,
    },
    /// It cannot be used any more.
    Closed {
        /// How that came.
        end: CapabilityEnd,
    },
}

/// Who uses a capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holder {
    /// The run.
    pub run: RunId,
    /// Its holding of the lease.
    pub lease: LeaseId,
}

/// How a capability ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CapabilityEnd {
    /// Used: the effect is there.
    Done,
    /// Used: the effect failed.
    Failed,
    /// Used: whether the effect is there is not known. It is never tried again.
    Unknown,
    /// Taken back before it was used.
    Revoked,
    /// Its time was up before it was used.
    Expired,
}

impl Capability {
    /// What the approval of this gate allows; without somebody who waits for it, its time stands.
    pub(crate) fn of(gate: &Gate, is_awaited: bool, draft: &Draft) -> Self {
        let (now, op) = (draft.now(), draft.op());
        let ttl = SignedDuration::try_from(draft.capability_ttl()).unwrap_or(SignedDuration::MAX);
        Self {
            gate: gate.id,
            agent: gate.agent.clone(),
            agent_incarnation: gate.agent_incarnation,
            session: gate.session,
            origin: gate.origin.clone(),
            digest: gate.granted_digest(),
            asked: (gate.granted_digest() != gate.digest).then_some(gate.digest),
            state: CapabilityState::Active,
            expires_at: now.checked_add(ttl).unwrap_or(Timestamp::MAX),
            stands_since: (!is_awaited).then_some(now),
            created_at: now,
            updated_at: now,
            op,
        }
    }

    /// Whether its time goes on: it is not closed, does not stand, and its effect cannot be happening.
    pub(crate) fn can_expire(&self) -> bool {
        let is_open = match self.state {
            CapabilityState::Active | CapabilityState::Claimed { .. } => true,
            CapabilityState::Dispatching { .. } | CapabilityState::Closed { .. } => false,
        };
        is_open && self.stands_since.is_none()
    }

    /// Whether its time is up.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.stands_since.is_none() && self.expires_at <= now
    }

    /// From now on its time stands.
    pub(super) fn stand(&mut self, now: Timestamp) {
        self.stands_since.get_or_insert(now);
    }

    /// Its time goes on where it stood.
    pub(super) fn go_on(&mut self, now: Timestamp) {
        if let Some(since) = self.stands_since.take() {
            let stood = now.duration_since(since).max(SignedDuration::ZERO);
            self.expires_at = self.expires_at.checked_add(stood).unwrap_or(Timestamp::MAX);
        }
    }

    /// What its events are about.
    #[must_use]
    pub fn about(&self) -> About {
        About::of(Subject::Gate(self.gate), &self.agent, self.agent_incarnation)
    }

    /// Who uses it.
    #[must_use]
    pub fn holder(&self) -> Option<Holder> {
        match self.state {
            CapabilityState::Claimed { by } | CapabilityState::Dispatching { by } => Some(by),
            CapabilityState::Active | CapabilityState::Closed { .. } => None,
        }
    }
}

indexes! {
    /// What finds capabilities.
    pub enum CapabilityIndex {
        /// Those not closed, by what the call belongs to and the digest of the call that was asked for.
        Origin = own "origin",
        /// Those not closed whose time goes, by when they expire, over all tenants.
        Due = system "capability_due",
    }
}

impl Record for Capability {
    type Scope = Tenant;
    type Id = GateId;
    type Index = CapabilityIndex;
    const KIND: RecordKind = RecordKind::of("capability");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> GateId {
        self.gate
    }

    fn index_entries(&self) -> Vec<IndexEntry<CapabilityIndex>> {
        let mut entries = Vec::new();
        if matches!(self.state, CapabilityState::Closed { .. }) {
            return entries;
        }
        let asked = self.asked.unwrap_or(self.digest);
        let values = [&self.origin.id(), &asked.to_string()].map(|value| IndexValue::name(value));
        entries.push(IndexEntry::new(CapabilityIndex::Origin, values));
        if self.can_expire() {
            let due = IndexValue::instant(self.expires_at);
            entries.push(IndexEntry::new(CapabilityIndex::Due, [due]));
        }
        entries
    }
}
