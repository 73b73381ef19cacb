//! Typed records: their indexes, and what several processes of several builds do with them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Harness;
use crate::{
    BACKFILL_ROWS, Catalogue, Class, CommitError, IndexEntry, IndexValue, Kind, Namespace, Opener, Query,
    Record, RecordError, RecordKind, RecordStore, Records, Replaced, Requirements, Segment, System, Tenant,
    UpdateError,
};

/// A record as two builds know it: the newer one has an index more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Older {
    id: Segment,
    colour: u64,
    size: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Newer {
    id: Segment,
    colour: u64,
    size: Option<u64>,
}

crate::indexes! {
    enum OlderIndex {
        Colour = own "colour",
    }
}

crate::indexes! {
    enum NewerIndex {
        Colour = own "colour",
        Size = own "size",
    }
}

const THING: RecordKind = RecordKind::of("thing");

impl Record for Older {
    type Scope = Tenant;
    type Id = Segment;
    type Index = OlderIndex;
    const KIND: RecordKind = THING;
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> Segment {
        self.id.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry<OlderIndex>> {
        let colour = IndexValue::number(self.colour);
        vec![IndexEntry::new(OlderIndex::Colour, [colour])]
    }
}

impl Record for Newer {
    type Scope = Tenant;
    type Id = Segment;
    type Index = NewerIndex;
    const KIND: RecordKind = THING;
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;
    const INDEX_GENERATION: u32 = 2;

