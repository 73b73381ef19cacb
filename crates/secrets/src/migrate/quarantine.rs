//! What a migration could not place: sealed, leasable by nobody, gone after 7 days, or placed by somebody.

use std::fmt;
use std::str::FromStr;

use dormouse_filesystem::{
    Class, IndexEntry, IndexValue, Issue, PAGE_MAX, Record, RecordError, RecordId, RecordKind, Segment,
    Tenant, Versioned, indexes,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::LegacyMeta;
use crate::attempts::is_conflict;
use crate::seal::{AssociatedData, Sealed};
use crate::sealing::Sealing;
use crate::secrets::{Secrets, check_name, check_value, replaced, unreadable};
use crate::{Call, Change, SecretCategory, SecretError, SecretRef, Short, VaultEvent};

/// Names one row that is set aside: the source's digest and the row's, 32 hexadecimal digits each.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuarantineId {
    /// Of the source.
    pub source: String,
    /// Of the row's key.
    pub row: String,
}

impl fmt::Display for QuarantineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.source, self.row)
    }
}

/// A text that names no row that may be set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id is two times 32 hexadecimal digits, with / between")]
pub struct InvalidQuarantineId;

impl FromStr for QuarantineId {
    type Err = InvalidQuarantineId;

    /// As it is printed.
    fn from_str(text: &str) -> Result<Self, InvalidQuarantineId> {
        let parts: Vec<&str> = text.split('/').collect();
        Self::from_segments(&parts).ok_or(InvalidQuarantineId)
    }
}

impl RecordId for QuarantineId {
    fn segments(&self) -> Vec<Segment> {
        let segment = |text: &str| Segment::parse(text).expect("hexadecimal digits are a segment");
        vec![segment(&self.source), segment(&self.row)]
    }

    fn from_segments(segments: &[&str]) -> Option<Self> {
        let is_digest = |text: &str| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match segments {
            [source, row] if is_digest(source) && is_digest(row) => Some(Self {
                source: (*source).to_owned(),
                row: (*row).to_owned(),
            }),
            _ => None,
        }
    }
}

/// Why a row could not be placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unplaced {
    /// A part of its key is no name or no agent's id.
    InvalidKey,
    /// A variable of its name is set by us, or loads code.
    Reserved,
    /// A row with a scope has its name.
    Shadowed,
    /// No agent of that id lives.
    NoAgent,
    /// It is of another agent than its store.
    ForeignAgent,
    /// There is a row, with another value.
    Exists,
    /// The scope has as many secrets as it may have.
    Full,
    /// The value or its metadata breaks a rule.
    Invalid,
}

impl Unplaced {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::InvalidKey => "invalid_key",
            Self::Reserved => "reserved",
            Self::Shadowed => "shadowed",
            Self::NoAgent => "no_agent",
            Self::ForeignAgent => "foreign_agent",
            Self::Exists => "exists",
            Self::Full => "full",
            Self::Invalid => "invalid",
        }
    }
}

/// A row that is set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Which.
    pub id: QuarantineId,
    /// Its key, NUL printed as `\0`.
    pub key: String,
    /// Why it could not be placed.
    pub reason: Unplaced,
    /// When it goes.
    pub until: Timestamp,
}

/// The row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QuarantineRow {
    pub(crate) id: QuarantineId,
    pub(crate) key: String,
    pub(crate) reason: Unplaced,
    pub(crate) key_id: u32,
    pub(crate) sealed: Sealed,
    pub(crate) category: SecretCategory,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) created_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) updated_at: Option<Timestamp>,
    pub(crate) until: Timestamp,
}

/// Rows that are set aside, and those that cannot be believed.
#[derive(Default)]
pub(crate) struct Aside {
    pub(crate) rows: Vec<Versioned<QuarantineRow>>,
    pub(crate) issues: Vec<Issue>,
}

/// What its value is bound to.
pub(crate) fn quarantine_bound(tenant: &str, id: &QuarantineId) -> AssociatedData {
    AssociatedData::new("dormouse/1/quarantine")
        .field(tenant.as_bytes())
        .field(id.source.as_bytes())
        .field(id.row.as_bytes())
}

/// The times and category of what is set aside.
pub(super) fn known(meta: Option<&LegacyMeta>) -> (SecretCategory, Option<Timestamp>, Option<Timestamp>) {
    match meta {
        Some(meta) => (meta.category, Some(meta.created_at), Some(meta.updated_at)),
        None => (SecretCategory::Tool, None, None),
    }
}

