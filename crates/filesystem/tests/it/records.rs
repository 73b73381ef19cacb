//! Typed records over the reference backend: what a row, an index entry and a namespace promise.

use std::sync::Arc;

use dormouse_filesystem::{
    Batch, Class, CommitError, Deadline, Expected, IndexEntry, IndexValue, Key, Lane, Memory, Namespace,
    Opener, Order, Owned, Query, Record, RecordError, RecordKind, RecordStore, Records, Requirements,
    Segment, System, SystemIndex, Tenant, indexes,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Note {
    pub(crate) id: Segment,
    pub(crate) colour: String,
    rank: u64,
    due: Option<u64>,
}

indexes! {
    pub(crate) enum NoteIndex {
        Colour = own "colour",
        Due = system "due",
    }
}

impl Record for Note {
    type Scope = Tenant;
    type Id = Segment;
    type Index = NoteIndex;
    const KIND: RecordKind = RecordKind::of("note");
    const SCHEMA: u32 = 2;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> Segment {
        self.id.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry<NoteIndex>> {
        let colour = IndexEntry::new(
            NoteIndex::Colour,
            [
                IndexValue::bytes(self.colour.as_bytes()),
                IndexValue::number(self.rank),
            ],
        );
        let due = self
            .due
            .map(|due| IndexEntry::new(NoteIndex::Due, [IndexValue::number(due)]));
        std::iter::once(colour).chain(due).collect()
    }

    fn upgrade(from: u32, mut value: serde_json::Value) -> Option<serde_json::Value> {
        (from == 1).then(|| {
            value["rank"] = 0.into();
            value
        })
    }
}

fn segment(text: &str) -> Segment {
    Segment::parse(text).unwrap()
}

pub(crate) fn note(id: &str, colour: &str, rank: u64) -> Note {
    Note {
        id: segment(id),
        colour: colour.into(),
        rank,
        due: None,
    }
}

async fn system() -> Namespace<System> {
    let store: Arc<dyn RecordStore> = Arc::new(Memory::new(jiff::Timestamp::UNIX_EPOCH));
    Namespace::<System>::open(
        store,
        &Requirements::volatile(),
        Opener::at(jiff::Timestamp::UNIX_EPOCH, 7),
    )
    .await
    .unwrap()
}

async fn notes() -> Records<Note> {
    Records::new(&system().await.tenant(&segment("acme")))
}

fn ids(rows: &[dormouse_filesystem::Versioned<Note>]) -> Vec<String> {
    rows.iter().map(|row| row.id.as_str().to_owned()).collect()
}

#[tokio::test]
async fn the_handshake_leaves_no_record_behind() {
    let system = system().await;
    let page = dormouse_filesystem::Page::of(dormouse_filesystem::Prefix::root());
    assert_eq!(system.store().list(&page).await.unwrap().items, []);
}

#[tokio::test]
async fn a_store_that_promises_less_is_refused_by_name() {
    let store: Arc<dyn RecordStore> = Arc::new(Memory::new(jiff::Timestamp::UNIX_EPOCH));
    let refused = Namespace::<System>::open(
        store,
        &Requirements::embedded(),
        Opener::at(jiff::Timestamp::UNIX_EPOCH, 7),
    )
    .await
    .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the store lacks durability: it has Volatile, PowerLoss is needed"
    );
}

#[tokio::test]
async fn a_second_creation_is_refused_and_changes_nothing() {
    let notes = notes().await;
    notes.create(&note("a", "red", 1)).await.unwrap();
    let refused = notes.create(&note("a", "blue", 2)).await.unwrap_err();
    assert!(matches!(refused, RecordError::Exists { .. }), "{refused}");
    assert_eq!(notes.get(&segment("a")).await.unwrap().unwrap().colour, "red");
}

#[tokio::test]
async fn a_replacement_moves_its_index_entries_in_the_same_commit() {
    let notes = notes().await;
    let read = notes.create(&note("a", "red", 1)).await.unwrap();
    let read = notes.replace(&read, &note("a", "blue", 1)).await.unwrap();
    let of = |colour: &str| Query::of(NoteIndex::Colour).equals([IndexValue::bytes(colour.as_bytes())]);
    assert!(notes.find(&of("red")).await.unwrap().rows.is_empty());
    assert_eq!(ids(&notes.find(&of("blue")).await.unwrap().rows), ["a"]);
    notes.remove(&read).await.unwrap();
    assert!(notes.find(&of("blue")).await.unwrap().rows.is_empty());
}

#[tokio::test]
async fn a_replacement_of_what_was_written_since_is_a_conflict() {
    let notes = notes().await;
    let read = notes.create(&note("a", "red", 1)).await.unwrap();
    notes.replace(&read, &note("a", "blue", 1)).await.unwrap();
    let refused = notes.replace(&read, &note("a", "green", 1)).await.unwrap_err();
    assert!(
        matches!(refused, RecordError::Commit(CommitError::Conflict { .. })),
        "{refused}"
    );
}

#[tokio::test]
async fn an_equal_replacement_writes_nothing() {
    let notes = notes().await;
    let read = notes.create(&note("a", "red", 1)).await.unwrap();
    let again = notes.replace(&read, &note("a", "red", 1)).await.unwrap();
    assert_eq!(again.version(), read.version());
}

#[tokio::test]
async fn pages_of_an_index_repeat_nothing_and_skip_nothing_in_either_order() {
    let notes = notes().await;
    for rank in 0..25 {
        notes
            .create(&note(&format!("n{rank}"), "red", rank))
            .await
            .unwrap();
    }
    for order in [Order::Up, Order::Down] {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let red = [IndexValue::bytes(b"red")];
            let page = Query::of(NoteIndex::Colour)
                .equals(red)
                .order(order)
                .after(cursor)
                .limit(4);
            let found = notes.find(&page).await.unwrap();
            seen.extend(found.rows.iter().map(|row| row.rank));
            cursor = found.next;
            if cursor.is_none() {
                break;
            }
        }
        let mut expected: Vec<u64> = (0..25).collect();
        if order == Order::Down {
            expected.reverse();
        }
        assert_eq!(seen, expected);
    }
}

