//! Deleting a task: its row goes, and what is left says that its number was given.

use dormouse_filesystem::{
    Class, IndexEntry, IndexValue, Record, RecordKind, Records, Tenant, Versioned, indexes,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::settlement::stage_end;
use super::{ChildEnd, Task, decide_delete};
use crate::core::Core;
use crate::draft::Draft;
use crate::event::Change;
use crate::run::parked;
use crate::session::called_off;
use crate::{CommandError, Decision, OpId, Subject, TaskId};

/// What is left of a task that is gone: nothing of what was said of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskTombstone {
    /// Its id.
    pub id: TaskId,
    /// Its number, which is never given again.
    pub number: u64,
    /// The word of its last state.
    pub state: String,
    /// The SHA-256 of its row, in hexadecimal digits.
    pub digest: String,
    /// When it went.
    pub deleted_at: Timestamp,
    /// The command that did it.
    pub op: OpId,
}

indexes! {
    /// What finds tombstones.
    pub enum TombstoneIndex {
        /// By when they were made, over all tenants.
        Retire = system "retire",
    }
}

impl Record for TaskTombstone {
    type Scope = Tenant;
    type Id = TaskId;
    type Index = TombstoneIndex;
    const KIND: RecordKind = RecordKind::of("task_tombstone");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> TaskId {
        self.id
    }

    fn index_entries(&self) -> Vec<IndexEntry<TombstoneIndex>> {
        let at = IndexValue::instant(self.deleted_at);
        vec![IndexEntry::new(TombstoneIndex::Retire, [at])]
    }
}

/// Stages that a task goes: who follows it is told that it was not done, unless it has ended.
pub(crate) async fn stage_delete(
    core: &Core,
    draft: &mut Draft,
    read: &Versioned<Task>,
) -> Result<(), CommandError> {
    let mut facts = read.facts(draft.now(), 0);
    facts.has_parked_run = parked(core, read.last_run).await?.is_some();
    if let Decision::Reject(reason) = decide_delete(&read.state, &facts) {
        return Err(CommandError::Rejected {
            subject: Subject::Task(read.id),
            state: read.state.word(),
            event: "delete",
            reason,
        });
    }
    Records::<Task>::new(&core.space)
        .stage_remove(draft.batch(), read)
        .await?;
    stage_tombstone(core, draft, read)?;
    let change = Change::TaskDeleted {
        number: read.number,
        state: read.state.word().to_owned(),
    };
    draft.tell(&read.about(), &change)?;
    if read.state.has_ended() {
        return Ok(());
    }
    crate::thread::note_gone(draft, read);
    if let Some(last) = read.last_run {
        called_off(core, draft, read.id, last).await?;
    }
    stage_end(&core.space, draft, read, ChildEnd::Deleted).await
}

/// Stages what is left of a task that goes in the same commit.
pub(crate) fn stage_tombstone(core: &Core, draft: &mut Draft, task: &Task) -> Result<(), CommandError> {
    let json = serde_json::to_vec(task).expect("a task is plain data");
    let digest = Sha256::digest(json);
    let tombstone = TaskTombstone {
        id: task.id,
        number: task.number,
        state: task.state.word().to_owned(),
        digest: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        deleted_at: draft.now(),
        op: draft.op(),
    };
    Records::new(&core.space).stage_create(draft.batch(), &tombstone)?;
    Ok(())
}
