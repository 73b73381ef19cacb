//! A secret's row: the value in force, those it replaced, or what is left after a delete.

use dormouse_filesystem::{Class, IndexEntry, IndexValue, Record, RecordKind, Tenant, indexes};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::place::Place;
use crate::ring::OpenImport;
use crate::seal::{AssociatedData, Sealed};
use crate::secrets::replaced;
use crate::{Fingerprint, Origin, SecretCategory, SecretMeta};

/// How long a replaced value is kept, for redaction alone.
pub const RETIRED_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Most replaced values of one secret.
pub const RETIRED_MAX: usize = 3;
/// How long the number of a deleted secret's generation is remembered.
pub const TOMBSTONE_FOR: SignedDuration = SignedDuration::from_hours(90 * 24);
/// How long the rows of an ended incarnation are kept.
pub const QUARANTINE_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A secret's row. Nothing in it is a value in clear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecretRow {
    pub(crate) place: Place,
    /// The last one that there was.
    pub(crate) generation: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) live: Option<Live>,
    /// Newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) retired: Vec<Retired>,
    /// What an import is to make of it, unseen until that is applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) staged: Option<Staged>,
    /// Since when there is none; the row goes 90 days later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) deleted_at: Option<Timestamp>,
    /// Until when it is in quarantine, leasable by nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) quarantined_until: Option<Timestamp>,
}

/// The value in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Live {
    pub(crate) body: Body,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) note: String,
    pub(crate) unscrubbed: bool,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) times_known: bool,
}

/// The value that an import brings, sealed as the next generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Staged {
    /// Which import.
    pub(crate) import: String,
    pub(crate) live: Live,
}

/// One generation, sealed and bound to what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Body {
    pub(crate) generation: u64,
    pub(crate) category: SecretCategory,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) origins: Vec<Origin>,
    pub(crate) key_id: u32,
    pub(crate) sealed: Sealed,
}

/// A generation that was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retired {
    pub(crate) body: Body,
    pub(crate) until: Timestamp,
}

impl SecretRow {
    /// The value in force, unless the row is set aside.
    pub(crate) fn usable(&self) -> Option<&Live> {
        self.live.as_ref().filter(|_| self.quarantined_until.is_none())
    }

    /// What is known of it.
    pub(crate) fn meta(&self) -> Option<SecretMeta> {
        self.live.as_ref().map(|live| SecretMeta {
            at: self.place.to_ref(),
            category: live.body.category,
            generation: live.body.generation,
            created_at: live.created_at,
            updated_at: live.updated_at,
            times_known: live.times_known,
            fingerprint: live.fingerprint,
            origins: live.body.origins.clone(),
            note: live.note.clone(),
            unscrubbed: live.unscrubbed,
            used_on: None,
            key_id: live.body.key_id,
        })
    }

    /// The row for who reads: what an applied import staged is in force, anything else that is staged is not there.
    pub(crate) fn seen(&self, import: Option<&OpenImport>) -> Self {
        let applied = import.and_then(|import| Some((&import.id, import.applied_at?)));
        match (&self.staged, applied) {
            (Some(staged), Some((id, at))) if staged.import == *id => self.with_staged(staged, at),
            (Some(_) | None, _) => Self {
                staged: None,
                ..self.clone()
            },
        }
    }

    fn with_staged(&self, staged: &Staged, applied_at: Timestamp) -> Self {
        let generation = staged.live.body.generation;
        let row = replaced(
            &self.place,
            Some(self),
            generation,
            staged.live.clone(),
            applied_at,
        );
        Self {
            quarantined_until: self.quarantined_until,
            ..row
        }
    }

    /// The row after `now`: without what is over. `None` when nothing is left.
    pub(crate) fn without_past(&self, now: Timestamp) -> Option<Self> {
        let is_over = self.staged.is_none() && self.deleted_at.is_some_and(|at| at + TOMBSTONE_FOR <= now)
            || self.quarantined_until.is_some_and(|until| until <= now);
        if is_over {
            return None;
        }
        let mut row = self.clone();
        row.retired.retain(|retired| retired.until > now);
        Some(row)
    }

    /// When something of it is over; `None` for never.
    fn ends_at(&self) -> Option<Timestamp> {
        let retired = self.retired.iter().map(|retired| retired.until);
        let deleted = self.deleted_at.map(|at| at + TOMBSTONE_FOR);
        retired.chain(deleted).chain(self.quarantined_until).min()
    }
}

impl Body {
    /// What the sealed value is bound to.
    pub(crate) fn bound(
        tenant: &str,
        place: &Place,
        generation: u64,
        category: SecretCategory,
        origins: &[Origin],
    ) -> AssociatedData {
        let (scope, agent, incarnation) = match place.agent() {
            None => ("shared", "", String::new()),
            Some(agent) => ("agent", agent.id.as_str(), agent.incarnation.to_string()),
        };
        let bound = AssociatedData::new("dormouse/1/value")
            .field(tenant.as_bytes())
            .field(scope.as_bytes())
            .field(agent.as_bytes())
            .field(incarnation.as_bytes())
            .field(place.name().as_str().as_bytes())
            .number(generation)
            .field(category.word().as_bytes())
            .number(u64::try_from(origins.len()).expect("origins are few"));
        origins
            .iter()
            .fold(bound, |bound, origin| bound.field(origin.to_string().as_bytes()))
    }
}

indexes! {
    /// What finds secrets.
    pub enum SecretIndex {
        /// By when something of them is over, over all tenants.
        Retire = system "retire",
    }
}

impl Record for SecretRow {
    type Scope = Tenant;
    type Id = Place;
    type Index = SecretIndex;
    const KIND: RecordKind = RecordKind::of("secret");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> Place {
        self.place.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry<SecretIndex>> {
        let ends = self.ends_at().into_iter();
        ends.map(|at| IndexEntry::new(SecretIndex::Retire, [IndexValue::instant(at)]))
            .collect()
    }
}
