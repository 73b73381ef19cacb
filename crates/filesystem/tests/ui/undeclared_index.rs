//! A query names an index of the record it finds; another one there is not.
use dormouse_filesystem::{Found, IndexEntry, Query, Record, RecordError, Records, indexes};

indexes! {
    enum NoteIndex {
        Colour = own "colour",
    }
}

indexes! {
    enum OtherIndex {
        Shape = own "shape",
    }
}

async fn found<R: Record<Index = NoteIndex>>(notes: &Records<R>) -> Result<Found<R>, RecordError> {
    notes.find(&Query::of(OtherIndex::Shape)).await
}

fn written<R: Record<Index = NoteIndex>>() -> IndexEntry<R::Index> {
    IndexEntry::new(NoteIndex::Size, [])
}

fn main() {}
