//! Whoever serves wakes vanishes at any step, hints are lost, and rings come at any: each ready task is done, once.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use dormouse_engine::run::{ClaimOptions, RunFilter};
use dormouse_engine::task::{NewTask, Task, TaskFilter, TaskState};
use dormouse_engine::wake::{Starter, Wake, WakeOptions};
use dormouse_engine::{CommandError, Engine, RunId, TaskId, Tenant};
use dormouse_filesystem::wrapper::Between;
use dormouse_filesystem::{Listed, Memory, Page, ReadError, RecordStore, Records, between};
use jiff::Timestamp;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::hooked::Hooked;
use super::house::{House, facts, name, operator, success};
use super::wakes::{Doer, agent_of, are_done, tasks, until, wake};

/// Within this all is done, whatever was lost.
const SOON_ENOUGH: u64 = 60;

/// Does each task while it is begun: nothing of it goes on when whoever serves is gone.
#[derive(Debug)]
pub(super) struct Inline;

#[async_trait]
impl Starter for Inline {
    async fn start(&self, tenant: &Tenant, task: TaskId) -> Result<RunId, CommandError> {
        let claimed = tenant
            .runs
            .claim(&operator(), task, ClaimOptions::default())
            .await?;
        tenant.runs.started(&claimed, None).await?;
        tenant.runs.finish(&claimed, &success(), &facts()).await?;
        Ok(claimed.run.id)
    }

    fn at_work(&self) -> usize {
        0
    }

    async fn fewer_than(&self, _most: usize) {}
}

fn serves(engine: &Engine, starter: Arc<dyn Starter>) -> (JoinHandle<()>, oneshot::Sender<()>) {
    let (leave, told) = oneshot::channel::<()>();
    let engine = engine.clone();
    let served = tokio::spawn(async move {
        let told = async { drop(told.await) };
        engine.serve_wakes(starter, WakeOptions::default(), told).await;
    });
    (served, leave)
}

/// Lets all that is under way come to rest; time is paused.
async fn rest() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

async fn all_tasks(house: &House) -> Vec<Task> {
    let page = house
        .tenant
        .tasks
        .list(&TaskFilter::default(), None, 100)
        .await
        .unwrap();
    page.rows.into_iter().map(|task| task.into_inner()).collect()
}

fn is_done(task: &Task) -> bool {
    matches!(task.state, TaskState::Done { .. })
}

/// Each task that is ready has the row by which its agent is found.
async fn each_ready_task_has_its_row(house: &House, at: &str) {
    for task in all_tasks(house).await {
        if task.state == TaskState::Ready {
            let row = Records::<Wake>::new(house.tenant.space())
                .get(&task.assignee)
                .await;
            let is_found = row.unwrap().is_some_and(|row| row.looked_at().is_some());
            assert!(is_found, "{at}: {} has no row that is looked at", task.id);
        }
    }
}

