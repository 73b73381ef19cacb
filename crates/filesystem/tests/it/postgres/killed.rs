//! A server of the test's own whose processes are killed, and started again.

use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::{
    Batch, Deadline, Key, Lane, LogError, Position, Postgres, PostgresOptions, RecordStore, Stream,
};

use super::place::{NOW, beside, run};
use super::private::{Folder, Server};
use crate::seen::Work;

/// Commits of each writer when the server is killed, at the latest.
const COMMITS: u64 = 5000;
/// Entries of the log that is truncated, a thousand in a step.
const ENTRIES: u64 = 30_000;
const BEFORE: Position = Position::new(29_001);

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

fn log() -> Stream {
    Stream::new(Key::parse("log").unwrap())
}

async fn open(server: &Server, seed: u64) -> Postgres {
    let url = server.url("127.0.0.1", "");
    Postgres::open(&url, PostgresOptions::new(NOW, seed))
        .await
        .unwrap()
}

/// FS-13 on the server: it is killed while readers read and writers write.
#[test]
fn what_was_seen_of_a_server_outlives_its_being_killed() {
    let Some(folder) = Folder::new() else { return };
    let mut server = folder.start(&[]);
    for round in 0..2 {
        let work = run(worked_until_killed(&server, round));
        server.again();
        let what = format!("round {round}");
        run(async { work.is_there(&open(&server, 10 + round).await, &what).await });
        assert!(work.count() > 50, "{}", work.count());
        run(emptied(&server));
    }
}

async fn worked_until_killed(server: &Server, round: u64) -> Work {
    let store: Arc<dyn RecordStore> = Arc::new(open(server, round).await);
    let crash = |done: Arc<dyn Fn() -> u64 + Send + Sync>| async move {
        // Ends once enough is done; writers go on.
        while done() < 100 * (round + 1) {
            tokio::task::yield_now().await;
        }
        server.kill();
    };
    Work::on(&store, COMMITS, round, crash).await
}

/// For the next round.
async fn emptied(server: &Server) {
    let client = beside(&server.url("127.0.0.1", "")).await;
    client
        .batch_execute("DROP SCHEMA dormouse CASCADE")
        .await
        .unwrap();
}

async fn append(store: &Postgres, from: u64, to: u64) {
    for first in (from..to).step_by(1000) {
        let mut batch = Batch::new(Lane::System);
        for position in first..to.min(first + 1000) {
            batch.append(log(), position.to_string());
        }
        let committed = store.commit(batch, soon()).await.unwrap();
        assert_eq!(committed.positions[0].1, Position::new(first));
    }
}

/// Where the log begins, with all of it from there on.
async fn holds(store: &Postgres) -> Position {
    let head = store.head(&log()).await.unwrap();
    assert_eq!(head.next.get(), ENTRIES + 1);
    let mut after = head.first.get() - 1;
    while after < ENTRIES {
        for logged in store.tail(&log(), Position::new(after), 1000).await.unwrap() {
            after += 1;
            assert_eq!(logged.position.get(), after);
            assert_eq!(logged.entry, after.to_string().as_bytes());
        }
    }
    head.first
}

/// Begins to truncate, and kills the server within; tells how far it had come.
async fn killed_within(server: &Server) -> Position {
    let store = Arc::new(open(server, 1).await);
    let truncating = Arc::clone(&store);
    let truncating = tokio::spawn(async move { truncating.truncate(&log(), BEFORE).await });
    let mut client = beside(&server.url("127.0.0.1", "")).await;
    // Ends with its first step.
    while store.head(&log()).await.unwrap().first == Position::FIRST {
        tokio::task::yield_now().await;
    }
    // No further step is done.
    let transaction = client.transaction().await.unwrap();
    let sql = "SELECT first FROM dormouse.dormouse_log WHERE stream = 'log' FOR UPDATE";
    let first: i64 = transaction.query_one(sql, &[]).await.unwrap().get(0);
    server.kill();
    let truncated = truncating.await.unwrap();
    assert!(truncated.is_err(), "{truncated:?}");
    Position::new(first.unsigned_abs())
}

/// FS-22 on the server, with the clauses of the contract.
#[test]
fn a_long_truncation_on_a_server_that_is_killed_is_resumed_and_its_space_returns() {
    let Some(folder) = Folder::new() else { return };
    let mut server = folder.start(&["autovacuum=off"]);
    run(async { append(&open(&server, 1).await, 1, ENTRIES + 1).await });
    let first = run(killed_within(&server));
    assert!(Position::FIRST < first && first < BEFORE, "{first}");
    server.again();
    run(async {
        let store = open(&server, 2).await;
        assert_eq!(holds(&store).await, first);
        for _ in 0..2 {
            assert_eq!(store.truncate(&log(), BEFORE).await.unwrap(), BEFORE);
            assert_eq!(holds(&store).await, BEFORE);
        }
        let past = store.truncate(&log(), Position::new(ENTRIES + 2)).await;
        assert!(matches!(past, Err(LogError::ReplayGap { .. })), "{past:?}");
        space_returns(&server, &store).await;
    });
}

/// The rows are gone, and what they took is used again once the server has cleaned up.
async fn space_returns(server: &Server, store: &Postgres) {
    let client = beside(&server.url("127.0.0.1", "")).await;
    let count = "SELECT count(*) FROM dormouse.dormouse_log_entry";
    let left: i64 = client.query_one(count, &[]).await.unwrap().get(0);
    assert_eq!(left.unsigned_abs(), ENTRIES + 1 - BEFORE.get());
    let mut sizes = Vec::new();
    for round in 0..4 {
        let next = ENTRIES + 1 + round * 5000;
        append(store, next, next + 5000).await;
        store.truncate(&log(), Position::new(next + 5000)).await.unwrap();
        let clean = "VACUUM dormouse.dormouse_log_entry";
        client.batch_execute(clean).await.unwrap();
        let size = "SELECT pg_total_relation_size('dormouse.dormouse_log_entry')";
        sizes.push(client.query_one(size, &[]).await.unwrap().get::<_, i64>(0));
    }
    assert!(sizes[3] <= sizes[0].max(sizes[1]), "{sizes:?}");
}