    fn id(&self) -> Segment {
        self.id.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry<NewerIndex>> {
        let colour = IndexValue::number(self.colour);
        let size = self.size.map_or_else(IndexValue::unset, IndexValue::number);
        vec![
            IndexEntry::new(NewerIndex::Colour, [colour]),
            IndexEntry::new(NewerIndex::Size, [size]),
        ]
    }
}

fn older(number: u64, colour: u64) -> Older {
    Older {
        id: Segment::number(number),
        colour,
        size: number.is_multiple_of(2).then_some(number),
    }
}

/// What a process has of a store: its namespaces share nothing with those of another.
async fn process(store: &Arc<dyn RecordStore>, seed: u64) -> Namespace<System> {
    let opener = Opener::at(jiff::Timestamp::UNIX_EPOCH, seed);
    let need = Requirements::volatile();
    let opened = Namespace::<System>::open(Arc::clone(store), &need, opener).await;
    opened.expect("the store keeps what it promises")
}

fn acme(system: &Namespace<System>) -> Namespace<Tenant> {
    system.tenant(&Segment::parse("acme").expect("it is legal"))
}

async fn enlist<R: Record>(system: &Namespace<System>) -> Catalogue {
    let enlisted = Catalogue::enlist(system, vec![Kind::of::<R>()]).await;
    enlisted.expect("no other build was here")
}

async fn found<R: Record>(records: &Records<R>, index: R::Index) -> usize {
    let page = records.find(&Query::of(index).limit(1000)).await;
    page.expect("the index is built").rows.len()
}

/// ST-10: an older build after a new index stops with `IndexUnknown`, and no row lacks its entry.
///
/// # Panics
/// When a record store does otherwise.
pub async fn an_older_build_stops_writing_after_a_new_index<H: Harness>(harness: H) {
    let store = harness.open().await;
    let (one, two) = (process(&store, 1).await, process(&store, 2).await);
    enlist::<Older>(&one).await;
    let (old, new) = (
        Records::<Older>::new(&acme(&one)),
        Records::<Newer>::new(&acme(&two)),
    );
    let rows = BACKFILL_ROWS as u64 + 20;
    for number in 0..rows {
        old.create(&older(number, 1)).await.expect("it is not there");
    }
    let catalogue = enlist::<Newer>(&two).await;
    assert_eq!(catalogue.unready().await.expect("the store answers"), []);

    let refused = old.create(&older(rows, 1)).await;
    assert!(
        matches!(&refused, Err(RecordError::Commit(CommitError::IndexUnknown { kind })) if *kind == THING),
        "{refused:?}"
    );
    let id = Segment::number(0);
    let updated = old
        .update(&id, |row, _| {
            Ok::<_, ()>((
                Older {
                    colour: 9,
                    ..row.clone()
                },
                (),
            ))
        })
        .await;
    assert!(
        matches!(updated, Err(UpdateError::Write(CommitError::IndexUnknown { .. }))),
        "{updated:?}"
    );
    let read = old.get(&id).await.expect("it is readable").expect("it is there");
    let removed = old.remove(&read).await;
    assert!(
        matches!(
            removed,
            Err(RecordError::Commit(CommitError::IndexUnknown { .. }))
        ),
        "{removed:?}"
    );
    assert_eq!(found(&new, NewerIndex::Size).await as u64, rows);
    assert_eq!(found(&new, NewerIndex::Colour).await as u64, rows);
    let unset = Query::of(NewerIndex::Size)
        .equals([IndexValue::unset()])
        .limit(1000);
    let unset = new.find(&unset).await.expect("the index is built");
    assert_eq!(unset.rows.len() as u64, rows / 2);
}

/// A store made before there was a catalogue opens, and its writers and readers go on.
///
/// # Panics
/// When a record store does otherwise.
pub async fn rows_of_before_the_catalogue_are_found<H: Harness>(harness: H) {
    let store = harness.open().await;
    let before = process(&store, 1).await;
    let rows = Records::<Older>::new(&acme(&before));
    rows.create(&older(1, 7)).await.expect("it is not there");
    let after = process(&store, 2).await;
    enlist::<Older>(&after).await;
    let rows = Records::<Older>::new(&acme(&after));
    rows.create(&older(2, 7)).await.expect("it is not there");
    assert_eq!(found(&rows, OlderIndex::Colour).await, 2);
    let read = rows.get(&Segment::number(1)).await.expect("it is readable");
    rows.remove(&read.expect("it is there"))
        .await
        .expect("nobody wrote it");
    assert_eq!(found(&rows, OlderIndex::Colour).await, 1);
}

/// ST-4: of two overlapping replacements of all the later is there entire; what is too large writes nothing.
///
/// # Panics
/// When a record store does otherwise.
pub async fn a_replacement_of_all_is_there_entire<H: Harness>(harness: H) {
    let store = harness.open().await;
    let (one, two) = (process(&store, 1).await, process(&store, 2).await);
    for system in [&one, &two] {
        enlist::<Older>(system).await;
    }
    let here = Records::<Older>::new(&acme(&one));
    let there = Records::<Older>::new(&acme(&two));
    let set = |first: u64, colour: u64| (first..first + 30).map(|n| older(n, colour)).collect::<Vec<_>>();
    let (first, second, third) = (set(0, 1), set(10, 2), set(20, 3));
    let is_one_of =
        |rows: &[Older]| rows.is_empty() || [&first, &second, &third].iter().any(|set| **set == *rows);
    let reads = async {
        for _ in 0..20 {
            let rows = there.all().await.expect("it is readable").rows;
            let rows: Vec<Older> = rows.into_iter().map(crate::Versioned::into_inner).collect();
            assert!(is_one_of(&rows), "a mix was read: {rows:?}");
        }
    };
    let writes = async { tokio::join!(here.replace_all(&first), here.replace_all(&second)) };
    let ((a, b), c, ()) = tokio::join!(writes, there.replace_all(&third), reads);
    for answer in [a, b, c] {
        answer.expect("nobody else writes");
    }
    let rows = here.all().await.expect("it is readable").rows;
    let rows: Vec<Older> = rows.into_iter().map(crate::Versioned::into_inner).collect();
    assert!(
        rows == second || rows == third,
        "what was called later is there: {rows:?}"
    );
    assert_eq!(found(&here, OlderIndex::Colour).await, 30);

    let same = here.replace_all(&rows).await.expect("nobody else writes");
    assert_eq!(
        same,
        Replaced {
            kept: 30,
            ..Replaced::default()
        }
    );
    let large: Vec<Older> = (100..800).map(|number| older(number, 4)).collect();
    let refused = here.replace_all(&large).await;
    assert!(
        matches!(refused, Err(RecordError::Commit(CommitError::TooLarge { .. }))),
        "{refused:?}"
    );
    let left = here.all().await.expect("it is readable").rows;
    let left: Vec<Older> = left.into_iter().map(crate::Versioned::into_inner).collect();
    assert_eq!(left, rows, "nothing was written");
}
