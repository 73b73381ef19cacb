//! What the catalogue costs, and rows that are coalesced.

use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::wrapper::{Counted, Fault, FaultKind, Operation};
use dormouse_filesystem::{
    Catalogue, Class, Coalesced, Deadline, IndexEntry, IndexValue, Kind, Memory, Namespace, Opener, Record,
    RecordKind, RecordStore, Records, Requirements, Segment, System, indexes,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    id: Segment,
    at: u64,
}

indexes! {
    enum PlaceIndex {
        At = own "at",
    }
}

impl Record for Place {
    type Scope = System;
    type Id = Segment;
    type Index = PlaceIndex;
    const KIND: RecordKind = RecordKind::of("place");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Advisory;

    fn id(&self) -> Segment {
        self.id.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry<PlaceIndex>> {
        vec![IndexEntry::new(PlaceIndex::At, [IndexValue::number(self.at)])]
    }
}

fn place(id: u64, at: u64) -> Place {
    Place {
        id: Segment::number(id),
        at,
    }
}

async fn over(store: Arc<dyn RecordStore>) -> Namespace<System> {
    let opener = Opener::at(Timestamp::UNIX_EPOCH, 7);
    Namespace::<System>::open(store, &Requirements::volatile(), opener)
        .await
        .unwrap()
}

/// How many operations of the store a fixed number of writes takes, with the catalogue or without.
async fn operations(is_enlisted: bool) -> u64 {
    let store = Arc::new(Counted::new(Memory::new(Timestamp::UNIX_EPOCH)));
    let system = over(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    if is_enlisted {
        Catalogue::enlist(&system, vec![Kind::of::<Place>()])
            .await
            .unwrap();
    }
    let places = Records::<Place>::new(&system);
    let before = store.counts().operations();
    for id in 0..10 {
        let read = places.create(&place(id, 1)).await.unwrap();
        places.replace(&read, &place(id, 2)).await.unwrap();
        let id = Segment::number(id);
        let moved = |row: &Place, _: &mut dormouse_filesystem::ScopedBatch<System>| {
            Ok::<_, ()>((Place { at: 3, ..row.clone() }, ()))
        };
        places.update(&id, moved).await.unwrap();
    }
    store.counts().operations() - before
}

#[tokio::test]
async fn the_catalogues_precondition_costs_no_operation_of_the_store() {
    assert_eq!(operations(true).await, operations(false).await);
}

/// ST-2: a value is dirty until a durable write held it: a failing disk, a change during a flush and a shutdown land the
/// last value, or say which has not landed.
#[tokio::test(start_paused = true)]
async fn a_coalesced_value_lands_or_is_named() {
    let fault = Arc::new(Fault::scripted(Memory::new(Timestamp::UNIX_EPOCH)));
    let system = over(Arc::clone(&fault) as Arc<dyn RecordStore>).await;
    let places = Records::<Place>::new(&system);
    let coalesced = Coalesced::new(places.clone());
    let soon = || Deadline::after(Duration::from_secs(5));
    coalesced.set(place(1, 1));
    coalesced.set(place(1, 2));
    coalesced.set(place(2, 1));

    fault.always(Operation::Commit, Some(FaultKind::Refuse));
    let unflushed = coalesced.flush(soon()).await.unwrap_err();
    assert_eq!(unflushed.ids, [Segment::number(1), Segment::number(2)]);
    assert!(unflushed.error.is_some());
    assert!(places.get(&Segment::number(1)).await.unwrap().is_none());
    fault.always(Operation::Commit, None);

    // Each commit takes a second: the changes come while one that holds an older value is on its way.
    fault.always(Operation::Commit, Some(FaultKind::Delay(Duration::from_secs(1))));
    let changed = async |at| {
        tokio::time::sleep(Duration::from_millis(500)).await;
        coalesced.set(place(1, at));
    };
    let (flushed, ()) = tokio::join!(coalesced.flush(soon()), changed(3));
    flushed.unwrap();
    assert_eq!(coalesced.dirty(), []);
    assert_eq!(places.get(&Segment::number(1)).await.unwrap().unwrap().at, 3);

    coalesced.set(place(1, 4));
    let short = Deadline::after(Duration::from_millis(1200));
    let (flushed, ()) = tokio::join!(coalesced.flush(short), changed(5));
    assert_eq!(flushed.unwrap_err().ids, [Segment::number(1)]);
    assert_eq!(places.get(&Segment::number(1)).await.unwrap().unwrap().at, 4);
    assert_eq!(coalesced.get(&Segment::number(1)).await.unwrap().unwrap().at, 5);
    fault.always(Operation::Commit, None);
    coalesced.flush(soon()).await.unwrap();
    assert_eq!(places.get(&Segment::number(1)).await.unwrap().unwrap().at, 5);

    coalesced.set(place(2, 9));
    fault.always(Operation::Commit, Some(FaultKind::Hang));
    let unflushed = coalesced.flush(soon()).await.unwrap_err();
    assert_eq!(unflushed.ids, [Segment::number(2)]);
    fault.always(Operation::Commit, None);
    coalesced.flush(soon()).await.unwrap();
    assert_eq!(places.get(&Segment::number(2)).await.unwrap().unwrap().at, 9);
}