/// A part of case 52 of the page: no process is killed here, it is only gone; and what it held, others had to see for themselves.
#[tokio::test(start_paused = true)]
async fn who_vanishes_at_any_commit_of_a_pass_leaves_nothing_undone_for_a_minute() {
    let mut met = 0;
    // Ends with the pass that comes to its end.
    for nth in 0.. {
        let memory: Arc<dyn RecordStore> = Arc::new(Memory::new(Timestamp::UNIX_EPOCH));
        let (dies, deaf) = (Hooked::over(Arc::clone(&memory)), Hooked::over(memory));
        deaf.is_deaf.store(true, Ordering::SeqCst);
        let one = House::over_shared(Arc::clone(&dies) as Arc<dyn RecordStore>).await;
        let other = House::over_shared(deaf as Arc<dyn RecordStore>).await;
        let alice = agent_of(&one, "alice", 1).await;
        let (second, _leave_second) = serves(&other.engine, Arc::new(Inline));
        rest().await;

        let (at_it, told) = watch::channel(false);
        dies.before_nth_commit(nth, async move {
            at_it.send_replace(true);
            pending::<()>().await;
        });
        let (first, _leave_first) = serves(&one.engine, Arc::new(Inline));
        let making = {
            let (tenant, alice) = (one.tenant.clone(), alice.clone());
            tokio::spawn(async move {
                for nth in 0..2 {
                    let new = NewTask::new(alice.clone(), format!("the {nth}th"));
                    tenant.tasks.create(&operator(), new).await.unwrap();
                }
            })
        };
        let mut told = told;
        let vanishes = async {
            let _ = told.wait_for(|is_at_it| *is_at_it).await;
        };
        let is_met = tokio::time::timeout(Duration::from_secs(1), vanishes)
            .await
            .is_ok();
        making.abort();
        first.abort();
        let _ = (making.await, first.await);
        if !is_met {
            assert!(all_tasks(&other).await.iter().all(is_done));
            second.abort();
            break;
        }
        met += 1;
        each_ready_task_has_its_row(&other, &format!("the {nth}th commit")).await;
        // What was claimed and not ended is for its lease: that is another story.
        let held = all_tasks(&other)
            .await
            .into_iter()
            .find(|task| task.state == TaskState::Running);
        for _ in 0..SOON_ENOUGH {
            one.clock.advance(1);
            other.clock.advance(1);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        for task in all_tasks(&other).await {
            let runs = RunFilter::Task(task.id);
            let runs = other.tenant.runs.list(&runs, None, 10).await.unwrap();
            assert!(runs.rows.len() <= 1, "the {nth}th commit: it is done twice");
            let is_held = held
                .as_ref()
                .is_some_and(|held| held.id == task.id || held.assignee == task.assignee);
            assert!(is_held || is_done(&task), "the {nth}th commit: {task:?}");
        }
        second.abort();
    }
    assert!(met > 6, "only {met} commits were met");
}

/// WK-51: a ring at any step of a pass.
#[tokio::test(start_paused = true)]
async fn a_ring_at_any_commit_or_read_of_a_pass_is_not_lost() {
    for is_read in [false, true] {
        let mut met = 0;
        // Ends with a pass that comes to its end before that step.
        for nth in 0..200 {
            let store = Hooked::new();
            let house = House::over_shared(Arc::clone(&store) as Arc<dyn RecordStore>).await;
            let alice = agent_of(&house, "alice", 1).await;
            tasks(&house, &alice, 1).await;
            let tenant = house.tenant.clone();
            let rings = async move {
                let new = NewTask::new(name("alice"), "rung meanwhile");
                tenant.tasks.create(&operator(), new).await.unwrap();
            };
            let kinds = ["wake", "agent", "task"];
            match is_read {
                false => store.before_nth_commit(nth, rings),
                true if nth < kinds.len() => store.after_read(kinds[nth], rings),
                true => break,
            }
            let (served, leave) = serves(&house.engine, Arc::new(Inline));
            tokio::time::sleep(Duration::from_secs(1)).await;
            each_ready_task_has_its_row(&house, &format!("step {nth}")).await;
            let is_met = store.was_met();
            leave.send(()).unwrap();
            served.await.unwrap();
            if !is_met {
                break;
            }
            met += 1;
            let all = all_tasks(&house).await;
            assert_eq!(all.len(), 2);
            assert!(all.iter().all(is_done), "step {nth}: {all:?}");
            assert_eq!(wake(&house, &alice).await, None, "step {nth}");
        }
        // Rows that are read together are read at one step.
        let least = if is_read { 1 } else { 3 };
        assert!(met >= least, "only {met} steps were met");
    }
}

/// Memory that counts how often a lane's tasks are looked for.
#[derive(Debug)]
struct Counting {
    inner: Memory,
    looks: AtomicUsize,
}

impl Counting {
    fn note(&self, page: &Page) {
        let prefix = page.prefix.to_string();
        if prefix.contains("/task/") && prefix.contains("ready") {
            self.looks.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl std::fmt::Display for Counting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl Between for Counting {
    fn beneath(&self) -> &dyn RecordStore {
        &self.inner
    }

    async fn list_many(&self, pages: &[Page]) -> Result<Vec<Listed>, ReadError> {
        pages.iter().for_each(|page| self.note(page));
        self.inner.list_many(pages).await
    }

    async fn list(&self, page: &Page) -> Result<Listed, ReadError> {
        self.note(page);
        self.inner.list(page).await
    }
}

between!(Counting);

/// A task that is done after so many rings, a tenth of a millisecond apart. Says how often its lane was looked at from the
/// first of them on.
async fn looks_after(rings: u64) -> usize {
    let store = Arc::new(Counting {
        inner: Memory::new(Timestamp::UNIX_EPOCH),
        looks: AtomicUsize::new(0),
    });
    let house = House::over_exclusive(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    let alice = agent_of(&house, "alice", 1).await;
    let (go, may_end) = watch::channel(false);
    let doer = Doer::new(may_end);
    let (served, leave) = serves(&house.engine, Arc::clone(&doer) as Arc<dyn Starter>);
    let made = tasks(&house, &alice, 1).await;
    until("it is begun", async || doer.begun().len() == 1).await;
    rest().await;
    let before = wake(&house, &alice).await.unwrap().rings;
    store.looks.store(0, Ordering::SeqCst);
    for _ in 0..rings {
        let woken = house
            .engine
            .wake(&house.tenant, &operator(), &alice)
            .await
            .unwrap();
        assert!(woken.coalesced);
        tokio::time::sleep(Duration::from_micros(100)).await;
    }
    assert_eq!(
        wake(&house, &alice).await.unwrap().rings,
        before + rings,
        "in one row"
    );
    rest().await;
    assert_eq!(
        store.looks.load(Ordering::SeqCst),
        0,
        "she has no place, so nothing is looked for"
    );
    go.send_replace(true);
    until("it is done", async || are_done(&house, &made).await).await;
    until("her row is gone", async || wake(&house, &alice).await.is_none()).await;
    leave.send(()).unwrap();
    served.await.unwrap();
    store.looks.load(Ordering::SeqCst)
}

/// WK-51: ten thousand rings.
#[tokio::test(start_paused = true)]
async fn ten_thousand_rings_within_a_pass_are_one_row_and_one_pass_more_at_most() {
    let without = looks_after(0).await;
    let with = looks_after(10_000).await;
    assert!(
        (1..=without + 1).contains(&with),
        "{with} looks, {without} without a ring"
    );
}
