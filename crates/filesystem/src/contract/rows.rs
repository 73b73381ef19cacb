//! Rows of typed records: what is saved and found, what is refused, and what is as it was.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use super::Harness;
use super::kit::{batch, commit};
use crate::{
    Class, Cursor, Entry, Expected, IndexEntry, IndexScope, IndexValue, Item, Key, Namespace, Opener, Order,
    Page, Prefix, Query, ReadError, Record, RecordError, RecordKind, RecordStore, Records, Requirements,
    Segment, System, SystemIndex, Tenant, UpdateError, Versioned,
};

/// A record with what records have: a choice, a count, what may be missing, and an older form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Jar {
    id: Segment,
    lid: Lid,
    count: u64,
    size: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Lid {
    Open,
    Shut,
}

crate::indexes! {
    enum JarIndex {
        Count = own "count",
        Size = own "size",
        Shut = system "shut",
    }
}

impl Record for Jar {
    type Scope = Tenant;
    type Id = Segment;
    type Index = JarIndex;
    const KIND: RecordKind = RecordKind::of("jar");
    const SCHEMA: u32 = 2;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> Segment {
        self.id.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry<JarIndex>> {
        let count = IndexValue::number(self.count);
        let size = self.size.map_or_else(IndexValue::unset, IndexValue::number);
        let mut entries = vec![
            IndexEntry::new(JarIndex::Count, [count]),
            IndexEntry::new(JarIndex::Size, [size]),
        ];
        if self.lid == Lid::Shut {
            entries.push(IndexEntry::new(JarIndex::Shut, []));
        }
        entries
    }

    fn upgrade(from: u32, mut value: serde_json::Value) -> Option<serde_json::Value> {
        let fields = value.as_object_mut().filter(|_| from == 1)?;
        fields.insert("lid".to_owned(), "open".into());
        Some(value)
    }
}

fn jar(number: u64, count: u64) -> Jar {
    Jar {
        id: Segment::number(number),
        lid: Lid::Open,
        count,
        size: None,
    }
}

async fn open(store: &Arc<dyn RecordStore>) -> Namespace<System> {
    let opener = Opener::at(jiff::Timestamp::UNIX_EPOCH, 1);
    let opened = Namespace::<System>::open(Arc::clone(store), &Requirements::volatile(), opener).await;
    opened.expect("the store keeps what it promises")
}

fn jars(system: &Namespace<System>) -> Records<Jar> {
    Records::new(&system.tenant(&Segment::parse("acme").expect("it is legal")))
}

/// Every record of the store.
async fn stored(store: &dyn RecordStore) -> Vec<Item> {
    let page = Page::of(Prefix::root());
    store.list(&page).await.expect("the store answers").items
}

async fn got(jars: &Records<Jar>, number: u64) -> Option<Jar> {
    let read = jars.get(&Segment::number(number)).await;
    read.expect("it is believed").map(Versioned::into_inner)
}

async fn counted(jars: &Records<Jar>, count: u64) -> Vec<Jar> {
    let query = Query::of(JarIndex::Count).equals([IndexValue::number(count)]);
    let found = jars.find(&query).await.expect("the store answers");
    found.rows.into_iter().map(Versioned::into_inner).collect()
}

/// How often one record is saved.
const SAVES: u64 = 1000;

/// ST-3: what is changed and not saved is in no answer; a record that is saved a thousand times under another value of
/// its index has one entry.
///
/// # Panics
/// When a record store does otherwise.
pub async fn what_is_not_saved_is_not_found<H: Harness>(harness: H) {
    let store = harness.open().await;
    let jars = jars(&open(&store).await);
    let mut given = jar(1, 7);
    let saved = jars.create(&given).await.expect("it is not there");
    given.count = 8;
    let mut read = jars
        .get(&given.id)
        .await
        .expect("it is believed")
        .expect("it is there")
        .into_inner();
    read.count = 9;
    let mut found = counted(&jars, 7).await;
    found[0].count = 10;
    assert_eq!((given.count, read.count, found[0].count), (8, 9, 10));
    assert_eq!(got(&jars, 1).await, Some(jar(1, 7)));
    assert_eq!(counted(&jars, 7).await, [jar(1, 7)]);
    for count in 8..=10 {
        assert_eq!(counted(&jars, count).await, []);
    }

    let mut last = saved;
    for count in 100..100 + SAVES {
        last = jars
            .replace(&last, &jar(1, count))
            .await
            .expect("nobody else writes");
    }
    let entries = stored(&*store).await;
    let of_count = |item: &&Item| item.key().to_string().contains("/i/jar/count/");
    assert_eq!(entries.iter().filter(of_count).count(), 1, "{entries:?}");
    assert_eq!(counted(&jars, 99 + SAVES).await, [jar(1, 99 + SAVES)]);
}

/// ST-5: of an unknown id nothing is updated, removed, read or made: no row, no index entry, no event.
///
/// # Panics
/// When a record store does otherwise.
pub async fn an_unknown_id_makes_nothing<H: Harness>(harness: H) {
    let store = harness.open().await;
    let system = open(&store).await;
    let jars = jars(&system);
    let events = jars
        .namespace()
        .log(&[Segment::parse("events").expect("it is legal")]);
    let id = Segment::number(1);
    let before = stored(&*store).await;
    for _ in 0..2 {
        nothing_is_done(&jars, &id, &events).await;
        assert_eq!(stored(&*store).await, before, "no row, no index entry");
        assert_eq!(
            events.head().await.expect("the store answers"),
            crate::LogHead::NONE,
            "no event"
        );
        // The same again of an id that was there and is not any more.
        let made = jars.create(&jar(1, 1)).await.expect("it is not there");
        assert!(jars.remove_id(&id).await.expect("nobody else writes"));
        jars.remove(&made).await.expect_err("it went by its id");
    }
    nothing_is_done(&jars, &id, &events).await;
    assert_eq!(stored(&*store).await, before);
}

async fn nothing_is_done(jars: &Records<Jar>, id: &Segment, events: &crate::Log) {
    let told = events.clone();
    let updated = jars
        .update(id, move |row, batch| {
            batch.append(&told, "it was changed");
            Ok::<_, Infallible>((
                Jar {
                    count: 9,
                    ..row.clone()
                },
                (),
            ))
        })
        .await;
    assert!(matches!(updated, Ok(None)), "{updated:?}");
    assert!(!jars.remove_id(id).await.expect("the store answers"));
    assert!(jars.get(id).await.expect("the store answers").is_none());
}

/// A row of another build, or of nobody's, in place of the jar of this number; it has no index entry.
async fn plant(
    store: &dyn RecordStore,
    jars: &Records<Jar>,
    number: u64,
    kind: RecordKind,
    text: &str,
) -> Entry {
    let key = jars.row(&Segment::number(number)).expect("it makes a key");
    let there = store.get(&key).await.expect("the store answers");
    let expected = there.map_or(Expected::Absent, |entry| Expected::At(entry.version));
    let mut planted = batch();
    planted.put(key.clone(), expected, kind, text.to_owned());
    commit(store, planted).await.expect("nobody else writes");
    entry(store, &key).await
}

async fn entry(store: &dyn RecordStore, key: &Key) -> Entry {
    store
        .get(key)
        .await
        .expect("the store answers")
        .expect("it is there")
}

/// The stored form of the jar of this number in this form.
fn form(number: u64, schema: u32, value: &serde_json::Value) -> String {
    let mut value = value.clone();
    value["id"] = Segment::number(number).as_str().into();
    let form = serde_json::json!({
        "kind": "jar", "schema": schema, "id": Segment::number(number).as_str(), "scope": "acme", "value": value,
    });
    form.to_string()
}

/// What every call says of a row that this build does not believe; the row is as it was after each.
async fn each_call(
    store: &dyn RecordStore,
    jars: &Records<Jar>,
    was: &Entry,
    number: u64,
) -> Vec<RecordError> {
    let id = Segment::number(number);
    let raised = jars
        .update(&id, |row, _| {
            Ok::<_, Infallible>((
                Jar {
                    count: 9,
                    ..row.clone()
                },
                (),
            ))
        })
        .await;
    let of_update = |error: UpdateError<Infallible>| match error {
        UpdateError::Decode(error) => *error,
        other => panic!("{other}"),
    };
    let errors = vec![
        jars.get(&id).await.expect_err("it is not believed"),
        jars.get_many(std::slice::from_ref(&id))
            .await
            .expect_err("it is not believed"),
        of_update(raised.expect_err("it is not believed")),
        of_update(jars.remove_id(&id).await.expect_err("it is not believed")),
        jars.create(&jar(number, 1))
            .await
            .expect_err("something is there"),
    ];
    assert_eq!(entry(store, &was.key).await, *was, "it is as it was");
    errors
}

/// ST-8, with `every_kind_is_read_as_each_build_wrote_it` of the engine: what has a newer schema or an unknown kind is
/// refused by every call and its bytes stay; an older form is read as this one, and stored so with its next write.
///
/// # Panics
/// When a record store does otherwise.
pub async fn what_a_newer_build_wrote_stays_as_it_is<H: Harness>(harness: H) {
    let store = harness.open().await;
    let jars = jars(&open(&store).await);
    for number in 1..=2 {
        jars.create(&jar(number, 7)).await.expect("it is not there");
    }
    let sized = Jar {
        size: Some(4),
        ..jar(3, 7)
    };
    jars.create(&sized).await.expect("it is not there");
    // Fields and choices of its own are no damage.
    let newer = form(
        1,
        3,
        &serde_json::json!({ "lid": "ajar", "count": 7, "colour": "red" }),
    );
    let newer = plant(&*store, &jars, 1, Jar::KIND, &newer).await;
    let amphora = form(2, 2, &serde_json::json!({ "handles": 2 })).replace("\"jar\"", "\"amphora\"");
    let unknown = plant(&*store, &jars, 2, RecordKind::of("amphora"), &amphora).await;
    for error in each_call(&*store, &jars, &newer, 1).await {
        let is_so = matches!(
            error,
            RecordError::TooNew {
                found: 3,
                known: 2,
                ..
            } | RecordError::Exists { .. }
        );
        assert!(is_so && error.bad_key().is_none(), "{error:?}");
    }
    for error in each_call(&*store, &jars, &unknown, 2).await {
        let is_so = matches!(
            error,
            RecordError::UnknownKind { .. } | RecordError::Exists { .. }
        );
        assert!(is_so && error.bad_key().is_none(), "{error:?}");
    }
    let found = jars
        .find(&Query::of(JarIndex::Count))
        .await
        .expect("the store answers");
    assert_eq!(found.rows.len(), 1, "the others are found");
    let issues: Vec<_> = found
        .issues
        .iter()
        .map(|issue| (issue.field.as_str(), issue.key.is_some()))
        .collect();
    assert_eq!(issues, [("schema", false), ("kind", false)]);
    let looked = jars.bad_page(None).await.expect("the store answers");
    assert!(
        looked.rows.is_empty() && looked.seen == 3,
        "neither is damaged: {looked:?}"
    );

    let older = form(3, 1, &serde_json::json!({ "count": 7, "size": 4 }));
    plant(&*store, &jars, 3, Jar::KIND, &older).await;
    assert_eq!(got(&jars, 3).await, Some(sized.clone()));
    let read = jars
        .get(&sized.id)
        .await
        .expect("it is believed")
        .expect("it is there");
    let next = Jar { size: None, ..sized };
    jars.replace(&read, &next).await.expect("nobody else writes");
    let written = entry(&*store, &jars.row(&next.id).expect("it makes a key")).await;
    assert!(
        String::from_utf8_lossy(&written.value).contains("\"schema\":2"),
        "{written:?}"
    );
    let none = form(3, 0, &serde_json::json!({}));
    plant(&*store, &jars, 3, Jar::KIND, &none).await;
    let refused = jars.get(&next.id).await;
    assert!(
        matches!(refused, Err(RecordError::Invalid(_))),
        "no form of it has this number: {refused:?}"
    );
}

/// ST-11: what is null, missing or never set is one value, and found as such; an index that is not there, a page of
/// none and the cursor of another query are refused.
///
/// # Panics
/// When a record store does otherwise.
pub async fn what_is_unset_is_one_value<H: Harness>(harness: H) {
    let store = harness.open().await;
    let system = open(&store).await;
    let jars = jars(&system);
    for number in 1..=3 {
        jars.create(&jar(number, 7)).await.expect("it is not there");
    }
    let sized = Jar {
        size: Some(0),
        ..jar(4, 7)
    };
    jars.create(&sized).await.expect("it is not there");
    let null = form(
        1,
        2,
        &serde_json::json!({ "lid": "open", "count": 7, "size": null }),
    );
    let missing = form(2, 2, &serde_json::json!({ "lid": "open", "count": 7 }));
    plant(&*store, &jars, 1, Jar::KIND, &null).await;
    plant(&*store, &jars, 2, Jar::KIND, &missing).await;
    let unset = Query::of(JarIndex::Size).equals([IndexValue::unset()]);
    let found = jars.find(&unset).await.expect("the store answers");
    let rows: Vec<Jar> = found.rows.into_iter().map(Versioned::into_inner).collect();
    assert_eq!(
        rows,
        [jar(1, 7), jar(2, 7), jar(3, 7)],
        "not the one whose size is nought"
    );
    for number in 1..=2 {
        let read = jars
            .get(&Segment::number(number))
            .await
            .expect("it is believed")
            .expect("it is there");
        let again = jars
            .replace(&read, &jar(number, 7))
            .await
            .expect("nobody else writes");
        assert_eq!(
            again.version(),
            read.version(),
            "it is equal, so nothing is written"
        );
    }

    let refused = jars.find(&Query::of(JarIndex::Shut)).await;
    assert!(
        matches!(
            refused,
            Err(RecordError::NoIndex {
                index: "shut",
                scope: IndexScope::Own,
                ..
            })
        ),
        "{refused:?}"
    );
    let of_system = SystemIndex::<Jar>::new(&system)
        .find(&Query::of(JarIndex::Size))
        .await;
    assert!(
        matches!(of_system, Err(RecordError::NoIndex { index: "size", .. })),
        "{of_system:?}"
    );
    for limit in [0, 1001] {
        let refused = jars.find(&unset.clone().limit(limit)).await;
        assert!(
            matches!(refused, Err(RecordError::Read(ReadError::Invalid { .. }))),
            "{refused:?}"
        );
    }
    let cursor = jars
        .find(&unset.clone().limit(1))
        .await
        .expect("the store answers")
        .next;
    assert!(cursor.is_some());
    for other in [
        Query::of(JarIndex::Size),
        Query::of(JarIndex::Count).equals([IndexValue::unset()]),
        unset.clone().order(Order::Down),
        unset.clone().range(None, Some(IndexValue::number(9))),
    ] {
        let refused = jars.find(&other.after(cursor.clone())).await;
        assert!(matches!(refused, Err(RecordError::CursorScope)), "{refused:?}");
    }
    for text in ["", "!", "AAAAAAAAAAA"] {
        let refused = jars
            .find(&unset.clone().after(Some(Cursor::from_text(text))))
            .await;
        assert!(
            matches!(refused, Err(RecordError::CursorScope)),
            "{text:?}: {refused:?}"
        );
    }
    let bolt = Segment::parse("bolt").expect("it is legal");
    let foreign = Records::<Jar>::new(&system.tenant(&bolt));
    let refused = foreign.find(&unset.after(cursor)).await;
    assert!(
        matches!(refused, Err(RecordError::CursorScope)),
        "another tenant's: {refused:?}"
    );
}

/// ST-12, with `no_kind_is_read_laxly` of the engine: what says another id or scope than its key, or is not of its
/// type, is refused by every call and stays as it was.
///
/// # Panics
/// When a record store does otherwise.
pub async fn a_row_unlike_its_key_or_type_is_refused<H: Harness>(harness: H) {
    let store = harness.open().await;
    let jars = jars(&open(&store).await);
    jars.create(&jar(1, 7)).await.expect("it is not there");
    let sound = form(1, 2, &serde_json::json!({ "lid": "shut", "count": 7, "size": 3 }));
    plant(&*store, &jars, 1, Jar::KIND, &sound).await;
    assert!(got(&jars, 1).await.is_some(), "sound as it is");
    let one = Segment::number(1);
    let another = format!("\"{}\"", Segment::number(2));
    let own = format!("\"{one}\"");
    let misplaced = [
        sound.replacen(&own, &another, 1),
        sound.replace(&own, &another),
        sound.replace("acme", "bolt"),
        sound.replace("\"scope\":\"acme\"", "\"scope\":null"),
        sound.replace("\"kind\":\"jar\"", "\"kind\":\"jug\""),
    ];
    for text in misplaced {
        assert_ne!(text, sound);
        let was = plant(&*store, &jars, 1, Jar::KIND, &text).await;
        for error in each_call(&*store, &jars, &was, 1).await {
            let is_so = matches!(error, RecordError::Misplaced { .. } | RecordError::Exists { .. });
            assert!(is_so, "{text}: {error:?}");
        }
    }
    let invalid = [
        sound.replace("\"shut\"", "\"ajar\""),
        sound.replace("\"shut\"", "\"Shut\""),
        sound.replace("\"shut\"", "null"),
        sound.replace("\"count\":7", "\"count\":-7"),
        sound.replace("\"count\":7", "\"count\":7.5"),
        sound.replace("\"count\":7", "\"count\":\"7\""),
        sound.replace("\"count\":7", "\"count\":18446744073709551616"),
        sound.replace("\"size\":3", "\"size\":-3"),
        sound.replace("\"count\":7", "\"count\":7,\"colour\":\"red\""),
        sound.replace("\"scope\"", "\"owner\":\"bolt\",\"scope\""),
        sound.replace("\"count\":7,", ""),
        sound.replace("}}", "}"),
        String::new(),
    ];
    for text in invalid {
        assert_ne!(text, sound);
        let was = plant(&*store, &jars, 1, Jar::KIND, &text).await;
        for error in each_call(&*store, &jars, &was, 1).await {
            let is_so = matches!(error, RecordError::Invalid(_) | RecordError::Exists { .. });
            assert!(is_so, "{text}: {error:?}");
        }
        let found = jars
            .find(&Query::of(JarIndex::Count))
            .await
            .expect("the store answers");
        assert!(
            found.rows.is_empty() && found.issues.len() == 1,
            "{text}: {found:?}"
        );
    }
}

/// Rows that stay while others come and go.
const STABLE: u64 = 120;

/// ST-13, with `no_stored_type_has_a_field_of_the_moment` of the engine: paging through an index while rows come and
/// go and move in it repeats no row and passes over none that stays.
///
/// # Panics
/// When a record store does otherwise.
pub async fn paging_an_index_under_change_repeats_nothing_and_skips_nothing_stable<H: Harness>(harness: H) {
    let store = harness.open().await;
    let jars = jars(&open(&store).await);
    for number in 0..STABLE {
        jars.create(&jar(number, number * 10))
            .await
            .expect("it is not there");
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let churn = tokio::spawn(churn(jars.clone(), Arc::clone(&is_over)));
    for round in 0..6 {
        let order = if round % 2 == 0 { Order::Up } else { Order::Down };
        let mut seen = paged(&jars, order).await;
        if order == Order::Down {
            seen.reverse();
        }
        let ids: BTreeSet<&Segment> = seen.iter().map(|jar| &jar.id).collect();
        let stable = seen.iter().filter(|jar| jar.count % 10 == 0).count() as u64;
        assert_eq!(stable, STABLE, "a row that stays is passed over or repeated");
        assert!(seen.is_sorted_by_key(|jar| jar.count), "{seen:?}");
        assert!(ids.len() >= usize::try_from(STABLE).expect("it is small"));
    }
    is_over.store(true, Ordering::Relaxed);
    churn.await.expect("the churn does not fail");
}

/// All rows of the index, by pages of seven.
async fn paged(jars: &Records<Jar>, order: Order) -> Vec<Jar> {
    let (mut seen, mut after) = (Vec::new(), None);
    // Ends with the last page.
    loop {
        let query = Query::of(JarIndex::Count).order(order).after(after).limit(7);
        let found = jars.find(&query).await.expect("the store answers");
        assert!(found.issues.is_empty(), "{found:?}");
        seen.extend(found.rows.into_iter().map(Versioned::into_inner));
        after = found.next;
        if after.is_none() {
            return seen;
        }
    }
}

/// Makes, moves and removes rows between those that stay, until told.
async fn churn(jars: Records<Jar>, is_over: Arc<AtomicBool>) {
    // Ends when the reader has read enough.
    for n in 0_u64.. {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let own = "it is the churn's own";
        let (number, count) = (STABLE + n % 5, (n * 37) % STABLE * 10 + 1 + n % 5);
        let made = jars.create(&jar(number, count)).await.expect(own);
        let moved = jars.replace(&made, &jar(number, count + 300)).await.expect(own);
        jars.remove(&moved).await.expect(own);
        tokio::task::yield_now().await;
    }
}
