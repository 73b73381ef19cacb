//! Events that a sink refused for good: kept apart until somebody discards them.

use std::fmt;

use dormouse_filesystem::{
    Class, IndexEntry, NoIndexes, Position, Record, RecordId, RecordKind, Segment, Tenant,
};
use dormouse_secrets::Scrubbed;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::EventAt;
use crate::{OpId, SinkName};

/// An event that a sink refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeadLetter {
    /// Which sink.
    pub sink: SinkName,
    /// Its position.
    pub position: Position,
    /// The event, with its position.
    pub event: serde_json::Value,
    /// What the sink said.
    pub reason: Scrubbed,
    /// When.
    pub at: Timestamp,
    /// The command that wrote the row.
    pub op: OpId,
}

impl DeadLetter {
    /// The event.
    #[must_use]
    pub fn event(&self) -> Option<EventAt> {
        serde_json::from_value(self.event.clone()).ok()
    }
}

/// A sink and a position.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LetterId {
    pub(super) sink: SinkName,
    pub(super) position: Position,
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.sink, self.position)
    }
}

impl RecordId for LetterId {
    fn segments(&self) -> Vec<Segment> {
        vec![self.sink.segment(), Segment::number(self.position.get())]
    }

    fn from_segments(segments: &[&str]) -> Option<Self> {
        match segments {
            [sink, position] => Some(Self {
                sink: sink.parse().ok()?,
                position: Position::new(position.parse().ok()?),
            }),
            _ => None,
        }
    }
}

impl Record for DeadLetter {
    type Scope = Tenant;
    type Id = LetterId;
    type Index = NoIndexes;
    const KIND: RecordKind = RecordKind::of("event_dead_letter");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> LetterId {
        LetterId {
            sink: self.sink.clone(),
            position: self.position,
        }
    }

    fn index_entries(&self) -> Vec<IndexEntry<NoIndexes>> {
        Vec::new()
    }
}
