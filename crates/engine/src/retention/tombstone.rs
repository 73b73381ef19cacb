//! What is known of what is gone: that it was, and how it ended; nothing of what it held.

use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::{
    Class, IndexEntry, IndexValue, Record, RecordKind, Records, Tenant, Versioned, indexes,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Gone, Retention, Retires};
use crate::core::Core;
use crate::draft::Draft;
use crate::{CommandError, OpId, Subject};

/// What is left of a row that retention removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tombstone {
    /// What it was.
    pub id: Subject,
    /// Its number, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// The word of the state it ended in.
    pub state: String,
    /// The SHA-256 of its row, in hexadecimal: proves what a copy of it says.
    pub digest: String,
    /// When it went.
    pub removed_at: Timestamp,
    /// The command that removed it.
    pub op: OpId,
}

indexes! {
    /// What finds tombstones.
    pub enum TombstoneIndex {
        /// By when it was made, over all tenants.
        Retire = system "retire",
    }
}

impl Record for Tombstone {
    type Scope = Tenant;
    type Id = Subject;
    type Index = TombstoneIndex;
    const KIND: RecordKind = RecordKind::of("tombstone");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> Subject {
        self.id.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry<TombstoneIndex>> {
        let at = IndexValue::instant(self.removed_at);
        vec![IndexEntry::new(TombstoneIndex::Retire, [at])]
    }
}

impl Retires for Tombstone {
    const SWEEP: &'static str = "tombstones";
    const RETIRE: TombstoneIndex = TombstoneIndex::Retire;

    fn kept(retention: &Retention) -> Duration {
        retention.tombstones
    }

    fn ended_at(&self) -> Option<Timestamp> {
        Some(self.removed_at)
    }

    async fn stage_gone(core: &Core, draft: &mut Draft, row: &Versioned<Self>) -> Result<Gone, CommandError> {
        let rows = Records::<Self>::new(&core.space);
        rows.stage_remove(draft.batch(), row).await?;
        Ok(Gone::Wholly)
    }
}

/// What a tombstone says of a row, beside its digest.
pub(crate) struct Entombed {
    pub(crate) subject: Subject,
    pub(crate) number: Option<u64>,
    pub(crate) state: &'static str,
}

/// Stages the tombstone of a row that goes in the same commit.
pub(crate) fn stage_tombstone<R: Record>(
    core: &Core,
    draft: &mut Draft,
    entombed: Entombed,
    row: &R,
) -> Result<(), CommandError> {
    let bytes = serde_json::to_vec(row).expect("a row is plain data");
    let digest = Sha256::digest(bytes);
    let tombstone = Tombstone {
        id: entombed.subject,
        number: entombed.number,
        state: entombed.state.to_owned(),
        digest: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        removed_at: draft.now(),
        op: draft.op(),
    };
    Records::<Tombstone>::new(&core.space).stage_create(draft.batch(), &tombstone)?;
    Ok(())
}

/// What is known of what is gone.
#[derive(Debug, Clone)]
pub struct Tombstones {
    rows: Records<Tombstone>,
}

impl Tombstones {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        let rows = Records::new(&core.space);
        Self { rows }
    }

    /// What is left of a thing that retention removed; none where nothing was, or where that is forgotten too.
    ///
    /// # Errors
    /// `Corrupt`.
    pub async fn get(&self, subject: &Subject) -> Result<Option<Versioned<Tombstone>>, CommandError> {
        Ok(self.rows.get(subject).await?)
    }
}
