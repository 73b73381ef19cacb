//! The numbers of a tenant's tasks: one row, replaced in the batch of each creation, so that none is given twice.

use std::fmt;

use dormouse_filesystem::{
    Class, IndexEntry, NoIndexes, Record, RecordId, RecordKind, Records, Segment, Tenant, Versioned,
};
use serde::{Deserialize, Serialize};

use crate::CommandError;
use crate::core::Core;
use crate::draft::Draft;

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

/// The numbers that one commit takes.
#[derive(Debug)]
pub(crate) struct Numbers {
    read: Option<Versioned<TaskNumbers>>,
    next: u64,
}

impl Numbers {
    /// Where they begin.
    pub(crate) async fn read(core: &Core) -> Result<Self, CommandError> {
        let read = Records::<TaskNumbers>::new(&core.space).get(&TheNumbers).await?;
        let next = read.as_ref().map_or(1, |read| read.next);
        Ok(Self { read, next })
    }

    /// The next one.
    pub(crate) fn take(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// Stages that those are taken; nothing where none was.
    pub(crate) async fn stage(self, core: &Core, draft: &mut Draft) -> Result<(), CommandError> {
        let (rows, next) = (Records::<TaskNumbers>::new(&core.space), self.next);
        match &self.read {
            Some(read) if read.next == next => {}
            Some(read) => {
                rows.stage_replace(draft.batch(), read, &TaskNumbers { next })
                    .await?;
            }
            None if next == 1 => {}
            None => rows.stage_create(draft.batch(), &TaskNumbers { next })?,
        }
        Ok(())
    }
}
