//! The numbers of a tenant's tasks: one row, replaced in the batch of each creation, so that none is given twice.

use std::fmt;

use dormouse_filesystem::{Class, IndexEntry, NoIndexes, Record, RecordId, RecordKind, Segment, Tenant};
use serde::{Deserialize, Serialize};

/// Names the one row there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TheNumbers;

impl fmt::Display for TheNumbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("all")
    }
}

impl RecordId for TheNumbers {
    fn segments(&self) -> Vec<Segment> {
        vec![crate::id::segment("all")]
    }

    fn from_segments(segments: &[&str]) -> Option<Self> {
        (segments == ["all"]).then_some(Self)
    }
}

/// Which number is next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskNumbers {
    /// The number of the next task, from 1.
    pub(crate) next: u64,
}

impl Record for TaskNumbers {
    type Scope = Tenant;
    type Id = TheNumbers;
    type Index = NoIndexes;
    const KIND: RecordKind = RecordKind::of("task_numbers");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> TheNumbers {
        TheNumbers
    }

    fn index_entries(&self) -> Vec<IndexEntry<NoIndexes>> {
        Vec::new()
    }
}
