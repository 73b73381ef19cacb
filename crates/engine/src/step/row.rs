//! A step as it is stored: its input's digest, and what came of it.

use dormouse_filesystem::blob::{BlobId, Blobs};
use dormouse_filesystem::{
    Class, Digest, IndexEntry, IndexValue, Record, RecordKind, Records, Tenant, Versioned, indexes,
};
use dormouse_secrets::Scrubbed;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::value::of_blob;
use super::{Effect, StepId, StepRow};
use crate::core::Core;
use crate::draft::Draft;
use crate::{AgentName, CommandError, Incarnation, OpId, RunId};

/// A step that was begun or done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What names it.
    pub step: StepId,
    /// The agent whose run did it.
    pub agent: AgentName,
    /// That agent, told from former ones of its name.
    pub agent_incarnation: Incarnation,
    /// The run that wrote the row last.
    pub run: RunId,
    /// What doing it twice does.
    pub effect: Effect,
    /// The SHA-256 of its canonical input and version.
    pub input: Digest,
    /// What came of it.
    pub state: StepState,
    /// When what it is of had ended, or had not yet, as it was last looked at; none before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retires_from: Option<Timestamp>,
    /// When its row was made.
    pub created_at: Timestamp,
    /// When its row was last written.
    pub updated_at: Timestamp,
    /// The command that wrote the row.
    pub op: OpId,
}

impl Step {
    /// From when on it is kept for its time, as far as is known.
    #[must_use]
    pub fn retires_from(&self) -> Timestamp {
        self.retires_from.unwrap_or(self.updated_at)
    }
}

indexes! {
    /// What finds steps.
    pub enum StepIndex {
        /// By when they may be of something that has ended, over all tenants.
        Retire = system "retire",
    }
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum StepState {
    /// Its effect may have happened; what came of it is not known.
    Begun,
    /// It was done.
    Done {
        /// With this result.
        result: StepResult,
    },
    /// It failed, and would again.
    Permanent {
        /// How, as it was said.
        message: Scrubbed,
    },
    /// It was done, and its result was more than is kept.
    TooLarge {
        /// The bytes of its JSON.
        bytes: u64,
    },
}

/// Where a result is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepResult {
    /// Here, as JSON.
    Json(Scrubbed),
    /// In a blob, as JSON.
    Blob(BlobId),
}

impl StepState {
    /// Its row of the table; a begun one is told apart by who began it.
    #[must_use]
    pub fn row(&self) -> StepRow {
        match self {
            Self::Begun => StepRow::Begun,
            Self::Done { .. } => StepRow::Done,
            Self::Permanent { .. } => StepRow::Permanent,
            Self::TooLarge { .. } => StepRow::TooLarge,
        }
    }
}

impl Record for Step {
    type Scope = Tenant;
    type Id = StepId;
    type Index = StepIndex;
    const KIND: RecordKind = RecordKind::of("step");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> StepId {
        self.step.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry<StepIndex>> {
        let from = IndexValue::instant(self.retires_from());
        vec![IndexEntry::new(StepIndex::Retire, [from])]
    }
}

/// Stages that a step's row goes, and with it the blob of its result.
pub(crate) async fn stage_gone(
    core: &Core,
    draft: &mut Draft,
    read: &Versioned<Step>,
) -> Result<(), CommandError> {
    Records::<Step>::new(&core.space)
        .stage_remove(draft.batch(), read)
        .await?;
    if let StepState::Done {
        result: StepResult::Blob(id),
    } = &read.state
    {
        let blobs = Blobs::new(&core.space);
        if let Some(blob) = blobs.get(id).await.map_err(of_blob)? {
            blobs.remove(draft.batch(), &blob).await.map_err(of_blob)?;
        }
    }
    Ok(())
}
