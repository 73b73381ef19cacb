//! A process that is killed as soon as it was told that something is done: it is there.

#![allow(
    clippy::print_stdout,
    reason = "a child tells its parent, and a random test says its seed"
)]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use dormouse_engine::run::RunState;
use dormouse_engine::task::{NewTask, TaskFilter};
use dormouse_engine::{RunId, TaskId};
use rand::rngs::{StdRng, SysRng};
use rand::{RngExt, SeedableRng, TryRng};

use super::cut::{KilledInTheEnd, say};
use super::house::{House, facts, name, operator, success};
use super::place::Place;

/// What the child is told: its store.
const CHILD: &str = "DORMOUSE_TEST_ROWS_CHILD";
/// How often a child is killed in one store.
const KILLS: usize = 8;
/// A child is killed when it said so much at most.
const SAID_MAX: usize = 40;

/// Does nothing but as a child of the tests here: it says what was done, each as soon as it is told so.
#[tokio::test]
async fn a_child_that_says_what_is_done() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let house = House::told(&told, "under the oak").await;
    // Ends when it is killed.
    for nth in 0_u64.. {
        let task = house
            .task(NewTask::new(name("alice"), format!("the {nth}th")))
            .await;
        say(&format!("made {}", task.id));
        let claimed = house.claim(&task).await;
        say(&format!("claimed {}", claimed.run.id));
        let runs = &house.tenant.runs;
        runs.started(&claimed, None).await.unwrap();
        say(&format!("started {}", claimed.run.id));
        runs.finish(&claimed, &success(), &facts()).await.unwrap();
        say(&format!("ended {}", claimed.run.id));
        let other = house.task(NewTask::new(name("alice"), "not for long")).await;
        house.tenant.tasks.delete(&operator(), other.id).await.unwrap();
        say(&format!("deleted {}", other.id));
    }
}

/// What a child said until it was killed.
fn killed(place: &Place, after: usize) -> Vec<(String, String)> {
    let child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "stores::rows_crash::a_child_that_says_what_is_done",
            "--nocapture",
        ])
        .env(CHILD, place.told())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = KilledInTheEnd(child.unwrap());
    let lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let mut said = lines.map_while(Result::ok).filter_map(|line| {
        let (word, id) = line.strip_prefix("said ")?.split_once(' ')?;
        Some((word.to_owned(), id.to_owned()))
    });
    let mut told: Vec<_> = said.by_ref().take(after).collect();
    child.kill();
    // What was in the pipe when it died was said too.
    told.extend(said);
    assert!(told.len() >= after, "it was there until it was killed: {told:?}");
    told
}

async fn what_was_awaited_is_there_after_a_kill(place: Place) {
    let seed = SysRng.try_next_u64().unwrap();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let house = House::at(place).await;
    house.agent("alice").await;
    let mut place = house.closed().await;
    let mut said = Vec::new();
    for _ in 0..KILLS {
        said.extend(killed(&place, random.random_range(1..SAID_MAX)));
        let house = House::at(place).await;
        all_is_there(&house, &said).await;
        place = house.closed().await;
    }
}

/// All of it is there, by its id and by its indexes.
async fn all_is_there(house: &House, said: &[(String, String)]) {
    let (runs, tasks) = (&house.tenant.runs, &house.tenant.tasks);
    let listed = listed(house).await;
    for (word, id) in said {
        if let "made" | "deleted" = word.as_str() {
            let (id, is_wanted): (TaskId, bool) = (id.parse().unwrap(), word == "made");
            assert_eq!(tasks.get(id).await.is_ok(), is_wanted, "{word} {id}");
            assert_eq!(listed.contains(&id), is_wanted, "{word} {id}, by its index");
            continue;
        }
        let run: RunId = id.parse().unwrap();
        let row = runs.get(run).await.unwrap();
        match word.as_str() {
            "claimed" => {}
            "started" => assert_ne!(row.run.state, RunState::Starting, "{run}"),
            "ended" => assert!(row.outcome.is_some() && row.run.state == RunState::Ended, "{run}"),
            other => panic!("{other}"),
        }
    }
    assert_eq!(house.engine.check_records(false).await.unwrap().bad, []);
}

async fn listed(house: &House) -> Vec<TaskId> {
    let (mut listed, mut after) = (Vec::new(), None);
    // Ends with the last page.
    loop {
        let tasks = &house.tenant.tasks;
        let page = tasks.list(&TaskFilter::default(), after, 1000).await.unwrap();
        assert_eq!(page.issues, []);
        listed.extend(page.rows.iter().map(|task| task.id));
        after = page.next;
        if after.is_none() {
            return listed;
        }
    }
}

/// ST-1
#[tokio::test]
async fn what_was_awaited_is_there_after_a_kill_in_sled() {
    what_was_awaited_is_there_after_a_kill(Place::sled()).await;
}

/// ST-1
#[tokio::test]
async fn what_was_awaited_is_there_after_a_kill_in_readable_files() {
    what_was_awaited_is_there_after_a_kill(Place::local()).await;
}

/// ST-1
#[tokio::test]
async fn what_was_awaited_is_there_after_a_kill_on_a_server() {
    if let Some(place) = Place::postgres() {
        what_was_awaited_is_there_after_a_kill(place).await;
    }
}
