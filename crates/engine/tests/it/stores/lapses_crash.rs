//! Runs of a process that is killed, in a store that it had alone: they lapse at its next opening.

#![allow(clippy::print_stdout, reason = "a child tells its parent")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use dormouse_engine::Clock;
use dormouse_engine::command::{CommandSpec, Effects};
use dormouse_engine::outcome::Outcome;
use dormouse_engine::run::{OutcomeKind, RunState};
use dormouse_engine::task::{NewTask, Task, TaskFilter, TaskState};

use super::at_step::AtStep;
use super::house::House;
use super::place::Place;
use super::recovery::here;

/// What makes [`a_holder`] one: its store.
const CHILD: &str = "DORMOUSE_TEST_LAPSES_CHILD";

/// Not a test: the process of the test below. It holds three runs, and does nothing more.
#[tokio::test]
#[ignore = "the process that the crash test starts and kills"]
async fn a_holder() {
    let Ok(told) = std::env::var(CHILD) else {
        return;
    };
    let house = House::told(&told, "any").await;
    let [claimed, opaque, safe] = tasks(&house).await;
    let _claimed = house.claim(&claimed).await;
    let opaque = house.claim(&opaque).await;
    let process = here(opaque.run.id);
    house.tenant.runs.started(&opaque, Some(&process)).await.unwrap();
    let _safe = AtStep::behind(&house, house.claim(&safe).await).await;
    println!("\nHELD");
    std::future::pending::<()>().await;
}

/// The tasks in the order they were made.
async fn tasks(house: &House) -> [Task; 3] {
    let page = house
        .tenant
        .tasks
        .list(&TaskFilter::default(), None, 10)
        .await
        .unwrap();
    let mut tasks: Vec<Task> = page.rows.into_iter().map(|task| task.into_inner()).collect();
    tasks.sort_by_key(|task| task.number);
    tasks.try_into().unwrap()
}

fn held(place: &Place) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "stores::lapses_crash::a_holder",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env(CHILD, place.told())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let is_held = lines.map(Result::unwrap).any(|line| line == "HELD");
    assert!(is_held, "it ended before it held anything");
    child
}

/// ST-42
#[tokio::test]
async fn what_a_killed_process_held_lapses_at_the_next_opening_of_a_store_of_ones_own() {
    for place in [Place::sled(), Place::local()] {
        let house = House::at(place).await;
        let alice = house.agent("alice").await;
        for (title, effects) in [
            ("claimed", Effects::Opaque),
            ("opaque", Effects::Opaque),
            ("safe", Effects::Repeatable),
        ] {
            let command = CommandSpec {
                effects: Some(effects),
                ..CommandSpec::new(vec!["true".to_owned()])
            };
            let new = NewTask {
                command: Some(command),
                ..NewTask::new(alice.clone(), title)
            };
            house.task(new).await;
        }
        let place = house.closed().await;
        let mut child = held(&place);
        child.kill().unwrap();
        child.wait().unwrap();

        // No time passes: its leases would live for a minute and a half.
        let house = House::at(place).await;
        let recovery = house.recover().await;
        assert_eq!(recovery.ended.len(), 3, "{recovery:?}");
        assert!(recovery.left.is_empty(), "{recovery:?}");
        let now = house.clock.now();
        for ended in &recovery.ended {
            let row = house.tenant.runs.get(ended.finished.run.id).await.unwrap();
            assert_eq!((row.run.state, row.run.ended_at), (RunState::Ended, Some(now)));
            assert!(matches!(row.outcome.unwrap().outcome, Outcome::Lost { .. }));
        }
        let outcome = OutcomeKind::Lost;
        let states = tasks(&house).await.map(|task| task.state);
        assert_eq!(
            states,
            [TaskState::Ready, TaskState::Failed { outcome }, TaskState::Ready]
        );
    }
}
