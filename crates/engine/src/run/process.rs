//! The processes that carry a run: written before any of them may go, so that a later start finds and ends them.

use dormouse_filesystem::{Class, IndexEntry, IndexValue, Record, RecordKind, Tenant, indexes};
use serde::{Deserialize, Serialize};

use crate::RunId;
use crate::worker::{Boot, ProcessId, ProcessRow};

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
