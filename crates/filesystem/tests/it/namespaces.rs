//! Namespaces: one tenant's is not another's, and the wrong use of them does not compile.

use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::{
    Class, CommitError, IndexEntry, IndexValue, Log, Memory, Namespace, Opener, Position, Query, Record,
    RecordError, RecordKind, RecordStore, Records, Requirements, Segment, System, SystemIndex, Tenant,
    indexes,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Note {
    id: Segment,
    text: String,
}

indexes! {
    enum NoteIndex {
        Text = own "text",
        All = system "all",
    }
}

impl Record for Note {
    type Scope = Tenant;
    type Id = Segment;
    type Index = NoteIndex;
    const KIND: RecordKind = RecordKind::of("note");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> Segment {
        self.id.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry<NoteIndex>> {
        let text = IndexValue::bytes(self.text.as_bytes());
        vec![
            IndexEntry::new(NoteIndex::Text, [text]),
            IndexEntry::new(NoteIndex::All, []),
        ]
    }
}

fn segment(text: &str) -> Segment {
    Segment::parse(text).unwrap()
}

fn note(text: &str) -> Note {
    Note {
        id: segment("same"),
        text: text.into(),
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

fn events(tenant: &Namespace<Tenant>) -> Log {
    tenant.log(&[segment("events")])
}

/// FS-46
#[tokio::test(start_paused = true)]
async fn equal_keys_of_two_tenants_never_meet() {
    // One name is the beginning of the other, and one tenant is named as an agent's folder is.
    for (one, two) in [("acme", "bolt"), ("a", "ab"), ("a", "a-b"), ("t", "a")] {
        let system = system().await;
        let (one, two) = (system.tenant(&segment(one)), system.tenant(&segment(two)));
        let (notes, others) = (Records::<Note>::new(&one), Records::<Note>::new(&two));
        let written = notes.create(&note("mine")).await.unwrap();
        let mut batch = one.batch();
        batch.append(&events(&one), "mine");
        one.commit(batch).await.unwrap();

        // Read, listed, tailed: as if missing.
        let id = segment("same");
        assert_eq!(others.get(&id).await.unwrap(), None);
        assert_eq!(others.get_many(std::slice::from_ref(&id)).await.unwrap(), [None]);
        assert_eq!(others.find(&Query::of(NoteIndex::Text)).await.unwrap().rows, []);
        assert_eq!(events(&two).tail(Position::START, 9).await.unwrap(), []);
        assert_eq!(events(&two).head().await.unwrap().incarnation, None);

        // Written and deleted: each its own.
        let theirs = others.create(&note("theirs")).await.unwrap();
        assert_ne!(theirs.version(), written.version());
        others.remove(&theirs).await.unwrap();
        assert_eq!(notes.get(&id).await.unwrap().unwrap(), written);
        let mut foreign = two.batch();
        notes.stage_remove(&mut foreign, &written).await.unwrap();
        let refused = two.commit(foreign).await;
        assert!(matches!(refused, Err(CommitError::Invalid { .. })), "{refused:?}");
        let mut foreign = two.batch();
        foreign.append(&events(&one), "x");
        let refused = two.commit(foreign).await;
        assert!(matches!(refused, Err(CommitError::Invalid { .. })), "{refused:?}");
        assert_eq!(events(&one).head().await.unwrap().next, Position::new(2));

        // Watched: not heard.
        let mut watch = two.watch().await.unwrap();
        notes.replace(&written, &note("changed")).await.unwrap();
        let mut batch = one.batch();
        batch.append(&events(&one), "more");
        one.commit(batch).await.unwrap();
        let heard = tokio::time::timeout(Duration::from_secs(60), watch.next()).await;
        assert!(heard.is_err(), "{heard:?}");

        // What was read of another's is no proof here: not to replace, to remove, to check, nor to write it again.
        let read = notes.get(&id).await.unwrap().unwrap();
        for replacement in [note("over"), note("changed")] {
            let mut batch = two.batch();
            others
                .stage_replace(&mut batch, &read, &replacement)
                .await
                .unwrap();
            let refused = two.commit(batch).await;
            assert!(matches!(refused, Err(CommitError::Invalid { .. })), "{refused:?}");
        }
        let removed = others.remove(&read).await;
        assert!(
            matches!(removed, Err(RecordError::Commit(CommitError::Invalid { .. }))),
            "{removed:?}"
        );
        let mut batch = two.batch();
        others.stage_check(&mut batch, &read);
        let refused = two.commit(batch).await;
        assert!(matches!(refused, Err(CommitError::Invalid { .. })), "{refused:?}");
        assert_eq!(
            notes.get(&id).await.unwrap().unwrap(),
            read,
            "nothing of it changed"
        );
        notes.remove(&read).await.unwrap();
    }
}

#[tokio::test]
async fn an_entry_of_a_system_index_ends_in_its_own_tenant() {
    let system = system().await;
    for tenant in ["acme", "bolt"] {
        Records::<Note>::new(&system.tenant(&segment(tenant)))
            .create(&note("text"))
            .await
            .unwrap();
    }
    let found = SystemIndex::<Note>::new(&system)
        .find(&Query::of(NoteIndex::All))
        .await
        .unwrap();
    let owners: Vec<&str> = found.rows.iter().map(|row| row.owner[0].as_str()).collect();
    assert_eq!(owners, ["acme", "bolt"]);
    let elsewhere = Records::<Note>::new(&system.tenant(&segment("acme")))
        .find(&Query::of(NoteIndex::All))
        .await;
    assert!(
        matches!(elsewhere, Err(RecordError::NoIndex { .. })),
        "{elsewhere:?}"
    );
}

/// FS-48: what does not compile; a foreign tenant's entry is `Invalid` by the tests above. The `.stderr` beside each is
/// what the compiler says; `TRYBUILD=overwrite` writes them anew.
#[test]
fn the_wrong_use_of_a_namespace_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
