//! The connection is cut at every step of a commit: what the store then says of it is never a lie.

use std::time::Duration;

use dormouse_filesystem::{
    Batch, CommitError, Committed, Deadline, Expected, Key, Lane, LogError, Position, Postgres,
    PostgresOptions, RecordKind, RecordStore, RecordStoreExt, Stream,
};

use super::place::{NOW, Place, beside, is_here, run, url};
use super::proxy::{Proxy, Way};

const KIND: RecordKind = RecordKind::of("test");
/// Between two places of a cut, in bytes: few messages are shorter, and none of those that matter.
const STEP: usize = 9;

fn key(name: &str) -> Key {
    Key::parse(name).unwrap()
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

/// Batches of a record alone go another way than others.
const SINGLE: &str = "single-";

/// A record and a log entry of one name, and a check; or the record alone.
fn batch(name: &str) -> Batch {
    let mut batch = Batch::new(Lane::System);
    if name.starts_with(SINGLE) {
        batch.put(key(&format!("record/{name}")), Expected::Absent, KIND, "value");
        return batch;
    }
    batch
        .check(key("nothing"), Expected::Absent)
        .put(key(&format!("record/{name}")), Expected::Absent, KIND, "value")
        .append(Stream::new(key(&format!("log/{name}"))), "entry");
    batch
}

/// A store by way of a proxy, and one beside it that nobody disturbs.
struct Both {
    place: Place,
    proxy: Proxy,
    cut: Postgres,
    beside: Postgres,
}

impl Both {
    async fn open() -> Self {
        let (place, proxy) = (Place::default(), Proxy::start().await);
        let options = PostgresOptions {
            // One connection for reads and one for commits: so the second of three commits waits for the first.
            pool: 2,
            listen_url: Some(url()),
            ..place.options(NOW)
        };
        let cut = Postgres::open(&proxy.url(), options).await.unwrap();
        let beside = place.open(NOW).await;
        // Every connection and statement is there.
        for round in 0..3 {
            commit_some(&cut, &format!("warm{round}"), 3).await;
        }
        Self {
            place,
            proxy,
            cut,
            beside,
        }
    }

    /// Whether it was done, told by who tries to create its record now: they win or lose against it, for ever.
    async fn is_done(&self, name: &str, answer: &Result<Committed, CommitError>) -> bool {
        let record = key(&format!("record/{name}"));
        let created = self.beside.create(record.clone(), KIND, "instead", soon()).await;
        let head = self
            .beside
            .head(&Stream::new(key(&format!("log/{name}"))))
            .await
            .unwrap();
        let has_log = !name.starts_with(SINGLE);
        match created {
            Ok(_) => {
                assert_eq!(
                    head.incarnation, None,
                    "{name}: half of it was done, said {answer:?}"
                );
                false
            }
            Err(CommitError::Conflict { failed }) => {
                assert!(
                    !has_log || head.incarnation == failed[0].actual,
                    "{name}: half of it was done"
                );
                if let Ok(committed) = answer {
                    assert_eq!(
                        committed.version, failed[0].actual,
                        "{name}: another version was told"
                    );
                }
                true
            }
            Err(other) => panic!("{name}: {other}"),
        }
    }

    /// Cuts at one place, and compares what is said with what is so.
    async fn round(&self, kind: &str, way: Way, at: usize, count: usize, told: &mut Told) {
        let name = format!("{kind}{way:?}-{at}").to_lowercase();
        self.proxy.cut_after(way, i64::try_from(at).unwrap());
        let answers = commit_some(&self.cut, &name, count).await;
        let has_cut = self.proxy.has_cut();
        self.proxy.heal();
        for (n, answer) in answers.iter().enumerate() {
            let name = format!("{name}-{n}");
            let is_done = self.is_done(&name, answer).await;
            match answer {
                Ok(_) => assert!(is_done, "{name}: said to be done and was not"),
                Err(CommitError::Indeterminate { .. }) => told.unknown += 1,
                Err(CommitError::Busy { .. } | CommitError::Unavailable { .. }) => {
                    assert!(!is_done, "{name}: said not to be done and was");
                    told.not_done += 1;
                }
                Err(other) => panic!("{name}: {other}"),
            }
            if answer.is_ok() && has_cut {
                told.done_though_cut += 1;
            }
        }
        // The server is back: service goes on without more ado.
        let after = self.cut.commit(batch(&format!("{name}-after")), soon()).await;
        assert!(after.is_ok(), "{name}: {after:?}");
    }
}

#[derive(Debug, Default)]
struct Told {
    done_though_cut: usize,
    not_done: usize,
    unknown: usize,
}

/// This many commits at once: the first alone, the others together behind it.
async fn commit_some(store: &Postgres, name: &str, count: usize) -> Vec<Result<Committed, CommitError>> {
    let commits = (0..count).map(|n| store.commit(batch(&format!("{name}-{n}")), soon()));
    futures::future::join_all(commits).await
}

async fn cut_everywhere(kind: &str, count: usize, step: usize) -> Told {
    let both = Both::open().await;
    let mut told = Told::default();
    for way in [Way::ToServer, Way::ToStore] {
        // The statements of this kind are prepared by the first of it.
        commit_some(&both.cut, &format!("{kind}{way:?}-first").to_lowercase(), count).await;
        let before = both.proxy.passed(way);
        commit_some(&both.cut, &format!("{kind}{way:?}-whole").to_lowercase(), count).await;
        let whole = usize::try_from(both.proxy.passed(way) - before).unwrap();
        for at in (0..whole).step_by(step) {
            both.round(kind, way, at, count, &mut told).await;
        }
    }
    drop(both.place);
    told
}

/// FS-66, and FS-4 where a connection is killed: record and log entry are both there, or neither.
#[test]
fn a_commit_cut_anywhere_is_done_or_not_or_unknown_as_told() {
    if is_here() {
        let told = run(cut_everywhere("", 1, STEP));
        // The number of the transaction was learnt before its answer was lost; and before it was learnt.
        assert!(told.done_though_cut > 0 && told.unknown > 0, "{told:?}");
    }
}

/// FS-66, for a record alone.
#[test]
fn a_commit_of_one_record_cut_anywhere_is_done_or_not_or_unknown_as_told() {
    if is_here() {
        let told = run(cut_everywhere(SINGLE, 1, STEP));
        assert!(told.done_though_cut > 0 && told.unknown > 0, "{told:?}");
    }
}

/// FS-66, for commits that share a transaction.
#[test]
fn commits_of_a_group_cut_anywhere_are_done_or_not_or_unknown_as_told() {
    if is_here() {
        let told = run(cut_everywhere("", 3, 4 * STEP));
        assert!(told.done_though_cut > 0 && told.unknown > 0, "{told:?}");
    }
}

/// What stands behind a `BEGIN` that failed would stand alone: none of it is done, nor more than once.
#[test]
fn a_begin_that_fails_does_nothing_though_its_connection_lives() {
    if !is_here() {
        return;
    }
    run(async {
        let both = Both::open().await;
        let stale = both.beside.create(key("record/held"), KIND, "old", soon()).await;
        let stale = stale.unwrap();
        both.beside
            .replace(key("record/held"), stale, KIND, "new", soon())
            .await
            .unwrap();
        let append = |to: &str| {
            let mut batch = Batch::new(Lane::System);
            batch.append(Stream::new(key(to)), "entry");
            batch
        };
        commit_some(&both.cut, "first", 1).await;
        commit_some(&both.cut, "single-first", 1).await;
        both.cut.commit(append("log/warm"), soon()).await.unwrap();

        both.proxy.spoil_begin();
        for name in ["whole", "single-spoiled"] {
            let answer = both.cut.commit(batch(name), soon()).await;
            assert!(answer.is_err(), "{name}: {answer:?}");
            assert!(!both.is_done(name, &answer).await, "{name}: {answer:?}");
        }
        let mut over = batch("over");
        over.put(key("record/held"), Expected::At(stale), KIND, "lost");
        let answer = both.cut.commit(over, soon()).await;
        assert!(answer.is_err(), "{answer:?}");
        let held = both.beside.get(&key("record/held")).await.unwrap().unwrap();
        assert_eq!(held.value, "new", "written over at a version that was past");
        let answer = both.cut.commit(append("log/warm"), soon()).await;
        assert!(answer.is_err(), "{answer:?}");
        let head = both.beside.head(&Stream::new(key("log/warm"))).await.unwrap();
        assert_eq!(head.next, Position::new(2), "appended though not done");

        both.proxy.heal();
        both.cut.commit(batch("healed"), soon()).await.unwrap();
    });
}

/// A transaction's number that was not durable when the server fell is given out again: that it was committed proves
/// nothing. Here the commit's own rows are not there, as then.
#[test]
fn a_number_that_was_committed_without_the_rows_is_no_commit() {
    if !is_here() {
        return;
    }
    run(async {
        let both = Both::open().await;
        let schema = &both.place.schema;
        let forget = format!(
            "CREATE FUNCTION \"{schema}\".forget() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; \
             CREATE TRIGGER forget BEFORE INSERT ON \"{schema}\".dormouse_log_entry \
             FOR EACH ROW EXECUTE FUNCTION \"{schema}\".forget()"
        );
        let append = |to: String| {
            let mut batch = Batch::new(Lane::System);
            batch.append(Stream::new(key(&to)), "entry");
            batch
        };
        let commit = async |name: &str, before_end: Option<u64>, whole: u64| {
            if let Some(before_end) = before_end {
                let at = i64::try_from(whole - before_end).unwrap();
                both.proxy.cut_after(Way::ToStore, at);
            }
            let answer = both.cut.commit(append(format!("log/{name}")), soon()).await;
            let has_cut = both.proxy.has_cut();
            both.proxy.heal();
            (answer, has_cut)
        };
        commit("warm-a", None, 0).await.0.unwrap();
        let before = both.proxy.passed(Way::ToStore);
        commit("warm-b", None, 0).await.0.unwrap();
        let whole = both.proxy.passed(Way::ToStore) - before;

        // The answer to the `COMMIT` is lost; whatever was written is there, and tells.
        let (answer, has_cut) = commit("cut-a", Some(3), whole).await;
        assert!(has_cut && answer.is_ok(), "{answer:?}");
        beside(&url()).await.batch_execute(&forget).await.unwrap();
        commit("cut-w", None, 0).await.0.unwrap();
        let (answer, has_cut) = commit("cut-b", Some(3), whole).await;
        assert!(
            has_cut && matches!(answer, Err(CommitError::Indeterminate { .. })),
            "{answer:?}"
        );
    });
}

/// A commit that begins logs and writes nothing else is found by the logs.
#[test]
fn logs_that_were_begun_are_done_though_the_answer_is_lost() {
    if !is_here() {
        return;
    }
    run(async {
        let both = Both::open().await;
        let begin = async |name: &str| {
            let mut batch = Batch::new(Lane::System);
            batch.begin(Stream::new(key(name)), Position::new(5), None);
            both.cut.commit(batch, soon()).await
        };
        begin("log/begun-a").await.unwrap();
        let before = both.proxy.passed(Way::ToStore);
        begin("log/begun-b").await.unwrap();
        let whole = both.proxy.passed(Way::ToStore) - before;
        // The answer to the `COMMIT` is lost.
        both.proxy
            .cut_after(Way::ToStore, i64::try_from(whole - 3).unwrap());
        let answer = begin("log/begun-c").await;
        let has_cut = both.proxy.has_cut();
        both.proxy.heal();
        let head = both.beside.head(&Stream::new(key("log/begun-c"))).await.unwrap();
        assert!(has_cut && head.incarnation.is_some(), "{head:?}");
        assert_eq!(answer.unwrap().version, head.incarnation);
    });
}

/// A server that takes a truncation and does not answer holds it for a while and no longer.
#[test]
fn a_truncation_without_an_answer_is_unknown_and_ends() {
    if !is_here() {
        return;
    }
    run(async {
        let both = Both::open().await;
        let log = Stream::new(key("log/warm0-0"));
        assert_eq!(
            both.cut.truncate(&log, Position::new(1)).await.unwrap(),
            Position::new(1)
        );
        both.proxy.hold();
        let truncated =
            tokio::time::timeout(Duration::from_secs(40), both.cut.truncate(&log, Position::new(2)));
        let truncated = truncated.await.expect("it ends by itself");
        assert!(
            matches!(
                truncated,
                Err(LogError::Commit(CommitError::Indeterminate { .. }))
            ),
            "{truncated:?}"
        );
        both.proxy.heal();
        assert_eq!(
            both.cut.truncate(&log, Position::new(2)).await.unwrap(),
            Position::new(2)
        );
    });
}

#[test]
fn a_truncation_that_was_never_sent_is_not_done_and_ends_as_soon() {
    if !is_here() {
        return;
    }
    run(async {
        let both = Both::open().await;
        let log = Stream::new(key("log/warm0-0"));
        both.proxy.hold();
        let truncated =
            tokio::time::timeout(Duration::from_secs(30), both.cut.truncate(&log, Position::new(2)));
        let truncated = truncated.await.expect("it is not tried over and over");
        assert!(
            matches!(truncated, Err(LogError::Commit(CommitError::Unavailable { .. }))),
            "{truncated:?}"
        );
        both.proxy.heal();
        assert_eq!(
            both.cut.truncate(&log, Position::new(2)).await.unwrap(),
            Position::new(2)
        );
    });
}

/// While the server is gone a commit is not done or unknown within its deadline; when it is back, all goes on.
#[test]
fn a_server_that_is_gone_and_comes_back_needs_no_restart_of_the_store() {
    if !is_here() {
        return;
    }
    run(async {
        let both = Both::open().await;
        both.proxy.is_gone_after();
        both.proxy.cut_after(Way::ToServer, 0);
        for n in 0..3 {
            let name = format!("gone-{n}");
            let deadline = Deadline::after(Duration::from_millis(500));
            let answer = both.cut.commit(batch(&name), deadline).await;
            let is_done = both.is_done(&name, &answer).await;
            match answer {
                Err(CommitError::Indeterminate { .. }) => {}
                Err(error) => assert!(error.is_congestion() && !is_done, "{error:?}"),
                Ok(_) => panic!("there is no server"),
            }
            let read = both.cut.get(&key("record/warm0-0")).await;
            assert!(read.is_err(), "there is no server");
        }
        both.proxy.heal();
        both.cut.commit(batch("back"), soon()).await.unwrap();
        assert!(both.cut.get(&key("record/back")).await.unwrap().is_some());
    });
}