#[tokio::test]
async fn a_range_begins_at_its_lower_and_ends_before_its_upper_bound() {
    let notes = notes().await;
    for rank in 0..10 {
        notes
            .create(&note(&format!("n{rank}"), "red", rank))
            .await
            .unwrap();
    }
    for order in [Order::Up, Order::Down] {
        let range = (Some(IndexValue::number(3)), Some(IndexValue::number(6)));
        let query = Query::of(NoteIndex::Colour)
            .equals([IndexValue::bytes(b"red")])
            .range(range.0, range.1)
            .order(order);
        let mut ranks: Vec<u64> = notes
            .find(&query)
            .await
            .unwrap()
            .rows
            .iter()
            .map(|row| row.rank)
            .collect();
        ranks.sort_unstable();
        assert_eq!(ranks, [3, 4, 5]);
    }
}

#[tokio::test]
async fn a_cursor_of_another_query_is_refused() {
    let notes = notes().await;
    for rank in 0..3 {
        notes
            .create(&note(&format!("n{rank}"), "red", rank))
            .await
            .unwrap();
    }
    let of = |colour: &[u8]| Query::of(NoteIndex::Colour).equals([IndexValue::bytes(colour)]);
    let cursor = notes.find(&of(b"red").limit(1)).await.unwrap().next;
    let refused = notes.find(&of(b"blue").after(cursor)).await.unwrap_err();
    assert!(matches!(refused, RecordError::CursorScope));
}

