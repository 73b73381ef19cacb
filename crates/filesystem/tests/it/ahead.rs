//! Reading ahead: one trip for what would be many, and each answer once.

use std::sync::Arc;

use dormouse_filesystem::wrapper::{Counted, Operation};
use dormouse_filesystem::{
    Ahead, IndexValue, Memory, Namespace, Opener, Query, RecordStore, Records, Requirements, Segment, Tenant,
};
use jiff::Timestamp;

use crate::records::{Note, NoteIndex, note};

async fn space() -> (Arc<Counted<Memory>>, Namespace<Tenant>) {
    let now = Timestamp::UNIX_EPOCH;
    let store = Arc::new(Counted::new(Memory::new(now)));
    let shared = Arc::clone(&store) as Arc<dyn RecordStore>;
    let system = Namespace::open(shared, &Requirements::default(), Opener::at(now, 1)).await;
    let tenant = Segment::parse("acme").unwrap();
    (store, system.unwrap().tenant(&tenant))
}

fn red() -> Query<NoteIndex> {
    Query::of(NoteIndex::Colour).equals([IndexValue::bytes(b"red")])
}

#[tokio::test]
async fn what_was_read_ahead_is_not_asked_for_again_and_is_answered_once() {
    let (store, space) = space().await;
    let (there, missing) = (note("there", "blue", 1), note("missing", "blue", 1));
    Records::new(&space).create(&there).await.unwrap();

    let ahead = Ahead::of(&space)
        .record::<Note>(&there.id)
        .record::<Note>(&missing.id)
        .found::<Note>(&red());
    let before = store.counts();
    let notes = Records::<Note>::new(&ahead.read().await.unwrap());
    let trips = store.counts().operations() - before.operations();
    assert_eq!(trips, 2, "one for records, one for pages");

    let before = store.counts();
    assert_eq!(*notes.get(&there.id).await.unwrap().unwrap(), there);
    assert!(notes.get(&missing.id).await.unwrap().is_none());
    assert!(notes.find(&red()).await.unwrap().rows.is_empty());
    assert_eq!(store.counts(), before, "all of it was known");

    // What others wrote since is seen by who asks again.
    Records::new(&space).create(&missing).await.unwrap();
    assert_eq!(*notes.get(&missing.id).await.unwrap().unwrap(), missing);
    assert!(store.counts().of(Operation::Get) > before.of(Operation::Get));
}

#[tokio::test]
async fn a_write_through_it_is_judged_by_what_is_stored() {
    let (_store, space) = space().await;
    let stored = Records::<Note>::new(&space);
    let first = stored.create(&note("one", "blue", 1)).await.unwrap();
    let ahead = Ahead::of(&space).record::<Note>(&first.id);
    let notes = Records::<Note>::new(&ahead.read().await.unwrap());
    stored.replace(&first, &note("one", "green", 1)).await.unwrap();

    let old = notes.get(&first.id).await.unwrap().unwrap();
    assert_eq!(old.colour, "blue", "as it was when it was read");
    let late = notes.replace(&old, &note("one", "red", 1)).await;
    assert!(late.is_err(), "{late:?}");
    assert_eq!(stored.get(&first.id).await.unwrap().unwrap().colour, "green");
}
