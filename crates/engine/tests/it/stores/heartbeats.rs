//! Heartbeats share commits, and write their own rows alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dormouse_engine::lease::{Lease, LeaseOptions};
use dormouse_engine::run::Claimed;
use dormouse_engine::step::{Failure, StepContext};
use dormouse_engine::supervisor::RunEnd;
use dormouse_engine::task::{NewTask, TaskState};
use dormouse_engine::{CommandError, EngineOptions, Subject};
use dormouse_filesystem::wrapper::{Counted, Operation};
use dormouse_filesystem::{Memory, RecordStore, Records};
use futures::future::join_all;
use jiff::Timestamp;
use tokio::task::JoinSet;

use super::hooked::Hooked;
use super::house::{House, another, tenant_id};

/// How many leases there are: more than go in a commit.
const LEASES: usize = 300;

super::on_every_store! {
    /// ST-41, with the hour below
    heartbeats_of_many_leases_write_their_rows_and_nothing_else;
}

async fn claimed(house: &House, count: usize) -> Vec<Claimed> {
    let alice = house.agent("alice").await;
    let tasks = (0..count).map(|n| house.task(NewTask::new(alice.clone(), format!("sheep {n}"))));
    let tasks = join_all(tasks).await;
    let mut claimed = Vec::with_capacity(count);
    for some in tasks.chunks(16) {
        claimed.extend(join_all(some.iter().map(|task| house.claim(task))).await);
    }
    claimed
}

/// Every record but those of heartbeats: the bytes and the version by the key. Beside it the versions of those.
async fn rows(house: &House) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let (mut others, mut beats) = (BTreeMap::new(), BTreeMap::new());
    for entry in house.entries().await {
        let (key, version) = (entry.key.to_string(), format!("{:?}", entry.version));
        if entry.kind.as_str() == "heartbeat" {
            beats.insert(key, version);
        } else {
            others.insert(
                key,
                format!("{version} {}", String::from_utf8_lossy(&entry.value)),
            );
        }
    }
    (others, beats)
}

/// What heartbeats of all of them at once came to: how many were renewed, and whose are another's.
async fn beat_all(house: &House, claimed: &[Claimed]) -> (usize, Vec<Subject>) {
    let runs = &house.tenant.runs;
    let beats = join_all(claimed.iter().map(|claimed| runs.heartbeat(claimed, None))).await;
    let (mut renewed, mut fenced) = (0, Vec::new());
    for beat in beats {
        match beat {
            Ok(_) => renewed += 1,
            Err(CommandError::Fenced { subject }) => fenced.push(subject),
            Err(error) => panic!("{error}"),
        }
    }
    (renewed, fenced)
}

async fn heartbeats_of_many_leases_write_their_rows_and_nothing_else(house: House) {
    let claimed = claimed(&house, LEASES).await;
    let events = house.event_count().await;
    house.taken_over(&claimed[7]).await;
    let (others, mut beats) = rows(&house).await;
    for _ in 0..3 {
        house.clock.advance(20);
        let (renewed, fenced) = beat_all(&house, &claimed).await;
        assert_eq!(renewed, LEASES - 1);
        assert_eq!(fenced, [claimed[7].guard.subject().clone()]);
        let (after, written) = rows(&house).await;
        assert_eq!(after, others, "no other row is written, and none added");
        let is_new = |(key, version): &(&String, &String)| beats[*key] != **version;
        assert_eq!(written.len(), LEASES);
        assert_eq!(written.iter().filter(is_new).count(), LEASES - 1);
        beats = written;
    }
    assert_eq!(house.event_count().await, events);
}

/// Of two hundred and fifty-six one goes to another between the read and the commit of them all.
#[tokio::test]
async fn who_is_replaced_while_the_commit_is_made_drops_out_and_the_rest_is_sent_again() {
    let store = Hooked::new();
    let house = Arc::new(House::over_exclusive(Arc::clone(&store) as Arc<dyn RecordStore>).await);
    let claimed = claimed(&house, 20).await;
    let leases = Records::<Lease>::new(house.tenant.space());
    let lease = house.lease(&claimed[3]).await;
    store.before_commit(async move {
        leases.replace(&lease, &another(&lease)).await.unwrap();
    });
    let (renewed, fenced) = beat_all(&house, &claimed).await;
    assert_eq!((renewed, fenced), (19, vec![claimed[3].guard.subject().clone()]));
}

