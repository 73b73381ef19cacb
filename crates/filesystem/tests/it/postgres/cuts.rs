//! The connection is cut at every step of a commit: what the store then says of it is never a lie.

use std::time::Duration;

use dormouse_filesystem::{
    Batch, CommitError, Committed, Deadline, Expected, Key, Lane, Postgres, PostgresOptions, RecordKind,
    RecordStore, RecordStoreExt, Stream,
};

use super::place::{NOW, Place, is_here, run, url};
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
