//! The processes that carry a run: written before any of them may go, so that a later start finds and ends them.

use dormouse_filesystem::{Class, Index, IndexEntry, IndexValue, Record, RecordKind, Tenant};
use serde::{Deserialize, Serialize};

use crate::RunId;

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

impl Record for Process {
    type Scope = Tenant;
    type Id = RunId;
    const KIND: RecordKind = RecordKind::of("process");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;
    const INDEXES: &'static [Index] = &[Index::system("host")];

    fn id(&self) -> RunId {
        self.run
    }

    fn index_entries(&self) -> Vec<IndexEntry> {
        vec![IndexEntry::new("host", [IndexValue::bytes(self.host.as_bytes())])]
    }
}