/// `lease.batch_max`
#[tokio::test]
async fn so_many_heartbeats_share_a_commit_as_is_set() {
    let store = Arc::new(Counted::new(Memory::new(Timestamp::UNIX_EPOCH)));
    let house = House::over_exclusive(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    let claimed = claimed(&house, 20).await;
    for (batch_max, commits) in [(1, 20), (7, 3), (256, 1)] {
        let lease = LeaseOptions {
            batch_max,
            ..LeaseOptions::default()
        };
        let options = EngineOptions {
            lease,
            ..EngineOptions::default()
        };
        let engine = house.neighbour_by(&house.clock, options).await;
        let runs = engine.tenant(&tenant_id()).await.unwrap().runs;
        let before = store.counts().of(Operation::Commit);
        let beats = join_all(claimed.iter().map(|claimed| runs.heartbeat(claimed, None))).await;
        assert!(beats.iter().all(Result::is_ok), "{beats:?}");
        assert_eq!(
            store.counts().of(Operation::Commit) - before,
            commits,
            "{batch_max}"
        );
    }
}

/// A run that beats twice at once is in a commit once, and both are answered.
#[tokio::test]
async fn two_heartbeats_of_a_run_are_both_answered() {
    let house = House::in_memory().await;
    let claimed = claimed(&house, 1).await.remove(0);
    let runs = &house.tenant.runs;
    let (one, two) = tokio::join!(runs.heartbeat(&claimed, None), runs.heartbeat(&claimed, None));
    assert_eq!(one.unwrap().expires_at, two.unwrap().expires_at);
}

/// ST-41: the hour, in which the hearts of the runs beat by themselves; all that are due share two commits.
#[tokio::test(start_paused = true)]
async fn an_hour_of_three_hundred_hearts_is_two_commits_a_beat() {
    let store = Arc::new(Counted::new(Memory::new(Timestamp::UNIX_EPOCH)));
    let house = House::over_exclusive(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    let claimed = claimed(&house, LEASES).await;
    let subjects: Vec<Subject> = claimed
        .iter()
        .map(|claimed| claimed.guard.subject().clone())
        .collect();
    let mut working = JoinSet::new();
    let all_done = Arc::new(tokio::sync::Notify::new());
    for claimed in claimed {
        let (runs, all_done) = (house.tenant.runs.clone(), Arc::clone(&all_done));
        let work = async move |_: StepContext| {
            all_done.notified().await;
            Ok::<(), Failure>(())
        };
        working.spawn(async move { runs.drive(claimed, work).await });
    }
    hour(&house, 0).await;
    let leases = Records::<Lease>::new(house.tenant.space());
    let lease = leases.get(&subjects[7]).await.unwrap().unwrap();
    leases.replace(&lease, &another(&lease)).await.unwrap();
    let end = {
        let passing = hour(&house, 20);
        let fenced = working.join_next();
        let ((), end) = tokio::join!(passing, fenced);
        end.unwrap().unwrap()
    };
    assert_eq!(end, RunEnd::Unrecorded, "it was replaced");
    let (others, _) = rows(&house).await;
    let (events, commits) = (house.event_count().await, store.counts().of(Operation::Commit));
    hour(&house, 3600).await;
    assert_eq!(store.counts().of(Operation::Commit) - commits, 2 * 3600 / 20);
    assert_eq!(house.event_count().await, events);
    assert_eq!(rows(&house).await.0, others);
    all_done.notify_waiters();
    let mut done = 0;
    while let Some(end) = working.join_next().await {
        let RunEnd::Recorded(finished) = end.unwrap() else {
            panic!("its lease lives")
        };
        assert!(matches!(finished.task.unwrap().state, TaskState::Done { .. }));
        done += 1;
    }
    assert_eq!(done, LEASES - 1);
}

/// So much time passes, on both clocks; a second at least, so that what was begun is under way.
async fn hour(house: &House, seconds: u64) {
    tokio::time::sleep(Duration::from_millis(1)).await;
    for _ in 0..seconds {
        tokio::time::sleep(Duration::from_secs(1)).await;
        house.clock.advance(1);
    }
}
