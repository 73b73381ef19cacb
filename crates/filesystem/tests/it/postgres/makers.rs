//! Two stores that make the same records at once: no row is there to be locked, and still one of them makes them all.

use std::time::Duration;

use dormouse_filesystem::{
    Batch, BusyCause, CommitError, Committed, Deadline, Expected, Key, Lane, Postgres, RecordKind,
    RecordStore, Stream,
};
use futures::future::join_all;

use super::place::{NOW, Place, is_here, run};

const KIND: RecordKind = RecordKind::of("test");
const ROUNDS: usize = 60;
/// Records of a round, made all by each.
const RECORDS: usize = 4;
/// Commits of each store in a round, which share transactions as they come.
const TASKS: usize = 4;

fn key(round: usize, record: usize) -> Key {
    Key::parse(&format!("made/{round}/{record}")).unwrap()
}

/// Makes a round's records, in an order of its own, removes what stood in their place before, and says so in a log.
fn making(round: usize, from: usize) -> Batch {
    let mut batch = Batch::new(Lane::System);
    for record in 0..RECORDS {
        batch.put(
            key(round, (from + record) % RECORDS),
            Expected::Absent,
            KIND,
            format!("of {from}"),
        );
    }
    batch.append(
        Stream::new(Key::parse(&format!("log/{}", from % 2)).unwrap()),
        "made",
    );
    batch
}

async fn make(store: &Postgres, round: usize, from: usize) -> Option<Committed> {
    let answer = store
        .commit(making(round, from), Deadline::after(Duration::from_secs(60)))
        .await;
    match answer {
        Ok(committed) => Some(committed),
        Err(CommitError::Conflict { .. }) => None,
        Err(CommitError::Busy {
            cause: BusyCause::Contention,
        }) => None,
        Err(error) => panic!("{error:?}"),
    }
}

/// Of all that make one set of records one has done it, with a number above those of what was removed there.
#[test]
fn of_two_stores_that_make_the_same_records_one_does() {
    if !is_here() {
        return;
    }
    run(async {
        let place = Place::default();
        let (one, other) = (place.open(NOW).await, place.open(NOW).await);
        for round in 0..ROUNDS {
            let removed = if round % 2 == 0 {
                None
            } else {
                Some(remove_one(&one, round).await)
            };
            let making = (0..TASKS * 2).map(|nth| {
                let store = if nth % 2 == 0 { &one } else { &other };
                make(store, round, nth)
            });
            let done: Vec<Committed> = join_all(making).await.into_iter().flatten().collect();
            let [made] = done.as_slice() else {
                panic!("round {round}: {} made the same records", done.len());
            };
            let version = made.version.unwrap();
            assert!(removed.is_none_or(|removed| version > removed));
            for record in 0..RECORDS {
                let entry = other.get(&key(round, record)).await.unwrap().unwrap();
                assert_eq!(entry.version, version);
            }
        }
    });
}

/// A record of the round is made and removed: its row stays for now, without a value.
async fn remove_one(store: &Postgres, round: usize) -> dormouse_filesystem::Version {
    let soon = || Deadline::after(Duration::from_secs(60));
    let mut batch = Batch::new(Lane::System);
    batch.put(key(round, 0), Expected::Absent, KIND, "before");
    let made = store.commit(batch, soon()).await.unwrap().version.unwrap();
    let mut batch = Batch::new(Lane::System);
    batch.delete(key(round, 0), made);
    store.commit(batch, soon()).await.unwrap().version.unwrap()
}