#[tokio::test]
async fn a_system_index_names_tenant_and_id_and_only_the_system_reads_it() {
    let system = system().await;
    for tenant in ["acme", "bolt"] {
        let notes = Records::<Note>::new(&system.tenant(&segment(tenant)));
        notes
            .create(&Note {
                due: Some(5),
                ..note("a", "red", 1)
            })
            .await
            .unwrap();
    }
    let found = SystemIndex::<Note>::new(&system)
        .find(&Query::of(NoteIndex::Due))
        .await
        .unwrap();
    let of = |tenant: &str| Owned {
        owner: vec![segment(tenant)],
        id: segment("a"),
    };
    assert_eq!(found.rows, [of("acme"), of("bolt")]);
    let notes = Records::<Note>::new(&system.tenant(&segment("acme")));
    assert!(matches!(
        notes.find(&Query::of(NoteIndex::Due)).await.unwrap_err(),
        RecordError::NoIndex { .. }
    ));
}

#[tokio::test]
async fn another_tenants_record_is_missing_and_its_batch_is_refused() {
    let system = system().await;
    let (acme, bolt) = (system.tenant(&segment("acme")), system.tenant(&segment("bolt")));
    let notes = Records::<Note>::new(&acme);
    notes.create(&note("a", "red", 1)).await.unwrap();
    assert!(
        Records::<Note>::new(&bolt)
            .get(&segment("a"))
            .await
            .unwrap()
            .is_none()
    );
    let mut batch = bolt.batch();
    notes.stage_create(&mut batch, &note("b", "red", 1)).unwrap();
    assert!(matches!(
        bolt.commit(batch).await,
        Err(CommitError::Invalid { .. })
    ));
    let mut batch = bolt.batch();
    batch.append(&acme.log(&[segment("events")]), "x");
    assert!(matches!(
        bolt.commit(batch).await,
        Err(CommitError::Invalid { .. })
    ));
}

/// Writes bytes where a note should be.
async fn plant(system: &Namespace<System>, value: &str) {
    let mut batch = Batch::new(Lane::System);
    let key = Key::parse("t/acme/r/note/a").unwrap();
    batch.put(key, Expected::Absent, RecordKind::of("note"), value.to_owned());
    system
        .store()
        .commit(batch, Deadline::after(std::time::Duration::from_secs(1)))
        .await
        .unwrap();
}

async fn read_planted(value: &str) -> Result<Option<dormouse_filesystem::Versioned<Note>>, RecordError> {
    let system = system().await;
    plant(&system, value).await;
    Records::<Note>::new(&system.tenant(&segment("acme")))
        .get(&segment("a"))
        .await
}

