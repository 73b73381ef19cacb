//! A record says where it lives; elsewhere there is no place for it.
use dormouse_filesystem::{
    Class, IndexEntry, Namespace, NoIndexes, Record, RecordError, RecordKind, Records, ScopedBatch, Segment, System, Tenant,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Note {
    id: Segment,
}

impl Record for Note {
    type Scope = Tenant;
    type Id = Segment;
    type Index = NoIndexes;
    const KIND: RecordKind = RecordKind::of("note");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> Segment {
        self.id.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry<NoIndexes>> {
        Vec::new()
    }
}

fn opened(system: &Namespace<System>) {
    let notes: Records<Note> = Records::new(system);
}

fn staged() -> fn(&Records<Note>, &mut ScopedBatch<System>, &Note) -> Result<(), RecordError> {
    Records::stage_create
}

fn main() {}
