//! Each cause wakes a dormant agent: what it makes ready is claimed within a second, by loops that would look by themselves
//! much later. Time is paused, so that a second is one of the loops' own.

use std::sync::Arc;
use std::time::Duration;

use dormouse_engine::agent::AgentConfig;
use dormouse_engine::gate::Gate;
use dormouse_engine::run::Claimed;
use dormouse_engine::task::{NewTask, OnFailed, Start, Steps, Task};
use dormouse_engine::thread::NewThread;
use dormouse_engine::wake::{Starter as _, WakeOptions};
use dormouse_engine::{Clock as _, TaskId};
use dormouse_filesystem::{Memory, RecordStore};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::gates::{Asker, approve, open};
use super::house::{House, facts, failed, name, operator};
use super::threads::post;
use super::wakes::{Doer, Served, are_done, tasks, until, wake};
use super::wakes_timed::add;

/// A claim comes at most this long after its cause.
const SOON: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// A house in which wakes, deadlines and settlements are served, and what was there before they were.
struct Bed {
    house: House,
    /// A run of bob's, who may give alice tasks.
    bob: Claimed,
    /// What a run of alice's waits for that is parked.
    gate: Gate,
    parked: TaskId,
    /// One of alice's that failed, and is to be tried again.
    failed: TaskId,
    doer: Arc<Doer>,
    _go: watch::Sender<bool>,
    served: Served,
    others: Vec<JoinHandle<()>>,
}

impl Bed {
    async fn new() -> Self {
        let store = Arc::new(Memory::new(Timestamp::UNIX_EPOCH));
        let house = House::over_exclusive(store as Arc<dyn RecordStore>).await;
        let asker = Asker::new(&house).await;
        let runs = &house.tenant.runs;
        runs.started(&asker.claimed, None).await.unwrap();
        let gate = open(&house, &asker.approval("1", "{}")).await;
        runs.park(&asker.claimed, gate.id, Duration::ZERO).await.unwrap();
        let again = house.task(of_alice("fails once")).await;
        let claimed = house.claim(&again).await;
        runs.finish(&claimed, &failed(false), &facts()).await.unwrap();
        let bob = bob_at_work(&house).await;
        let (go, may_end) = watch::channel(true);
        let doer = Doer::new(may_end);
        let served = Served::by(&house.engine, &doer, WakeOptions::default());
        let (due, settling) = (house.engine.clone(), house.engine.clone());
        let others = vec![
            tokio::spawn(async move { due.serve_due(std::future::pending()).await }),
            tokio::spawn(async move { settling.serve_settlements(std::future::pending()).await }),
        ];
        let bed = Self {
            house,
            bob,
            gate,
            parked: asker.claimed.task.id,
            failed: again.id,
            doer,
            _go: go,
            served,
            others,
        };
        bed.rests().await;
        bed
    }

    fn times_begun(&self, task: TaskId) -> usize {
        self.doer.begun().iter().filter(|begun| **begun == task).count()
    }

    /// Lets all come to rest: she is dormant, and nobody is about to look by himself.
    async fn rests(&self) {
        until("nothing is to be done", async || {
            wake(&self.house, &name("alice")).await.is_none() && self.doer.at_work() == 0
        })
        .await;
        sleep(Duration::from_secs(7)).await;
    }

