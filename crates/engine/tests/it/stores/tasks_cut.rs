//! A process that does all that can be done with tasks, killed between any two of its commits: nothing is ready without a
//! wake row, nothing is running without a lease, and all of it comes to its end.

use std::sync::Arc;
use std::time::Duration;

use dormouse_engine::agent::AgentState;
use dormouse_engine::gate::{Caller, Gate, GateFilter, NewGate};
use dormouse_engine::lease::{Heartbeat, Lease};
use dormouse_engine::run::Claimed;
use dormouse_engine::task::{NewTask, OnFailed, Start, Steps, Task, TaskFilter, TaskState};
use dormouse_engine::wake::{Wake, WakeOptions};
use dormouse_engine::{AgentName, Subject};
use dormouse_filesystem::{RecordStore, Records};
use tokio::sync::watch;

use super::cut::{self, Cut, say};
use super::gates::{approve, call_of, open};
use super::house::{House, facts, failed, name, operator, success};
use super::place::Place;
use super::wakes::{Doer, Served, agent_of, are_done, tasks, until, wake};

/// What a child is told: its store, its agent, and before which of the commits it stands still.
const CHILD: &str = "DORMOUSE_TEST_TASKS_CUT_CHILD";
/// More commits than there are here.
const COMMITS_MAX: u64 = 120;
/// Longer than any lease and any delay of a task.
const LATER_SECONDS: i64 = 2 * 60 * 60;
/// More rounds of looking, claiming and ending than the tasks of one agent take.
const ROUNDS_MAX: usize = 20;

/// ST-27
#[tokio::test]
async fn no_kill_between_two_commits_loses_a_task_in_sled() {
    killed_everywhere(Place::sled()).await;
}

/// ST-27
#[tokio::test]
async fn no_kill_between_two_commits_loses_a_task_in_readable_files() {
    killed_everywhere(Place::local()).await;
}

/// ST-27
#[tokio::test]
async fn no_kill_between_two_commits_loses_a_task_on_a_server() {
    if let Some(place) = Place::postgres() {
        killed_everywhere(place).await;
    }
}

/// Does nothing but as a child of the tests here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_with_tasks() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let [place, agent, commits] = told.split('|').collect::<Vec<_>>()[..] else {
        panic!("{told}")
    };
    let store = Cut::over(Place::open_told(place).await);
    let house = House::over_shared(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    store.before(commits.parse().unwrap());
    lives(&house, &name(agent)).await;
    say("done");
    std::future::pending::<()>().await;
}

/// All that a task may come to.
async fn lives(house: &House, agent: &AgentName) {
    let (runs, tasks) = (&house.tenant.runs, &house.tenant.tasks);
    let by = operator();
    // Fails, waits for its time, is asked about, goes on, and is done; another waits for that.
    let first = house.task(NewTask::new(agent.clone(), "first")).await;
    let after = NewTask {
        after: vec![first.id],
        on_failed: OnFailed::Run,
        ..NewTask::new(agent.clone(), "behind it")
    };
    house.task(after).await;
    let claimed = at_work(house, &first).await;
    runs.finish(&claimed, &failed(false), &facts()).await.unwrap();
    house.clock.advance(60);
    tasks.due(&by, first.id).await.unwrap();
    let claimed = at_work(house, &first).await;
    let gate = asked(house, &claimed).await;
    runs.park(&claimed, gate.id, Duration::ZERO).await.unwrap();
    approve(house, &gate).await;
    let claimed = at_work(house, &first).await;
    let child = house
        .tenant
        .delegations
        .delegate(&by, claimed.run.id, NewTask::new(agent.clone(), "given away"))
        .await
        .unwrap();
    runs.finish(&claimed, &success(), &facts()).await.unwrap();
    house.engine.settle_once().await.unwrap();
    drop(child);
    // Approved, shelved, taken up again, failed for good, tried again.
    let second = house
        .task(NewTask {
            start: Start::PendingApproval,
            ..NewTask::new(agent.clone(), "second")
        })
        .await;
    tasks.approve(&by, second.id).await.unwrap();
    tasks.shelve(&by, second.id).await.unwrap();
    tasks.enqueue(&by, second.id).await.unwrap();
    let claimed = at_work(house, &second).await;
    runs.finish(&claimed, &failed(true), &facts()).await.unwrap();
    tasks.retry(&by, second.id, Steps::Kept).await.unwrap();
    // Given to another agent, and called off while it runs.
    let other = house.agent(&format!("{agent}-other")).await;
    tasks.assign(&by, second.id, &other).await.unwrap();
    let claimed = at_work(house, &second).await;
    tasks.cancel(&by, second.id, None).await.unwrap();
    let reason = claimed.stop.stopped().await;
    runs.finish(&claimed, &reason.outcome(), &facts()).await.unwrap();
    // Its agent is paused while something is ready.
    let agents = &house.tenant.agents;
    house.task(NewTask::new(other.clone(), "kept waiting")).await;
    agents.pause(&by, &other, None).await.unwrap();
    put_to_rest(house, &other).await;
    agents.resume(&by, &other).await.unwrap();
    served(house, agent).await;
}

/// The loop finds that an agent is paused, and puts its row to rest.
async fn put_to_rest(house: &House, agent: &AgentName) {
    let (_go, may_end) = watch::channel(true);
    let doer = Doer::new(may_end);
    let served = Served::by(&house.engine, &doer, WakeOptions::default());
    until("its row is at rest", async || {
        wake(house, agent)
            .await
            .is_some_and(|row| row.looked_at().is_none())
    })
    .await;
    served.end().await;
}

