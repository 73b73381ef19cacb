//! A process that adds timed wakes and serves what is due is killed at each of its commits: the next one makes the tasks that
//! are missing, once.

use std::future::pending;
use std::sync::Arc;

use dormouse_filesystem::RecordStore;

use super::cut::{self, Cut, say};
use super::house::{House, name};
use super::place::Place;
use super::wakes_timed::{add, tasks};

/// What makes [`a_process`] one: its store, and at which commit it stops.
const CHILD: &str = "DORMOUSE_TEST_TIMED_WAKES_CHILD";
/// How many it adds.
const WAKES: usize = 3;

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
    for _ in 0..WAKES {
        add(&house, &name("alice"), 0).await;
    }
    house.engine.serve_due_once().await.unwrap();
    say("done");
    pending::<()>().await;
}

#[tokio::test]
async fn after_a_kill_at_any_commit_each_timed_wake_is_one_task() {
    for make in Place::lasting() {
        // Ends with a child that comes to its end before it is to stop.
        for nth in 0.. {
            let Some(place) = make() else { break };
            let house = House::at(place).await;
            house.agent("alice").await;
            let place = house.closed().await;
            let told = format!("{nth}|{}", place.told());
            let said = cut::killed("stores::wakes_timed_crash::a_process", CHILD, &told);
            let house = House::at(place).await;
            house.recover().await;
            house.engine.serve_due_once().await.unwrap();
            let page = house.tenant.wakes.list(None, None, 10).await.unwrap();
            assert!(page.rows.is_empty(), "commit {nth}: {:?}", page.rows);
            let told = house.event_types().await;
            let of = |kind: &str| told.iter().filter(|told| *told == kind).count();
            let made = tasks(&house).await.len();
            // Each that was added is one task, and none is that was not.
            assert_eq!((made, of("wake.fired")), (of("wake.added"), made), "commit {nth}");
            assert_eq!(made, WAKES.min(nth), "commit {nth}");
            if said == "done" {
                assert_eq!(
                    nth,
                    2 * WAKES,
                    "each is added by one commit, and made a task by one"
                );
                break;
            }
        }
    }
}
