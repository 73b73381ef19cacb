//! A process that makes tasks and serves them is killed at each of its commits: the next one does what is left, once.

use std::future::pending;
use std::sync::Arc;

use dormouse_engine::outcome::Outcome;
use dormouse_engine::run::RunFilter;
use dormouse_engine::task::{NewTask, TaskFilter, TaskState};
use dormouse_engine::wake::WakeOptions;
use dormouse_filesystem::RecordStore;

use super::cut::{self, Cut, say};
use super::house::{House, name, operator};
use super::place::Place;
use super::wakes::{agent_of, until, wake};
use super::wakes_vanish::Inline;

/// What makes [`a_process`] one: its store, and at which commit it stops.
const CHILD: &str = "DORMOUSE_TEST_WAKES_CHILD";
/// Tasks that it makes.
const TASKS: usize = 2;
/// A lane that was picked by a process that is gone is free by then; in seconds.
const PICK_OVER: i64 = 31;

/// Does nothing but as the process of the test below.
#[tokio::test]
async fn a_process() {
    let Ok(told) = std::env::var(CHILD) else {
        return;
    };
    let (nth, place) = told.split_once('|').unwrap();
    let store = Cut::over(Place::open_told(place).await);
    let house = House::over_shared(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    // Those of its opening are none of them.
    store.before(nth.parse().unwrap());
    let (engine, tenant) = (house.engine.clone(), house.tenant.clone());
    tokio::spawn(async move {
        engine
            .serve_wakes(Arc::new(Inline), WakeOptions::default(), pending())
            .await;
    });
    for nth in 0..TASKS {
        let new = NewTask::new(name("alice"), format!("the {nth}th"));
        tenant.tasks.create(&operator(), new).await.unwrap();
    }
    until("all is done", async || {
        wake(&house, &name("alice")).await.is_none()
    })
    .await;
    say("done");
    pending::<()>().await;
}

/// WK-23, of the end of a run: its row and its event. WK-52, with lost hints in `who_vanishes_at_any_commit_of_a_pass_leaves_nothing_undone_for_a_minute`.
#[tokio::test]
async fn after_a_kill_at_any_commit_each_task_is_done_once_by_the_next_process() {
    for make in Place::lasting() {
        // Ends with a child that comes to its end before it is to stop.
        for nth in 0.. {
            let Some(place) = make() else { break };
            let house = House::at(place).await;
            agent_of(&house, "alice", 1).await;
            let place = house.closed().await;
            let told = format!("{nth}|{}", place.told());
            let said = cut::killed("stores::wakes_crash::a_process", CHILD, &told);
            let house = House::at(place).await;
            ends_are_told(&house, nth).await;
            house.clock.advance(PICK_OVER);
            house.recover().await;
            serves_to_the_end(&house, nth).await;
            if said == "done" {
                assert!(nth > 6, "only {nth} commits were met");
                break;
            }
        }
    }
}

/// Of each run its outcome and its event are there, or neither is.
async fn ends_are_told(house: &House, nth: usize) {
    let runs = house.tenant.runs.list(&RunFilter::All, None, 10).await.unwrap();
    let events = house.events().await;
    for row in runs.rows {
        let subject = format!("run:{}", row.run.id);
        let told = events
            .iter()
            .filter(|event| event.kind == "run.ended" && event.subject == subject);
        let ended = usize::from(row.outcome.is_some());
        assert_eq!(told.count(), ended, "commit {nth}: {row:?}");
    }
}

async fn serves_to_the_end(house: &House, nth: usize) {
    let engine = house.engine.clone();
    let served = tokio::spawn(async move {
        engine
            .serve_wakes(Arc::new(Inline), WakeOptions::default(), pending())
            .await;
    });
    until("nobody is to be woken", async || {
        wake(house, &name("alice")).await.is_none()
    })
    .await;
    served.abort();
    let tasks = house
        .tenant
        .tasks
        .list(&TaskFilter::default(), None, 10)
        .await
        .unwrap();
    for task in tasks.rows {
        assert!(
            matches!(task.state, TaskState::Done { .. }),
            "commit {nth}: {task:?}"
        );
        let runs = house
            .tenant
            .runs
            .list(&RunFilter::Task(task.id), None, 10)
            .await
            .unwrap();
        let ends: Vec<Outcome> = runs
            .rows
            .iter()
            .map(|row| row.outcome.as_ref().unwrap().outcome.clone())
            .collect();
        // One that the killed process had claimed is lost, and done again: nothing had begun of it.
        let [done, lost @ ..] = &ends[..] else {
            panic!("commit {nth}: it was never run")
        };
        assert!(done.is_success(), "commit {nth}: {ends:?}");
        assert!(
            lost.iter().all(|end| matches!(end, Outcome::Lost { .. })),
            "commit {nth}: {ends:?}"
        );
    }
}
