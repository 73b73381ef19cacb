//! What the server refuses for now, and a pool that runs dry: tried again, then busy, and soon enough.

use std::time::Duration;

use dormouse_filesystem::{
    Batch, BusyCause, CommitError, Committed, Deadline, Expected, Key, Lane, Postgres, PostgresOptions,
    ReadError, RecordKind, RecordStore, RecordStoreExt,
};
use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use tokio::time::Instant;
use tokio_postgres::Client;

use super::place::{Database, NOW, Place, beside, is_here, run, url};

const KIND: RecordKind = RecordKind::of("test");
/// What a commit is tried at most: once, and five times again.
const ATTEMPTS_MAX: i64 = 6;
/// Serialization, deadlock, lock timeout.
const CODES: [&str; 3] = ["40001", "40P01", "55P03"];

fn key(name: &str) -> Key {
    // Codes have capitals, which keys have not.
    Key::parse(&name.to_lowercase()).unwrap()
}

/// As long as a commit has whose caller names no deadline.
fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

fn put(name: &str) -> Batch {
    let mut batch = Batch::new(Lane::System);
    batch.put(key(name), Expected::Absent, KIND, "");
    batch
}

fn is_busy(answer: &Result<Committed, CommitError>) -> bool {
    matches!(
        answer,
        Err(CommitError::Busy {
            cause: BusyCause::Contention
        })
    )
}

/// Triggers that refuse what is written, each time until they were asked often enough.
struct Refusing {
    client: Client,
    schema: String,
}

impl Refusing {
    async fn of(place: &Place) -> Self {
        let (client, schema) = (beside(&url()).await, place.schema.clone());
        let made = format!("CREATE SEQUENCE \"{schema}\".asked");
        client.batch_execute(&made).await.unwrap();
        Self { client, schema }
    }

    /// Refuses the next `times` with this code: each row as it is written, or the transaction as it ends.
    async fn refuse(&self, code: &str, times: u32, when: &str) {
        let schema = &self.schema;
        let trigger = match when {
            "written" => format!("CREATE TRIGGER refuse BEFORE INSERT ON \"{schema}\".dormouse_record"),
            _ => format!(
                "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON \"{schema}\".dormouse_record \
                 DEFERRABLE INITIALLY DEFERRED"
            ),
        };
        let sql = format!(
            "ALTER SEQUENCE \"{schema}\".asked RESTART; \
             DROP TRIGGER IF EXISTS refuse ON \"{schema}\".dormouse_record; \
             CREATE OR REPLACE FUNCTION \"{schema}\".refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF nextval('\"{schema}\".asked') <= {times} THEN \
             RAISE EXCEPTION 'refused' USING ERRCODE = '{code}'; END IF; RETURN NEW; END $$; \
             {trigger} FOR EACH ROW EXECUTE FUNCTION \"{schema}\".refuse()"
        );
        self.client.batch_execute(&sql).await.unwrap();
    }

    async fn asked(&self) -> i64 {
        let sql = format!("SELECT last_value FROM \"{}\".asked", self.schema);
        self.client.query_one(&sql, &[]).await.unwrap().get(0)
    }
}

/// FS-65: each of the three, as the server itself says them, five times and then no more; and always.
#[test]
fn what_is_refused_for_now_is_tried_six_times_and_then_busy() {
    if !is_here() {
        return;
    }
    run(async {
        let place = Place::default();
        let store = place.open(NOW).await;
        let refusing = Refusing::of(&place).await;
        for code in CODES {
            refusing.refuse(code, 5, "written").await;
            store.commit(put(&format!("{code}/done")), soon()).await.unwrap();
            assert_eq!(refusing.asked().await, ATTEMPTS_MAX, "{code}");

            refusing.refuse(code, 1_000_000, "written").await;
            let answer = store.commit(put(&format!("{code}/busy")), soon()).await;
            assert!(is_busy(&answer), "{code}: {answer:?}");
            assert_eq!(refusing.asked().await, ATTEMPTS_MAX, "{code}");

            let names: Vec<String> = (0..20).map(|n| format!("{code}/many/{n}")).collect();
            let many = || join_all(names.iter().map(|name| store.commit(put(name), soon())));
            for answer in many().await {
                assert!(is_busy(&answer), "{code}: {answer:?}");
            }
            refusing.refuse(code, 0, "written").await;
            assert_eq!(store.get(&key(&format!("{code}/busy"))).await.unwrap(), None);
            for answer in many().await {
                answer.unwrap();
            }
        }
    });
}