indexes! {
    /// What finds rows that are set aside.
    pub enum QuarantineIndex {
        /// By when they go, over all tenants.
        Retire = system "retire",
    }
}

impl Record for QuarantineRow {
    type Scope = Tenant;
    type Id = QuarantineId;
    type Index = QuarantineIndex;
    const KIND: RecordKind = RecordKind::of("secret_quarantine");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> QuarantineId {
        self.id.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry<QuarantineIndex>> {
        vec![IndexEntry::new(
            QuarantineIndex::Retire,
            [IndexValue::instant(self.until)],
        )]
    }
}

impl Secrets {
    /// What migrations set aside, in any state of the vault.
    ///
    /// # Errors
    /// As any read.
    pub async fn quarantined(&self) -> Result<Vec<Quarantined>, SecretError> {
        let all = self.all_quarantined().await?;
        Ok(all
            .rows
            .iter()
            .map(|row| QuarantineRow::clone(row).told())
            .collect())
    }

    /// Every row that is set aside.
    pub(crate) async fn all_quarantined(&self) -> Result<Aside, SecretError> {
        let (mut all, mut after) = (Aside::default(), None);
        // Ends with the last page: sources are few, and their rows go after 7 days.
        loop {
            let page = self.set_aside_rows().range(&[], after.as_ref(), PAGE_MAX).await?;
            all.rows.extend(page.rows);
            all.issues.extend(page.issues);
            after = page.next;
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    /// Seals what is set aside as this secret, which must not exist, and takes it out of quarantine: one commit.
    ///
    /// # Errors
    /// `NotFound` when nothing of this id is set aside, or the agent does not live; `Exists`; as a put.
    pub async fn place_quarantined(
        &self,
        call: &Call,
        id: &QuarantineId,
        at: &SecretRef,
    ) -> Result<(), SecretError> {
        check_name(&at.name)?;
        let place = self.place(at).await?;
        let keys = self.keys(VaultEvent::Value).await?;
        let not_found = || SecretError::NotFound { at: at.clone() };
        let aside = self.set_aside_rows().get(id).await?.ok_or_else(not_found)?;
        let there = self.row(&place, None).await?;
        if there.as_ref().is_some_and(|there| there.live.is_some()) {
            return Err(SecretError::Exists { at: at.clone() });
        }
        self.check_room(place.agent(), 1).await?;
        let mut batch = self.namespace().batch();
        let ring = self.ring_for_put(&keys, &mut batch)?;
        let bound = quarantine_bound(self.tenant(), id);
        let opened = ring.open_bound(&bound, aside.key_id, &aside.sealed);
        let Ok(value) = opened else {
            let error = unreadable(&place);
            return Err(match self.may_open_now(&keys, &error).await? {
                true => SecretError::Conflict { at: at.clone() },
                false => error,
            });
        };
        self.registrar().opened(place.name(), &value);
        check_value(value.expose(), aside.category, Short::Accept)?;
        let generation = 1 + there.as_ref().map_or(0, |there| there.generation);
        let sealing = Sealing {
            value: &value,
            category: aside.category,
            origins: &[],
            note: "",
            created_at: aside.created_at.unwrap_or(call.now),
            updated_at: aside.updated_at.unwrap_or(call.now),
            times_known: aside.created_at.is_some(),
        };
        let live = ring.live(&place, generation, &sealing, self.vault().random())?;
        let new = replaced(&place, there.as_deref(), generation, live, call.now);
        match &there {
            Some(there) => self.rows().stage_replace(&mut batch, there.raw(), &new).await?,
            None => self.rows().stage_create(&mut batch, &new)?,
        }
        self.set_aside_rows().stage_remove(&mut batch, &aside).await?;
        let change = Change::Put {
            at: at.clone(),
            generation,
        };
        call.journal.tenant(&mut batch, &change);
        match self.namespace().commit(batch).await.map_err(RecordError::from) {
            Ok(_) => Ok(()),
            Err(error) if is_conflict(&error) => Err(SecretError::Conflict { at: at.clone() }),
            Err(error) => Err(error.into()),
        }
    }
}

impl QuarantineRow {
    pub(super) fn told(self) -> Quarantined {
        Quarantined {
            id: self.id,
            key: self.key,
            reason: self.reason,
            until: self.until,
        }
    }
}