    /// Both clocks go on, a second at a time.
    async fn passes(&self, seconds: i64) {
        for _ in 0..seconds {
            self.house.clock.advance(1);
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// It is claimed soon after what was just done; then all comes to rest.
    async fn claims(&self, task: TaskId, what: &str) {
        let caused = Instant::now();
        let claimed = async {
            while self.times_begun(task) == 0 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(timeout(HOUR, claimed).await.is_ok(), "never claimed: {what}");
        let took = caused.elapsed();
        assert!(took <= SOON, "{what}: claimed after {took:?}");
        self.rests().await;
    }

    async fn end(self) {
        self.served.end().await;
        for other in self.others {
            other.abort();
        }
        self.house.engine.close().await;
    }
}

fn of_alice(title: &str) -> NewTask {
    NewTask::new(name("alice"), title)
}

async fn aside(house: &House, start: Start) -> Task {
    let new = NewTask {
        start,
        ..of_alice("aside")
    };
    house.task(new).await
}

async fn bob_at_work(house: &House) -> Claimed {
    let config = AgentConfig {
        delegates_to: vec![name("alice")],
        ..AgentConfig::default()
    };
    let agents = &house.tenant.agents;
    agents.create(&operator(), &name("bob"), config).await.unwrap();
    let task = house.task(NewTask::new(name("bob"), "parent")).await;
    house.claim(&task).await
}

#[tokio::test(start_paused = true)]
async fn what_somebody_does_has_its_agent_woken_within_a_second() {
    let bed = Bed::new().await;
    let (house, by) = (&bed.house, operator());
    let all = &house.tenant.tasks;

    let task = house.task(of_alice("created")).await;
    bed.claims(task.id, "a task is created").await;
    let task = aside(house, Start::PendingApproval).await;
    all.approve(&by, task.id).await.unwrap();
    bed.claims(task.id, "a task is approved").await;
    let task = aside(house, Start::Backlog).await;
    all.enqueue(&by, task.id).await.unwrap();
    bed.claims(task.id, "a task is enqueued").await;
    let task = aside(house, Start::Backlog).await;
    all.cancel(&by, task.id, None).await.unwrap();
    all.retry(&by, task.id, Steps::Kept).await.unwrap();
    bed.claims(task.id, "a task is retried").await;

    let carol = house.agent("carol").await;
    house.tenant.agents.pause(&by, &carol, None).await.unwrap();
    let task = house.task(NewTask::new(carol, "of carol")).await;
    bed.rests().await;
    all.assign(&by, task.id, &name("alice")).await.unwrap();
    bed.claims(task.id, "a task is reassigned").await;

    let first = aside(house, Start::Backlog).await;
    let behind = NewTask {
        after: vec![first.id],
        on_failed: OnFailed::Run,
        ..of_alice("behind")
    };
    let behind = house.task(behind).await;
    bed.rests().await;
    all.cancel(&by, first.id, None).await.unwrap();
    bed.claims(behind.id, "what it depends on is settled").await;

    let delegations = &house.tenant.delegations;
    let given = delegations.delegate(&by, bed.bob.run.id, of_alice("given")).await;
    bed.claims(given.unwrap().task.id, "a task is given away").await;

    let threads = &house.tenant.threads;
    let thread = threads.create(&by, &NewThread::new(name("alice"))).await.unwrap();
    bed.rests().await;
    let turn = post(house, thread.id, "count the sheep").await;
    bed.claims(turn.task.unwrap(), "a message is sent").await;

    approve(house, &bed.gate).await;
    bed.claims(bed.parked, "a gate is decided").await;

    let agents = &house.tenant.agents;
    agents.pause(&by, &name("alice"), None).await.unwrap();
    let three = tasks(house, &name("alice"), 3).await;
    sleep(HOUR).await;
    assert!(three.iter().all(|task| bed.times_begun(task.id) == 0));
    agents.resume(&by, &name("alice")).await.unwrap();
    bed.claims(three[0].id, "she is resumed").await;
    assert!(
        are_done(house, &three).await,
        "of one ring all that is ready is done"
    );
    bed.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_becomes_due_has_its_agent_woken_within_a_second() {
    let bed = Bed::new().await;
    let house = &bed.house;
    let failed = house.tenant.tasks.get(bed.failed).await.unwrap();
    let left = failed.due_at().unwrap().duration_since(house.clock.now());
    bed.passes(left.as_secs()).await;
    assert_eq!(bed.times_begun(bed.failed), 0);
    bed.passes(1).await;
    bed.claims(bed.failed, "a retry is due").await;

    let later = NewTask {
        not_before: Some(house.clock.now() + SignedDuration::from_secs(600)),
        ..of_alice("later")
    };
    let later = house.task(later).await;
    bed.passes(599).await;
    assert_eq!(bed.times_begun(later.id), 0);
    bed.passes(1).await;
    bed.claims(later.id, "a wait is due").await;

    add(house, &name("alice"), 600).await;
    bed.passes(599).await;
    let before = bed.doer.begun().len();
    bed.passes(1).await;
    sleep(SOON).await;
    assert_eq!(bed.doer.begun().len(), before + 1, "a timed wake is due");
    bed.end().await;
}
