//! How much was given away below one task: a row per root, written in the commits that change it.

use dormouse_filesystem::{Class, IndexEntry, NoIndexes, Record, RecordKind, Tenant};
use serde::{Deserialize, Serialize};

use crate::TaskId;
use crate::limits::{TREE_OPEN_MAX, TREE_TOTAL_MAX};

/// What was given away below one root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tree {
    /// The task at the top.
    pub root: TaskId,
    /// Tasks whose result nobody took, and that nobody gave up: at most 64.
    pub open: u32,
    /// Tasks ever: at most 1,000.
    pub total: u32,
}

impl Tree {
    pub(super) fn new(root: TaskId) -> Self {
        Self {
            root,
            open: 0,
            total: 0,
        }
    }

    /// The limit that keeps it from growing, if one does.
    #[must_use]
    pub fn limit(&self) -> Option<&'static str> {
        if self.total >= TREE_TOTAL_MAX {
            Some("tasks.tree_total_max")
        } else if self.open >= TREE_OPEN_MAX {
            Some("tasks.tree_open_max")
        } else {
            None
        }
    }
}

impl Record for Tree {
    type Scope = Tenant;
    type Id = TaskId;
    type Index = NoIndexes;
    const KIND: RecordKind = RecordKind::of("tree");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> TaskId {
        self.root
    }

    fn index_entries(&self) -> Vec<IndexEntry<NoIndexes>> {
        Vec::new()
    }
}
