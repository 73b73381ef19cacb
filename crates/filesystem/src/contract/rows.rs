//! Rows of typed records: what is saved and found, and what is as it was.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::Harness;
use super::jars::{Jar, JarIndex, counted, form, got, jar, jars, open, plant, stored};
use crate::{
    Cursor, IndexScope, IndexValue, Item, Order, Query, ReadError, Record, RecordError, Records, Segment,
    SystemIndex, Versioned,
};

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

/// Rows that stay while others come and go.
const STABLE: u64 = 120;

/// Paging through an index while rows come and go and move in it repeats no row and passes over none that stays.
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
    let done = Arc::new(AtomicU64::new(0));
    let churn = tokio::spawn(churn(jars.clone(), Arc::clone(&is_over), Arc::clone(&done)));
    for round in 0..6 {
        let order = if round % 2 == 0 { Order::Up } else { Order::Down };
        let before = done.load(Ordering::Relaxed);
        let moves = async || {
            while done.load(Ordering::Relaxed) == before && !churn.is_finished() {
                tokio::task::yield_now().await;
            }
        };
        let mut seen = paged(&jars, order, moves).await;
        assert!(done.load(Ordering::Relaxed) > before, "nothing came and went");
        if order == Order::Down {
            seen.reverse();
        }
        let ids: BTreeSet<&Segment> = seen.iter().map(|jar| &jar.id).collect();
        let stable: Vec<Jar> = seen.iter().filter(|jar| jar.count % 10 == 0).cloned().collect();
        let all: Vec<Jar> = (0..STABLE).map(|number| jar(number, number * 10)).collect();
        assert_eq!(stable, all, "a row that stays is passed over or repeated");
        assert!(seen.is_sorted_by_key(|jar| jar.count), "{seen:?}");
        assert!(ids.len() >= usize::try_from(STABLE).expect("it is small"));
    }
    is_over.store(true, Ordering::Relaxed);
    churn.await.expect("the churn does not fail");
}

/// All rows of the index, by pages of seven, among which the others move.
async fn paged(jars: &Records<Jar>, order: Order, moves: impl AsyncFn()) -> Vec<Jar> {
    let (mut seen, mut after) = (Vec::new(), None);
    // Ends with the last page.
    loop {
        let query = Query::of(JarIndex::Count).order(order).after(after).limit(7);
        let found = jars.find(&query).await.expect("the store answers");
        assert!(found.issues.is_empty(), "{found:?}");
        seen.extend(found.rows.into_iter().map(Versioned::into_inner));
        after = found.next;
        moves().await;
        if after.is_none() {
            return seen;
        }
    }
}

/// Makes, moves and removes rows between those that stay, until told; it counts them.
async fn churn(jars: Records<Jar>, is_over: Arc<AtomicBool>, done: Arc<AtomicU64>) {
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
        done.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
    }
}
