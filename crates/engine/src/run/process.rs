//! The processes that carry a run: written before any of them may go, so that a later start finds and ends them.

use dormouse_filesystem::{Class, IndexEntry, IndexValue, Record, RecordKind, Records, Tenant, indexes};
use serde::{Deserialize, Serialize};

use super::{Run, RunState};
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::worker::{Boot, ProcessId, ProcessRow};
use crate::{CommandError, Principal, RunId};

/// A process, told from every other one of the same boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessMark {
    /// Its number.
    pub pid: i32,
    /// When it was started, in the system's own unit since boot.
    pub start_time: u64,
}

/// The processes of a live run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Which run.
    pub run: RunId,
    /// The host they are on.
    pub host: String,
    /// The boot of that host: in another one their numbers mean nothing.
    pub boot_id: String,
    /// The process that owns the tree.
    pub keeper: ProcessMark,
    /// The worker's first process, where it was known when this was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<ProcessMark>,
}

impl From<ProcessId> for ProcessMark {
    fn from(id: ProcessId) -> Self {
        Self {
            pid: id.pid,
            start_time: id.start_time,
        }
    }
}

impl From<ProcessMark> for ProcessId {
    fn from(mark: ProcessMark) -> Self {
        Self {
            pid: mark.pid,
            start_time: mark.start_time,
        }
    }
}

impl Process {
    /// What is to be kept of a run's prepared processes.
    #[must_use]
    pub fn new(run: RunId, row: &ProcessRow) -> Self {
        Self {
            run,
            host: row.boot.host.clone(),
            boot_id: row.boot.boot_id.clone(),
            keeper: row.keeper.into(),
            worker: row.worker.map(Into::into),
        }
    }

    /// What is needed to find and end them.
    #[must_use]
    pub fn row(&self) -> ProcessRow {
        ProcessRow {
            boot: Boot {
                host: self.host.clone(),
                boot_id: self.boot_id.clone(),
            },
            keeper: self.keeper.into(),
            worker: self.worker.map(Into::into),
            run: self.run.to_string(),
        }
    }
}

/// Stages that the processes of a run are written down no more. Where some of them live still, they stay so that the next
/// start finds and ends them.
pub(super) async fn stage_processes_gone(
    core: &Core,
    draft: &mut Draft,
    run: RunId,
    alive: u32,
) -> Result<(), CommandError> {
    let rows = Records::<Process>::new(&core.space);
    if let Some(process) = rows.get(&run).await?.filter(|_| alive == 0) {
        rows.stage_remove(draft.batch(), &process).await?;
    }
    Ok(())
}

/// Forgets the processes of a run that has ended, or parked, while some of them lived: they are gone. Those that it was
/// given since stay.
pub(crate) async fn forget_gone(core: &Core, process: &Process) -> Result<(), CommandError> {
    let by = Principal::engine();
    let done = core.command(&by, |mut draft| async move {
        let rows = Records::<Process>::new(&core.space);
        let runs = Records::<Run>::new(&core.space);
        let (Some(read), Some(run)) = (rows.get(&process.run).await?, runs.get(&process.run).await?) else {
            return Ok(Verdict::Nothing(()));
        };
        let is_left = matches!(run.state, RunState::Ended | RunState::Waiting) && *read == *process;
        if !is_left {
            return Ok(Verdict::Nothing(()));
        }
        runs.stage_check(draft.batch(), &run);
        rows.stage_remove(draft.batch(), &read).await?;
        Ok(Verdict::Commit(draft, ()))
    });
    done.await.map(|done| done.answer)
}

indexes! {
    /// What finds processes.
    pub enum ProcessIndex {
        /// By the machine they run on, over all tenants.
        Host = system "host",
    }
}

impl Record for Process {
    type Scope = Tenant;
    type Id = RunId;
    type Index = ProcessIndex;
    const KIND: RecordKind = RecordKind::of("process");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> RunId {
        self.run
    }

    fn index_entries(&self) -> Vec<IndexEntry<ProcessIndex>> {
        vec![IndexEntry::new(
            ProcessIndex::Host,
            [IndexValue::bytes(self.host.as_bytes())],
        )]
    }
}