/// The loop claims what is ready, and takes the wake rows away.
async fn served(house: &House, agent: &AgentName) {
    let lane = agent_of(house, &format!("{agent}-lane"), 2).await;
    let made = tasks(house, &lane, 3).await;
    let (_go, may_end) = watch::channel(true);
    let doer = Doer::new(may_end);
    let served = Served::by(&house.engine, &doer, WakeOptions::default());
    until("all are done", async || are_done(house, &made).await).await;
    until("no row is left", async || wake(house, &lane).await.is_none()).await;
    served.end().await;
}

async fn at_work(house: &House, task: &Task) -> Claimed {
    let claimed = house.claim(task).await;
    house.tenant.runs.started(&claimed, None).await.unwrap();
    claimed
}

async fn asked(house: &House, claimed: &Claimed) -> Gate {
    let asks = NewGate {
        task: claimed.run.task,
        caller: Some(Caller {
            run: claimed.run.id,
            spawn: claimed.run.spawn,
        }),
        call_id: Some("1".to_owned()),
        ..NewGate::approval(claimed.run.agent.clone(), call_of("{}"), "run it")
    };
    open(house, &asks).await
}

async fn killed_everywhere(mut place: Place) {
    // Ends with the child that comes to its end.
    for commits in 0..COMMITS_MAX {
        let house = House::at(place).await;
        let agent = house.agent(&format!("agent-{commits}")).await;
        place = house.closed().await;
        let told = format!("{}|{agent}|{commits}", place.told());
        let said = cut::killed("stores::tasks_cut::a_child_with_tasks", CHILD, &told);
        let house = House::at(place).await;
        nothing_is_lost(&house, &said).await;
        house.recover().await;
        nothing_is_lost(&house, "recovered").await;
        comes_to_its_end(&house).await;
        place = house.closed().await;
        if said == "done" {
            assert!(commits > 25, "each step is a commit at least: {commits}");
            return;
        }
    }
    panic!("it was never done");
}

/// The words of the states in which a task has not ended.
const OPEN: [&str; 5] = ["pending_approval", "backlog", "ready", "running", "waiting"];

/// All tasks that have not ended.
async fn open_tasks(house: &House) -> Vec<Task> {
    let mut open = Vec::new();
    for state in OPEN {
        let filter = TaskFilter {
            state: Some(state.to_owned()),
            ..TaskFilter::default()
        };
        let page = house.tenant.tasks.list(&filter, None, 1000).await.unwrap();
        assert!(page.issues.is_empty() && page.next.is_none(), "{:?}", page.issues);
        open.extend(page.rows.into_iter().map(|task| task.into_inner()));
    }
    open
}

/// What is ready has a wake row of its agent, which is looked at unless that is paused; what runs has a lease and its
/// heartbeat.
async fn nothing_is_lost(house: &House, when: &str) {
    let (leases, heartbeats) = (
        Records::<Lease>::new(house.tenant.space()),
        Records::<Heartbeat>::new(house.tenant.space()),
    );
    for task in open_tasks(house).await {
        match task.state {
            TaskState::Ready => {
                let row = wake(house, &task.assignee).await;
                let row = row.unwrap_or_else(|| panic!("{when}: {} is ready without a wake row", task.title));
                // One at rest is found by nobody but whoever resumes its agent.
                let agent = house.tenant.agents.get(&task.assignee).await.unwrap();
                assert!(
                    row.looked_at().is_some() || agent.state == AgentState::Paused,
                    "{when}: {} is ready, its agent is {:?} and its wake row {:?}",
                    task.title,
                    agent.state,
                    row.state
                );
            }
            TaskState::Running => {
                let subject = Subject::Run(task.last_run.unwrap());
                let is_held = leases.get(&subject).await.unwrap().is_some()
                    && heartbeats.get(&subject).await.unwrap().is_some();
                assert!(is_held, "{when}: {} is running without a lease", task.title);
            }
            _ => {}
        }
    }
}

/// What is due becomes ready, what is asked is answered, what is ready is found by its wake row, claimed and done: until
/// everything has ended.
async fn comes_to_its_end(house: &House) {
    let by = operator();
    for _ in 0..ROUNDS_MAX {
        house.clock.advance(LATER_SECONDS);
        // What a server was told before the kill it may do after it: that is held by a lease, which expires.
        house.recover().await;
        house.engine.serve_due_once().await.unwrap();
        house.engine.settle_once().await.unwrap();
        let pending = GateFilter {
            is_pending: true,
            ..GateFilter::default()
        };
        for gate in house.tenant.gates.list(&pending, None, 1000).await.unwrap().rows {
            approve(house, &gate).await;
        }
        for task in &open_tasks(house).await {
            match &task.state {
                TaskState::PendingApproval => drop(house.tenant.tasks.approve(&by, task.id).await.unwrap()),
                TaskState::Backlog => drop(house.tenant.tasks.enqueue(&by, task.id).await.unwrap()),
                _ => {}
            }
            // Killed while it was paused.
            let agents = &house.tenant.agents;
            drop(agents.resume(&by, &task.assignee).await.unwrap());
        }
        claims_all(house).await;
        if open_tasks(house).await.is_empty() {
            return;
        }
    }
    panic!("left: {:#?}", open_tasks(house).await);
}

/// Until nothing is ready, and no agent has anything to do.
async fn claims_all(house: &House) {
    let (_go, may_end) = watch::channel(true);
    let doer = Doer::new(may_end);
    let served = Served::by(&house.engine, &doer, WakeOptions::default());
    let rows = Records::<Wake>::new(house.tenant.space());
    until("every agent sleeps", async || {
        rows.range(&[], None, 1000).await.unwrap().rows.is_empty()
    })
    .await;
    served.end().await;
}
