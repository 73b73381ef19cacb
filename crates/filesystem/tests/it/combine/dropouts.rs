//! Who writes nothing drops out, wherever in the group it is, and nobody else notices.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use dormouse_filesystem::update::DEADLINE;
use dormouse_filesystem::{CommitError, Store, UpdateError};
use futures::future::{BoxFuture, FutureExt, join_all};

use super::{Answer, Does, SLOW, at_rest, combined, entered, in_flight, row, stored, text};
use crate::scripted::{Fault, Scripted};

/// FS-35
#[tokio::test(start_paused = true)]
async fn only_those_that_do_not_write_drop_out_wherever_they_are() {
    for does in [Does::Refuses, Does::Keeps, Does::Panics] {
        for place in 0..5 {
            one_drops_out(does, place).await;
        }
    }
    for place in 0..5 {
        one_is_dropped(place).await;
        the_first_are_expired(place).await;
    }
}

/// A group of five behind a commit in flight.
async fn five(store: &Store, does: impl Fn(usize) -> Does) -> Vec<BoxFuture<'static, Answer>> {
    let mut five = Vec::new();
    for place in 0..5 {
        five.push(entered(store, does(place)).await);
    }
    five
}

fn letter(place: usize) -> char {
    char::from(b'a' + u8::try_from(place).unwrap())
}

fn without(place: usize) -> String {
    (0..5).filter(|n| *n != place).map(letter).collect()
}

async fn one_drops_out(does: Does, place: usize) {
    let (scripted, store) = combined(Scripted::default().every_commit(Fault::Slow(SLOW)));
    let blocker = in_flight(&store).await;
    let five = five(&store, |n| if n == place { does } else { Does::Adds(letter(n)) }).await;
    let answers = join_all(
        five.into_iter()
            .map(|update| AssertUnwindSafe(update).catch_unwind()),
    )
    .await;
    blocker.await.unwrap();
    let after = format!("_{}", without(place));
    assert_eq!(stored(&store).await, after, "{does:?} at {place}");
    assert_eq!(scripted.batches().len(), 2, "the five are one commit");
    let version = store.get(&row()).await.unwrap().unwrap().version;
    for (n, answer) in answers.into_iter().enumerate() {
        if n == place && does == Does::Panics {
            assert_eq!(
                *answer.unwrap_err().downcast::<&str>().unwrap(),
                "by the function"
            );
            continue;
        }
        match answer.expect("only one panics") {
            Err(UpdateError::Apply("refused")) => assert_eq!((n, does), (place, Does::Refuses)),
            Err(other) => panic!("{does:?} at {place}: {other}"),
            Ok(updated) => {
                let entry = updated.entry.unwrap();
                assert_eq!((entry.version, text(Some(&entry))), (version, after.clone()));
                let before: String = (0..n).filter(|m| *m != place).map(letter).collect();
                assert_eq!(updated.outcome, format!("_{before}"));
                assert_eq!(updated.committed.is_some(), n != place);
            }
        }
    }
    at_rest(&store).await;
}

async fn one_is_dropped(place: usize) {
    let (_, store) = combined(Scripted::default().every_commit(Fault::Slow(SLOW)));
    let blocker = in_flight(&store).await;
    let mut five = five(&store, |n| Does::Adds(letter(n))).await;
    drop(five.remove(place));
    for answer in join_all(five).await {
        answer.unwrap();
    }
    blocker.await.unwrap();
    assert_eq!(stored(&store).await, format!("_{}", without(place)));
    at_rest(&store).await;
}

/// Who enters later expires later: so it is the first ones, up to a place.
async fn the_first_are_expired(place: usize) {
    let (scripted, store) = combined(Scripted::default().commits([Some(Fault::Hang)]));
    let blocker = in_flight(&store).await;
    let (mut expiring, mut lasting) = (Vec::new(), Vec::new());
    for n in 0..=place {
        expiring.push(entered(&store, Does::Adds(letter(n))).await);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    for n in place + 1..5 {
        lasting.push(entered(&store, Does::Adds(letter(n))).await);
    }
    let hung = blocker.await;
    assert!(
        matches!(hung, Err(UpdateError::Write(CommitError::Indeterminate { .. }))),
        "{hung:?}"
    );
    for answer in join_all(expiring).await {
        assert!(matches!(answer, Err(UpdateError::Deadline)), "{answer:?}");
    }
    for answer in join_all(lasting).await {
        answer.unwrap();
    }
    assert_eq!(
        stored(&store).await,
        (place + 1..5).map(letter).collect::<String>()
    );
    assert!(scripted.batches().len() <= 2);
    at_rest(&store).await;
}

/// A caller that does not look while its time runs out is not applied late.
#[tokio::test(start_paused = true)]
async fn an_expired_member_is_not_applied_though_its_caller_did_not_look() {
    let (_, store) = combined(Scripted::default().commits([Some(Fault::Hang)]));
    let blocker = in_flight(&store).await;
    let late = entered(&store, Does::Adds('a')).await;
    tokio::time::sleep(DEADLINE + Duration::from_secs(1)).await;
    at_rest(&store).await;
    let late = late.await;
    assert!(matches!(late, Err(UpdateError::Deadline)), "{late:?}");
    assert!(blocker.await.is_err());
    assert_eq!(stored(&store).await, "");
}

/// A refusal is of what its function saw. What a neighbour of its group would have made of the record, and perhaps did
/// not, is no reason to tell it as done.
#[tokio::test(start_paused = true)]
async fn a_refusal_judged_on_what_may_never_have_been_is_as_unknown_as_its_group() {
    let script = Scripted::default().every_commit(Fault::Slow(SLOW));
    let (_, store) = combined(script.commits([Some(Fault::Slow(SLOW)), Some(Fault::LostBefore)]));
    let blocker = in_flight(&store).await;
    let saw_stored = entered(&store, Does::Refuses).await;
    let writes = entered(&store, Does::Adds('a')).await;
    let saw_its_neighbour = entered(&store, Does::Refuses).await;
    blocker.await.unwrap();
    let unknown =
        |answer: &Answer| matches!(answer, Err(UpdateError::Write(CommitError::Indeterminate { .. })));
    let (first, second, third) = tokio::join!(saw_stored, writes, saw_its_neighbour);
    assert!(matches!(first, Err(UpdateError::Apply("refused"))), "{first:?}");
    assert!(unknown(&second), "{second:?}");
    assert!(unknown(&third), "{third:?}");
    at_rest(&store).await;
}