/// FS-65: as the answer to the `COMMIT`, where these two are certain to have done nothing.
#[test]
fn what_is_refused_as_it_ends_is_tried_again_too() {
    if !is_here() {
        return;
    }
    run(async {
        let place = Place::default();
        let store = place.open(NOW).await;
        let refusing = Refusing::of(&place).await;
        for code in &CODES[..2] {
            refusing.refuse(code, 5, "ended").await;
            store.commit(put(&format!("{code}/done")), soon()).await.unwrap();
            assert_eq!(refusing.asked().await, ATTEMPTS_MAX, "{code}");
            refusing.refuse(code, 1_000_000, "ended").await;
            let answer = store.commit(put(&format!("{code}/busy")), soon()).await;
            assert!(is_busy(&answer), "{code}: {answer:?}");
            assert_eq!(refusing.asked().await, ATTEMPTS_MAX, "{code}");
        }
    });
}

/// FS-65, of the pool as it is when nobody says otherwise: who waits for a connection is told after 3 s, and a commit
/// that waits with them has time to try again before its deadline.
#[test]
fn a_hundred_on_a_pool_of_eight_are_told_after_three_seconds() {
    if !is_here() {
        return;
    }
    run(async {
        let (database, place) = (Database::make().await, Place::default());
        let options = PostgresOptions {
            // The eight that have a connection keep it for longer.
            lock_timeout: Duration::from_secs(9),
            ..place.options(NOW)
        };
        assert_eq!((options.pool, options.checkout), (8, Duration::from_secs(3)));
        let store = Postgres::open(&database.url(), options).await.unwrap();
        store.create(key("there"), KIND, "", soon()).await.unwrap();
        let client = beside(&database.url()).await;
        let held = format!(
            "BEGIN; LOCK TABLE \"{}\".dormouse_record IN ACCESS EXCLUSIVE MODE",
            place.schema
        );
        client.batch_execute(&held).await.unwrap();

        let (began, there) = (Instant::now(), key("there"));
        let read = async || (store.get(&there).await, began.elapsed());
        let reads: FuturesUnordered<_> = (0..100).map(|_| read()).collect();
        let waiting = async {
            let mut reads = reads;
            for n in 0..92 {
                let (answer, took) = reads.next().await.unwrap();
                let is_of_pool = matches!(
                    answer,
                    Err(ReadError::Unavailable { reason, .. }) if reason.starts_with("a connection")
                );
                assert!(is_of_pool, "{n}: {answer:?}");
                assert!(took >= Duration::from_secs(3), "{n}: {took:?}");
                assert!(took < Duration::from_secs(8), "{n}: {took:?}");
            }
            client.batch_execute("COMMIT").await.unwrap();
            for answer in reads.collect::<Vec<_>>().await {
                assert!(answer.0.unwrap().is_some(), "it had a connection");
            }
        };
        let commit = async { store.commit(put("waits"), soon()).await };
        let ((), committed) = futures::join!(waiting, commit);
        assert!(committed.unwrap().version.is_some());
        assert!(began.elapsed() < Duration::from_secs(10));

        let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                    AND state LIKE 'idle in transaction%'";
        let left: i64 = client.query_one(open, &[]).await.unwrap().get(0);
        assert_eq!(left, 0, "connections left in a transaction");
        drop(store);
    });
}
