//! Leases: who may write for a subject, proven by the version of a row, and until when, said by another.
//!
//! The row of a lease stays unwritten while it is held: its version is the fencing token. The heartbeat is a row of
//! its own, so that renewing changes nothing that anybody else reads.

mod guard;
mod job;
mod options;
mod over;
mod table;

use dormouse_filesystem::{Class, IndexEntry, IndexValue, NoIndexes, Record, RecordKind, Tenant, indexes};
use dormouse_secrets::Scrubbed;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use guard::LeaseGuard;
pub(crate) use guard::{Held, check, check_token, held, take};
pub(crate) use job::{give_back, renew, take_up};
pub use options::LeaseOptions;
pub(crate) use over::over;
pub use table::{LeaseEvent, LeaseState, decide};

use crate::{Epoch, LeaseId, OpId, Seat, Subject};

/// Who holds a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holder {
    /// The host's name.
    pub host: String,
    /// The process's number there.
    pub process: u32,
    /// That process's opening of the store: the next one's differs.
    pub epoch: Epoch,
    /// The place it had alone: whoever has it now knows that this holder is dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seat: Option<Seat>,
}

/// A lease that is held. Its version is the fencing token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// This holding of it.
    pub id: LeaseId,
    /// What it is on.
    pub subject: Subject,
    /// Who holds it.
    pub holder: Holder,
    /// Since when.
    pub taken_at: Timestamp,
    /// It expires at this time or, renewed, later.
    pub deadline: Timestamp,
    /// The command that took it.
    pub op: OpId,
}

indexes! {
    /// What finds leases.
    pub enum LeaseIndex {
        /// By when they end, over all tenants.
        Deadline = system "deadline",
    }
}

impl Record for Lease {
    type Scope = Tenant;
    type Id = Subject;
    type Index = LeaseIndex;
    const KIND: RecordKind = RecordKind::of("lease");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> Subject {
        self.subject.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry<LeaseIndex>> {
        vec![IndexEntry::new(
            LeaseIndex::Deadline,
            [IndexValue::instant(self.deadline)],
        )]
    }
}

/// How long a lease lives, and how far its holder is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// What the lease is on.
    pub subject: Subject,
    /// The holding it belongs to.
    pub lease: LeaseId,
    /// When it was last written.
    pub beat_at: Timestamp,
    /// Until when the lease lives.
    pub expires_at: Timestamp,
    /// How far the holder is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
}

/// How far a holder is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// When it last got on.
    pub at: Timestamp,
    /// Parts of the work completed.
    pub segments_completed: u32,
    /// The part that was begun and not completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment_current: Option<Scrubbed>,
}

impl Record for Heartbeat {
    type Scope = Tenant;
    type Id = Subject;
    type Index = NoIndexes;
    const KIND: RecordKind = RecordKind::of("heartbeat");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> Subject {
        self.subject.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry<NoIndexes>> {
        Vec::new()
    }
}
