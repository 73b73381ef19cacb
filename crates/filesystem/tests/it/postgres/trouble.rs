//! Locks held by others, pools that run dry, rows that were changed by hand, numbers that went back.

use std::time::Duration;

use dormouse_filesystem::{
    Batch, BusyCause, CommitError, Deadline, Expected, Hint, Item, Key, Lane, LogError, Page, Position,
    Postgres, PostgresOptions, Prefix, ReadError, RecordKind, RecordStore, RecordStoreExt, Stream, Version,
};
use futures::future::join_all;
use tokio::time::{Instant, timeout};

use super::place::{Database, NOW, Place, beside, is_here, run, url};
use super::proxy::{Proxy, Way};

const KIND: RecordKind = RecordKind::of("test");

fn key(name: &str) -> Key {
    Key::parse(name).unwrap()
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

fn put(name: &str) -> Batch {
    let mut batch = Batch::new(Lane::System);
    batch.put(key(name), Expected::Absent, KIND, "");
    batch
}

/// FS-65, with `congestion`: locks that are held, and nothing is left open.
#[test]
fn locks_that_are_held_and_a_pool_that_runs_dry_are_busy_and_leave_nothing_open() {
    if !is_here() {
        return;
    }
    run(async {
        let defaults = PostgresOptions::new(NOW, 0);
        assert!(defaults.checkout == Duration::from_secs(3) && defaults.lock_timeout < defaults.checkout);
        let (database, place) = (Database::make().await, Place::default());
        let options = PostgresOptions {
            checkout: Duration::from_millis(300),
            lock_timeout: Duration::from_millis(100),
            ..place.options(NOW)
        };
        let store = Postgres::open(&database.url(), options).await.unwrap();
        store.create(key("there"), KIND, "", soon()).await.unwrap();
        let client = beside(&database.url()).await;
        let held = format!(
            "BEGIN; LOCK TABLE \"{}\".dormouse_record IN ACCESS EXCLUSIVE MODE",
            place.schema
        );
        client.batch_execute(&held).await.unwrap();

        let began = Instant::now();
        let reads = join_all((0..100).map(|_| async {
            let there = key("there");
            store.get(&there).await
        }));
        let names: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        let commits = join_all(names.iter().map(|name| store.commit(put(name), soon())));
        let (reads, commits) = futures::join!(reads, commits);
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "long before their deadlines"
        );
        assert!(
            reads
                .iter()
                .all(|read| matches!(read, Err(ReadError::Unavailable { .. })))
        );
        for commit in commits {
            let is_busy = matches!(
                commit,
                Err(CommitError::Busy {
                    cause: BusyCause::Contention
                })
            );
            assert!(is_busy, "{commit:?}");
        }
        client.batch_execute("COMMIT").await.unwrap();

        let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                    AND state LIKE 'idle in transaction%'";
        let left: i64 = client.query_one(open, &[]).await.unwrap().get(0);
        assert_eq!(left, 0, "connections left in a transaction");
        for name in &names {
            store.commit(put(name), soon()).await.unwrap();
        }
        drop(store);
    });
}

/// FS-65, its first part: a lock that is let go in time is waited for, and its wait tried again.
#[test]
fn a_lock_that_is_let_go_is_had() {
    if !is_here() {
        return;
    }
    run(async {
        let place = Place::default();
        let options = PostgresOptions {
            lock_timeout: Duration::from_millis(50),
            ..place.options(NOW)
        };
        let store = Postgres::open(&url(), options).await.unwrap();
        let version = store.create(key("a"), KIND, "", soon()).await.unwrap();
        let client = beside(&url()).await;
        let held = format!(
            "BEGIN; SELECT * FROM \"{}\".dormouse_record FOR UPDATE",
            place.schema
        );
        client.batch_execute(&held).await.unwrap();
        let replaced = store.replace(key("a"), version, KIND, "new", soon());
        let let_go = async {
            tokio::time::sleep(Duration::from_millis(120)).await;
            client.batch_execute("ROLLBACK").await.unwrap();
        };
        let (replaced, ()) = futures::join!(replaced, let_go);
        assert!(replaced.unwrap() > version);
    });
}