#[tokio::test]
async fn an_older_schema_is_upgraded_and_a_newer_one_is_refused_as_too_new() {
    let old =
        r#"{"kind":"note","schema":1,"id":"a","scope":"acme","value":{"id":"a","colour":"red","due":null}}"#;
    assert_eq!(*read_planted(old).await.unwrap().unwrap(), note("a", "red", 0));
    let new = old.replace(r#""schema":1"#, r#""schema":3"#);
    assert!(matches!(
        read_planted(&new).await,
        Err(RecordError::TooNew {
            found: 3,
            known: 2,
            ..
        })
    ));
}

#[tokio::test]
async fn a_row_of_another_place_or_with_unknown_fields_is_never_read_laxly() {
    let row = r#"{"kind":"note","schema":2,"id":"a","scope":"acme","value":{"id":"a","colour":"red","rank":1,"due":null}}"#;
    assert!(read_planted(row).await.unwrap().is_some());
    for (from, to) in [
        (r#""id":"a","scope""#, r#""id":"b","scope""#),
        ("acme", "bolt"),
        (r#"{"id":"a""#, r#"{"id":"b""#),
    ] {
        assert!(
            matches!(
                read_planted(&row.replace(from, to)).await,
                Err(RecordError::Misplaced { .. })
            ),
            "{to}"
        );
    }
    for (from, to) in [
        (r#""rank":1"#, r#""rank":-1"#),
        (r#""rank":1"#, r#""rank":1,"extra":2"#),
        ("}}", "}"),
    ] {
        let refused = read_planted(&row.replace(from, to)).await.unwrap_err();
        assert!(matches!(refused, RecordError::Invalid(_)), "{to}: {refused}");
        assert!(
            !refused.to_string().contains("extra"),
            "stored text is not repeated: {refused}"
        );
    }
}

#[tokio::test]
async fn rows_that_cannot_be_believed_are_issues_and_hide_no_neighbour() {
    let system = system().await;
    let notes = Records::<Note>::new(&system.tenant(&segment("acme")));
    for id in ["a", "b", "c", "d"] {
        notes.create(&note(id, "red", 1)).await.unwrap();
    }
    let row = r#"{"kind":"note","schema":2,"id":"ID","scope":"acme","value":{"id":"ID","colour":"red","rank":1,"due":null}}"#;
    let misplaced = row.replace("ID", "b").replace("acme", "bolt");
    let newer = row.replace("ID", "c").replace(r#""schema":2"#, r#""schema":3"#);
    for (id, value) in [("b", misplaced), ("c", newer)] {
        let key = Key::parse(&format!("t/acme/r/note/{id}")).unwrap();
        let at = system.store().get(&key).await.unwrap().unwrap().version;
        let mut batch = Batch::new(Lane::System);
        batch.put(key, Expected::At(at), RecordKind::of("note"), value);
        let soon = Deadline::after(std::time::Duration::from_secs(1));
        system.store().commit(batch, soon).await.unwrap();
    }
    let found = notes.find(&Query::of(NoteIndex::Colour)).await.unwrap();
    assert_eq!(ids(&found.rows), ["a", "d"]);
    let issues: Vec<String> = found.issues.iter().map(ToString::to_string).collect();
    assert_eq!(
        issues,
        [
            "note b: record: holds the record of another place",
            "note c: schema: has schema 3, this build knows up to 2; upgrade dormouse",
        ]
    );
}

#[tokio::test]
async fn an_equal_replacement_of_a_stale_read_is_a_conflict() {
    let notes = notes().await;
    let stale = notes.create(&note("a", "red", 1)).await.unwrap();
    let same = notes.replace(&stale, &note("a", "red", 1)).await.unwrap();
    assert_eq!(same.version(), stale.version(), "an equal one writes nothing");
    notes.replace(&stale, &note("a", "blue", 1)).await.unwrap();
    let refused = notes.replace(&stale, &note("a", "red", 1)).await;
    assert!(
        matches!(refused, Err(RecordError::Commit(CommitError::Conflict { .. }))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_creation_that_meets_only_an_index_entry_is_a_conflict_and_no_record_exists() {
    let system = system().await;
    let notes = Records::<Note>::new(&system.tenant(&segment("acme")));
    let made = notes.create(&note("a", "red", 1)).await.unwrap();
    let mut batch = Batch::new(Lane::System);
    batch.delete(Key::parse("t/acme/r/note/a").unwrap(), made.version());
    let soon = Deadline::after(std::time::Duration::from_secs(1));
    system.store().commit(batch, soon).await.unwrap();
    let refused = notes.create(&note("a", "red", 1)).await;
    assert!(
        matches!(refused, Err(RecordError::Commit(CommitError::Conflict { .. }))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn the_longest_name_of_a_log_fits_below_the_longest_tenant_and_agent() {
    let longest = segment(&"x".repeat(dormouse_filesystem::SEGMENT_MAX));
    let agent = system().await.tenant(&longest).agent(&longest);
    let half = segment(&"y".repeat(dormouse_filesystem::LOG_NAME_MAX / 2 - 1));
    let log = agent.log(&[half.clone(), half, segment("z")][..2]);
    assert_eq!(log.head().await.unwrap(), dormouse_filesystem::LogHead::NONE);
    let eight = vec![segment(&"y".repeat(29)); 8];
    assert_eq!(
        agent.log(&eight).head().await.unwrap(),
        dormouse_filesystem::LogHead::NONE
    );
}
