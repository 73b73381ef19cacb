//! How far a sink has come, and how it is: one row for each sink and tenant.

use dormouse_filesystem::{
    Class, IndexEntry, Issue, NoIndexes, Position, Record, RecordKind, Records, Tenant, Version, Versioned,
};
use dormouse_secrets::Scrubbed;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::bad::heed_issue;
use crate::core::Core;
use crate::event::{About, EventFilter};
use crate::id::segment;
use crate::limits::PAGE_MAX;
use crate::{CommandError, OpId, Subject};

/// How a sink is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SinkState {
    /// It is told what is new.
    #[default]
    Active,
    /// It did not acknowledge, and is asked again at a time.
    BackingOff,
    /// Somebody lets it wait.
    Paused,
    /// It is told nothing more: it is gone, or refused an event for good.
    Disabled,
    /// It was too far behind, and what it misses may be gone.
    Detached,
}

impl SinkState {
    /// Every state, in the order of the table.
    pub const ALL: [Self; 5] = [
        Self::Active,
        Self::BackingOff,
        Self::Paused,
        Self::Disabled,
        Self::Detached,
    ];

    /// The state's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::BackingOff => "backing_off",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
            Self::Detached => "detached",
        }
    }
}

/// How far a reader of a tenant's events has come. It only rises.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelayCursor {
    /// Whose cursor: `relay:<sink>`, or `sweep:events`, which has the last position that is to go.
    pub consumer: Subject,
    /// The log that was read; none while it has no entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<Version>,
    /// The last position that is done with.
    pub after: Position,
    /// What it wants, when it was served last.
    #[serde(default)]
    pub filter: EventFilter,
    /// How it is.
    pub state: SinkState,
    /// How often it did not acknowledge, one after the other.
    #[serde(default)]
    pub attempts: u32,
    /// When it is asked again, if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
    /// What it said when it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<Scrubbed>,
    /// When its row was made.
    pub created_at: Timestamp,
    /// When its row was last written.
    pub updated_at: Timestamp,
    /// The command that wrote the row.
    pub op: OpId,
}

impl RelayCursor {
    /// What its events are about.
    pub(super) fn about(&self) -> About {
        about(&self.consumer)
    }
}

/// What the events of a consumer are about.
pub(super) fn about(consumer: &Subject) -> About {
    About {
        subject: consumer.clone(),
        agent: None,
    }
}

impl Record for RelayCursor {
    type Scope = Tenant;
    type Id = Subject;
    type Index = NoIndexes;
    const KIND: RecordKind = RecordKind::of("cursor");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> Subject {
        self.consumer.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry<NoIndexes>> {
        Vec::new()
    }
}

/// The cursors of all sinks of a tenant. One that cannot be believed is an error: what it holds may not go.
pub(super) async fn all_of(core: &Core) -> Result<Vec<Versioned<RelayCursor>>, CommandError> {
    let (all, issues) = believed_of(core).await?;
    match issues.first() {
        Some(issue) => Err(CommandError::Corrupt(issue.to_string().into())),
        None => Ok(all),
    }
}

async fn believed_of(core: &Core) -> Result<(Vec<Versioned<RelayCursor>>, Vec<Issue>), CommandError> {
    let rows = Records::<RelayCursor>::new(&core.space);
    let (mut all, mut issues, mut after) = (Vec::new(), Vec::new(), None);
    // Ends with the last page.
    loop {
        let page = rows.range(&[segment("relay")], after.as_ref(), PAGE_MAX).await?;
        issues.extend(page.issues);
        all.extend(page.rows);
        after = page.next;
        if after.is_none() {
            return Ok((all, issues));
        }
    }
}

/// The cursors that events are kept for: of every sink but those that are detached, and those whose rows cannot be
/// believed: such a sink is told nothing, so that it is as far behind as can be, and keeps nothing for ever.
pub(crate) async fn live_of(core: &Core) -> Result<Vec<Versioned<RelayCursor>>, CommandError> {
    let (mut all, issues) = believed_of(core).await?;
    for issue in &issues {
        // A newer build's is believed by that build.
        if issue.key.is_none() {
            return Err(CommandError::Corrupt(issue.to_string().into()));
        }
        tracing::warn!(tenant = %core.tenant, %issue, "a sink's row cannot be believed: events are not kept for it");
        heed_issue(core, issue).await;
    }
    all.retain(|cursor| cursor.state != SinkState::Detached);
    Ok(all)
}
