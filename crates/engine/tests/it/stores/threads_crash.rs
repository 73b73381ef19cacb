//! Threads of a process that is killed: on sled and on a server.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use dormouse_engine::ThreadId;
use dormouse_engine::thread::{Append, Arrival, NewMessage, WhenBusy};
use dormouse_secrets::Scrubber;

use super::house::{House, operator};
use super::place::Place;
use super::threads::{claim, post, row, status, thread};

/// What the child is told: its store and its seat.
const CHILD: &str = "DORMOUSE_TEST_THREADS_CHILD";

/// What the house of the tests is on, where the store can be shared.
const SEAT: &str = "under the oak";

mod sled {
    /// ST-53, with `a_busy_thread_takes_no_key_and_the_same_is_taken_later` of the keys.
    #[tokio::test]
    async fn a_killed_run_leaves_its_thread_free() {
        super::a_killed_run_leaves_its_thread_free(crate::stores::place::Place::sled()).await;
    }
}

mod postgres {
    /// ST-53
    #[tokio::test]
    async fn a_killed_run_leaves_its_thread_free() {
        if let Some(place) = crate::stores::place::Place::postgres() {
            super::a_killed_run_leaves_its_thread_free(place).await;
        }
    }
}

/// Does nothing but as a child of the tests here: it is at a thread, and says so.
#[tokio::test]
#[allow(clippy::print_stdout, reason = "it is how a child speaks")]
async fn a_child_of_the_tests_here() {
    let Ok(place) = std::env::var(CHILD) else { return };
    let house = House::told(&place, SEAT).await;
    let thread = thread(&house).await;
    let first = post(&house, thread.id, "one").await;
    let second = post(&house, thread.id, "two").await;
    let claimed = claim(&house, first.task.unwrap()).await;
    let mut writer = house.tenant.threads.writer(&claimed).unwrap();
    writer.write(Scrubber::empty().scrub("half")).await.unwrap();
    println!("\nsaid {} {}", thread.id, second.sequence);
    std::io::stdout().flush().unwrap();
    std::future::pending::<()>().await;
}

async fn a_killed_run_leaves_its_thread_free(place: Place) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "stores::threads_crash::a_child_of_the_tests_here",
            "--nocapture",
        ])
        .env(CHILD, place.told())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("said ").map(str::to_owned));
    child.kill().unwrap();
    child.wait().unwrap();
    let said = said.expect("the child says what it did");
    let (id, second) = said.split_once(' ').unwrap();
    let (id, second): (ThreadId, u64) = (id.parse().unwrap(), second.parse().unwrap());

    let house = House::at(place).await;
    assert!(row(&house, id).await.active_run.is_some(), "as it was left");
    let recovery = house.recover().await;
    assert_eq!(recovery.ended.len(), 1);
    let free = row(&house, id).await;
    assert_eq!((free.active_run, free.queued), (None, 1), "free at the lapse");
    let threads = &house.tenant.threads;
    let draft = threads.messages(id, second, 10).await.unwrap().rows;
    assert_eq!(draft[0].status.word(), "interrupted");
    // Who is refused by a busy thread is not refused by this one.
    let refuse = Append {
        arrival: Arrival::Submit(WhenBusy::Refuse),
        ..Append::submit(NewMessage::user("three"))
    };
    let third = threads.append(&operator(), id, &refuse).await.unwrap();
    assert_eq!(third.status.word(), "queued");
    // The turn goes on, and the next after it.
    let turn = free.turn.unwrap();
    let claimed = claim(&house, turn).await;
    house
        .tenant
        .runs
        .finish(&claimed, &super::house::success(), &super::house::facts())
        .await
        .unwrap();
    let at = dormouse_engine::thread::MessageAt {
        thread: id,
        sequence: second,
    };
    assert_eq!(threads.message(at).await.unwrap().status.word(), "submitted");
    assert_eq!(status(&house, third).await.word(), "queued");
}