/// FS-65, of 40P01: whoever the server picks to break a deadlock was not done, and is tried again.
#[test]
fn a_deadlock_that_the_server_breaks_is_tried_again() {
    if !is_here() {
        return;
    }
    run(async {
        let (database, place) = (Database::make().await, Place::default());
        let options = PostgresOptions {
            // Longer than the server takes to look for deadlocks.
            lock_timeout: Duration::from_secs(5),
            ..place.options(NOW)
        };
        let store = Postgres::open(&database.url(), options).await.unwrap();
        let mut both = put("a");
        both.put(key("b"), Expected::Absent, KIND, "");
        let version = store.commit(both, soon()).await.unwrap().version.unwrap();
        let client = beside(&database.url()).await;
        let row = |key| {
            let schema = &place.schema;
            format!("SELECT 1 FROM \"{schema}\".dormouse_record WHERE key = '{key}' FOR UPDATE")
        };
        client
            .batch_execute(&format!("BEGIN; {}", row("b")))
            .await
            .unwrap();
        let mut replaced = Batch::new(Lane::System);
        for name in ["a", "b"] {
            replaced.put(key(name), Expected::At(version), KIND, "new");
        }
        let replaced = store.commit(replaced, soon());
        let other_way = async {
            // The store holds the one and waits for the other.
            tokio::time::sleep(Duration::from_millis(300)).await;
            client
                .batch_execute(&format!("{}; ROLLBACK", row("a")))
                .await
                .unwrap();
        };
        let (replaced, ()) = futures::join!(replaced, other_way);
        assert!(replaced.unwrap().version > Some(version));
        drop(store);
        let sql = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
        let patience = Instant::now() + Duration::from_secs(30);
        while client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            assert!(Instant::now() < patience, "there was no deadlock");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

/// FS-10, with a server that does not answer in time.
#[test]
fn a_deadline_in_the_queue_is_busy_and_under_way_is_unknown() {
    if !is_here() {
        return;
    }
    run(async {
        let place = Place::default();
        let store = place.open(NOW).await;
        let version = store.create(key("a"), KIND, "", soon()).await.unwrap();
        let client = beside(&url()).await;
        let held = format!(
            "BEGIN; SELECT * FROM \"{}\".dormouse_record FOR UPDATE",
            place.schema
        );
        client.batch_execute(&held).await.unwrap();
        let short = || Deadline::after(Duration::from_millis(300));
        let first = store.replace(key("a"), version, KIND, "first", short());
        let second = store.replace(key("a"), version, KIND, "second", short());
        let (first, second) = futures::join!(first, second);
        assert!(
            matches!(first, Err(CommitError::Indeterminate { .. })),
            "{first:?}"
        );
        let is_late = matches!(
            second,
            Err(CommitError::Busy {
                cause: BusyCause::Deadline
            })
        );
        assert!(is_late, "{second:?}");
        client.batch_execute("ROLLBACK").await.unwrap();
        // The identical batch again, so that the first is settled either way.
        drop(store.replace(key("a"), version, KIND, "first", soon()).await);
        let found = store.get(&key("a")).await.unwrap().unwrap();
        assert_eq!(&*found.value, b"first", "the second was never done late");
    });
}

/// FS-67
#[test]
fn a_record_made_again_is_newer_though_the_sequence_went_back_and_its_row_was_pruned() {
    if !is_here() {
        return;
    }
    run(async {
        let place = Place::default();
        let options = PostgresOptions {
            tombstones: Duration::ZERO,
            ..place.options(NOW)
        };
        let store = Postgres::open(&url(), options).await.unwrap();
        let client = beside(&url()).await;
        let back = format!("SELECT setval('\"{}\".dormouse_version', 1)", place.schema);
        let created = store.create(key("a"), KIND, "", soon()).await.unwrap();
        client.batch_execute(&back).await.unwrap();
        let deleted = store.delete(key("a"), created, soon()).await.unwrap();
        client.batch_execute(&back).await.unwrap();
        let again = store.create(key("a"), KIND, "", soon()).await.unwrap();
        assert!(
            created < deleted && deleted < again,
            "{created} {deleted} {again}"
        );

        let gone = store.delete(key("a"), again, soon()).await.unwrap();
        prune(&store).await;
        let rows = format!(
            "SELECT count(*) FROM \"{}\".dormouse_record WHERE key = 'a'",
            place.schema
        );
        let patience = Instant::now() + Duration::from_secs(30);
        while client.query_one(&rows, &[]).await.unwrap().get::<_, i64>(0) > 0 {
            assert!(Instant::now() < patience, "the row was not pruned");
            prune(&store).await;
        }
        client.batch_execute(&back).await.unwrap();
        let anew = store.create(key("a"), KIND, "", soon()).await.unwrap();
        assert!(anew > gone, "{anew} after {gone}");
    });
}

/// Removes enough that old rows are looked for.
async fn prune(store: &Postgres) {
    let mut puts = Batch::new(Lane::System);
    for n in 0..600 {
        puts.put(key(&format!("many/{n}")), Expected::Absent, KIND, "");
    }
    let version: Version = store.commit(puts, soon()).await.unwrap().version.unwrap();
    let mut deletes = Batch::new(Lane::System);
    for n in 0..600 {
        deletes.delete(key(&format!("many/{n}")), version);
    }
    store.commit(deletes, soon()).await.unwrap();
}

/// FS-18, but for its reads beside a million rows.
#[test]
fn a_row_changed_by_hand_is_corrupt_and_its_neighbours_are_sound() {
    if !is_here() {
        return;
    }
    run(async {
        let place = Place::default();
        let store = place.open(NOW).await;
        for n in 0..10 {
            store
                .create(key(&format!("p/{n}")), KIND, n.to_string(), soon())
                .await
                .unwrap();
        }
        let sql = format!(
            "UPDATE \"{}\".dormouse_record SET value = 'x' WHERE key = 'p!4'",
            place.schema
        );
        beside(&url()).await.batch_execute(&sql).await.unwrap();
        let listed = store.list(&Page::of(Prefix::parse("p").unwrap())).await.unwrap();
        assert_eq!(listed.items.len(), 10);
        for (n, item) in listed.items.iter().enumerate() {
            match item {
                Item::Entry(entry) => assert_eq!(&*entry.value, n.to_string().as_bytes()),
                Item::Corrupt { key } => assert_eq!((n, key.to_string().as_str()), (4, "p/4")),
                Item::Key { .. } => panic!("entries were wanted"),
            }
        }
        assert!(matches!(
            store.get(&key("p/4")).await,
            Err(ReadError::Corrupt { .. })
        ));
        let three = store.get(&key("p/3")).await.unwrap().unwrap();
        store
            .replace(key("p/3"), three.version, KIND, "new", soon())
            .await
            .unwrap();
    });
}

/// A log whose entries are not all there is damaged, and never shorter than it was.
#[test]
fn a_log_that_lost_entries_by_hand_is_corrupt() {
    if !is_here() {
        return;
    }
    run(async {
        let place = Place::default();
        let store = place.open(NOW).await;
        let log = Stream::new(key("log"));
        for n in 0..6 {
            store.append(log.clone(), n.to_string(), soon()).await.unwrap();
        }
        let client = beside(&url()).await;
        let remove = async |positions: &str| {
            let sql = format!(
                "DELETE FROM \"{}\".dormouse_log_entry WHERE position IN ({positions})",
                place.schema
            );
            client.batch_execute(&sql).await.unwrap();
        };
        let is_corrupt = async |after: u64| {
            let tail = store.tail(&log, Position::new(after), 9).await;
            let is_corrupt = matches!(
                &tail,
                Err(LogError::Read(ReadError::Corrupt { key })) if key == log.key()
            );
            assert!(is_corrupt, "after {after}: {tail:?}");
        };
        remove("3").await;
        is_corrupt(0).await;
        is_corrupt(2).await;
        assert_eq!(store.tail(&log, Position::new(3), 9).await.unwrap().len(), 3);
        remove("6").await;
        is_corrupt(5).await;
        assert!(store.tail(&log, Position::new(6), 9).await.unwrap().is_empty());
    });
}

/// FS-23, of a reconnect: what a writer could not tell others it tells them as everything, with no later write.
#[test]
fn a_hint_that_its_connection_took_with_it_is_told_by_the_next() {
    if !is_here() {
        return;
    }
    run(async {
        let (place, proxy) = (Place::default(), Proxy::start().await);
        let options = PostgresOptions {
            listen_url: Some(proxy.url()),
            ..place.options(NOW)
        };
        let writer = Postgres::open(&url(), options).await.unwrap();
        let reader = place.open(NOW).await;
        let mut watch = reader.watch(&Prefix::parse("p").unwrap()).await.unwrap();
        let patience = Duration::from_secs(30);
        writer.create(key("p/a"), KIND, "", soon()).await.unwrap();
        assert_eq!(
            timeout(patience, watch.next()).await.unwrap(),
            Some(Hint::Changed)
        );
        // The first hint's connection has said all it has to say of it: the cut is to meet the second.
        let mut passed = 0;
        while passed != proxy.passed(Way::ToServer) {
            passed = proxy.passed(Way::ToServer);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        proxy.cut_after(Way::ToServer, 0);
        writer.create(key("p/b"), KIND, "", soon()).await.unwrap();
        assert_eq!(
            timeout(patience, watch.next()).await.expect("it is told"),
            Some(Hint::Missed)
        );
        assert!(proxy.has_cut());
    });
}

#[test]
fn a_truncation_is_hinted_at_here_and_elsewhere() {
    if !is_here() {
        return;
    }
    run(async {
        let place = Place::default();
        let (writer, reader) = (place.open(NOW).await, place.open(NOW).await);
        let log = Stream::new(key("p/log"));
        let patience = Duration::from_secs(30);
        writer.append(log.clone(), "entry", soon()).await.unwrap();
        let below = Prefix::parse("p").unwrap();
        let (mut here, mut there) = (
            writer.watch(&below).await.unwrap(),
            reader.watch(&below).await.unwrap(),
        );
        // The hint of the append is behind both.
        writer.create(key("p/a"), KIND, "", soon()).await.unwrap();
        for watch in [&mut here, &mut there] {
            assert_eq!(
                timeout(patience, watch.next()).await.unwrap(),
                Some(Hint::Changed)
            );
        }
        while timeout(Duration::from_millis(300), there.next()).await.is_ok() {}
        writer.truncate(&log, Position::new(2)).await.unwrap();
        for watch in [&mut here, &mut there] {
            assert_eq!(
                timeout(patience, watch.next()).await.expect("it is told"),
                Some(Hint::Changed)
            );
        }
    });
}

/// Rows that only held a lock, and removed ones that an earlier process left, go without a removal by this one.
#[test]
fn old_rows_of_no_record_go_at_an_opening_and_after_many_checks() {
    if !is_here() {
        return;
    }
    run(async {
        let place = Place::default();
        let client = beside(&url()).await;
        let rows = format!(
            "SELECT count(*) FROM \"{}\".dormouse_record WHERE removed IS NOT NULL",
            place.schema
        );
        let left = async || -> i64 { client.query_one(&rows, &[]).await.unwrap().get(0) };
        let store = place.open(NOW).await;
        let version = store.create(key("a"), KIND, "", soon()).await.unwrap();
        store.delete(key("a"), version, soon()).await.unwrap();
        store.close(soon()).await.unwrap();
        assert_eq!(left().await, 1);
        let options = || PostgresOptions {
            tombstones: Duration::ZERO,
            ..place.options(NOW)
        };
        let store = Postgres::open(&url(), options()).await.unwrap();
        let patience = Instant::now() + Duration::from_secs(30);
        while left().await > 0 {
            assert!(Instant::now() < patience, "not pruned at the opening");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut checks = Batch::new(Lane::System);
        for n in 0..600 {
            checks.check(key(&format!("no/{n}")), Expected::Absent);
        }
        checks.append(Stream::new(key("log")), "entry");
        store.commit(checks, soon()).await.unwrap();
        while left().await > 0 {
            assert!(Instant::now() < patience, "not pruned after the checks");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        drop(store);
    });
}

/// What one process changes, another is told; a connection that was lost is told as missed.
#[test]
fn hints_reach_other_processes_and_a_lost_connection_is_told() {
    if !is_here() {
        return;
    }
    run(async {
        let (database, place) = (Database::make().await, Place::default());
        let open = || async { Postgres::open(&database.url(), place.options(NOW)).await.unwrap() };
        let (writer, reader) = (open().await, open().await);
        let mut watch = reader.watch(&Prefix::parse("p").unwrap()).await.unwrap();
        let mut other = reader.watch(&Prefix::parse("q").unwrap()).await.unwrap();
        let patience = Duration::from_secs(30);
        writer.create(key("p/a"), KIND, "", soon()).await.unwrap();
        assert_eq!(
            timeout(patience, watch.next()).await.unwrap(),
            Some(Hint::Changed)
        );
        assert_eq!(
            futures::FutureExt::now_or_never(other.next()),
            None,
            "another place"
        );

        let client = beside(&database.url()).await;
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        client.batch_execute(cut).await.unwrap();
        assert_eq!(timeout(patience, watch.next()).await.unwrap(), Some(Hint::Missed));
        // Reads and commits go on; whatever is changed from here on is hinted at, sooner or later, or missed.
        let patience = Instant::now() + patience;
        for n in 0.. {
            assert!(Instant::now() < patience, "nothing is hinted at any more");
            // The first may meet a connection that was cut too: not done or unknown, as it says.
            let _ = writer.create(key(&format!("p/b/{n}")), KIND, "", soon()).await;
            if timeout(Duration::from_millis(100), watch.next()).await == Ok(Some(Hint::Changed)) {
                break;
            }
        }
        for store in [writer, reader] {
            store.close(soon()).await.unwrap();
        }
    });
}
