//! Rows of typed records that this build does not believe: refused by every call, and left as they are.

use std::convert::Infallible;

use super::Harness;
use super::jars::{Jar, JarIndex, entry, form, got, jar, jars, open, plant};
use crate::{Entry, Query, Record, RecordError, RecordKind, RecordStore, Records, Segment, UpdateError};

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
