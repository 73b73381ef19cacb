//! A lease's row.

use dormouse_filesystem::{Class, IndexEntry, IndexValue, Record, RecordKind, Tenant, indexes};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Cause, LeaseEvent, LeaseId, LeaseStatus, Left};
use crate::place::Place;
use crate::{LeaseError, Purpose};

/// Most uses of a lease that counts them.
pub const USES_MAX: u32 = 1_000;
/// How long a lease lives when nothing is said.
pub const LEASE_TTL: SignedDuration = SignedDuration::from_mins(15);
/// How long it lives at most.
pub const LEASE_TTL_MAX: SignedDuration = SignedDuration::from_hours(24);
/// Most active leases of one holder.
pub const HOLDER_LEASES_MAX: usize = 64;
/// How long a lease is kept after its end.
pub const LEASE_KEPT: SignedDuration = SignedDuration::from_hours(24);

/// Who holds a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "id", rename_all = "snake_case")]
pub enum Holder {
    /// A run.
    Run(String),
    /// A person or program that asks through an entrance.
    Principal(String),
    /// A part of the program.
    Service(String),
}

impl Holder {
    pub(super) fn values(&self) -> [IndexValue; 2] {
        let (kind, id) = match self {
            Self::Run(id) => ("run", id),
            Self::Principal(id) => ("principal", id),
            Self::Service(id) => ("service", id),
        };
        [IndexValue::name(kind), IndexValue::bytes(id.as_bytes())]
    }
}

/// How often a lease gives its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Uses {
    /// Once.
    Once,
    /// So many times, 2 to [`USES_MAX`].
    Times(u32),
    /// As often as wanted; nothing is counted.
    Unlimited,
}

impl Uses {
    pub(super) fn left(self, used: u32) -> Left {
        let max = match self {
            Self::Once => 1,
            Self::Times(times) => times,
            Self::Unlimited => return Left::Unlimited,
        };
        if used + 1 >= max { Left::Last } else { Left::More }
    }
}

/// What is asked of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseOptions {
    /// How often it gives its value.
    pub uses: Uses,
    /// How long it lives: more than nothing, at most [`LEASE_TTL_MAX`].
    pub ttl: SignedDuration,
}

impl Default for LeaseOptions {
    /// Once, within [`LEASE_TTL`].
    fn default() -> Self {
        Self {
            uses: Uses::Once,
            ttl: LEASE_TTL,
        }
    }
}

impl LeaseOptions {
    pub(super) fn check(&self) -> Result<(), LeaseError> {
        if self.ttl <= SignedDuration::ZERO || self.ttl > LEASE_TTL_MAX {
            return Err(LeaseError::Invalid {
                reason: "it lives more than nothing and at most 24 hours",
            });
        }
        match self.uses {
            Uses::Times(times) if !(2..=USES_MAX).contains(&times) => Err(LeaseError::Invalid {
                reason: "it gives its value 2 to 1,000 times, once, or unlimited",
            }),
            Uses::Once | Uses::Times(_) | Uses::Unlimited => Ok(()),
        }
    }
}

/// A lease, as it is stored: it holds no value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseRow {
    /// Its id.
    pub id: LeaseId,
    /// On what.
    pub place: Place,
    /// What for.
    pub purpose: Purpose,
    /// Whose.
    pub holder: Holder,
    /// How often it gives its value.
    pub uses: Uses,
    /// How often it did.
    pub used: u32,
    /// Since when.
    pub granted_at: Timestamp,
    /// Until when.
    pub expires_at: Timestamp,
    /// How it is.
    pub status: LeaseStatus,
    /// Why it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

impl LeaseRow {
    /// What a use at this time is.
    pub(super) fn use_at(&self, now: Timestamp) -> LeaseEvent {
        if now >= self.expires_at {
            LeaseEvent::UseLate
        } else {
            LeaseEvent::Use(self.uses.left(self.used))
        }
    }

    pub(super) fn ended(&self, status: LeaseStatus, cause: Option<Cause>, now: Timestamp) -> Self {
        Self {
            status,
            cause,
            ended_at: Some(now),
            ..self.clone()
        }
    }

    pub(super) fn refusal(&self) -> LeaseError {
        refusal(self.status, self.cause, self.expires_at)
    }
}

/// What a use of a lease that ended is answered.
pub(super) fn refusal(status: LeaseStatus, cause: Option<Cause>, expires_at: Timestamp) -> LeaseError {
    match status {
        LeaseStatus::Consumed => LeaseError::Consumed,
        LeaseStatus::Revoked => LeaseError::Revoked {
            cause: cause.unwrap_or(Cause::By),
        },
        LeaseStatus::Expired | LeaseStatus::Active => LeaseError::Expired { at: expires_at },
    }
}

indexes! {
    /// What finds leases.
    pub enum LeaseIndex {
        /// By who holds them.
        Holder = own "holder",
        /// By who holds them, those alone that may be used: what is over is kept for a day, and may be very many.
        Active = own "active",
        /// By when they may go, over all tenants.
        Retire = system "retire",
    }
}

impl Record for LeaseRow {
    type Scope = Tenant;
    type Id = LeaseId;
    type Index = LeaseIndex;
    const KIND: RecordKind = RecordKind::of("secret_lease");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> LeaseId {
        self.id
    }

    fn index_entries(&self) -> Vec<IndexEntry<LeaseIndex>> {
        let gone_at = self.ended_at.unwrap_or(self.expires_at) + LEASE_KEPT;
        let mut entries = vec![
            IndexEntry::new(LeaseIndex::Holder, self.holder.values()),
            IndexEntry::new(LeaseIndex::Retire, [IndexValue::instant(gone_at)]),
        ];
        if self.status == LeaseStatus::Active {
            entries.push(IndexEntry::new(LeaseIndex::Active, self.holder.values()));
        }
        entries
    }
}
