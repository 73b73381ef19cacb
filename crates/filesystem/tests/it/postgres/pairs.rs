//! Two processes on one store: they raise one record, and append to one log that a third reads.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::{
    Change, Deadline, Entry, Key, Position, Postgres, RecordKind, RecordStore, RecordStoreExt, Retry, Stream,
    UpdateError, cas_update,
};
use futures::future::join_all;
use rand::TryRng;
use tokio::process::Command;
use tokio::task::{JoinSet, yield_now};

use super::place::{NOW, Place, is_here, run, url};

const KIND: RecordKind = RecordKind::of("test");
/// What a child is told: schema, what to do, its number, seed.
const CHILD: &str = "DORMOUSE_TEST_POSTGRES_PAIR";
const PROCESSES: u64 = 2;
/// In each process: sixteen in all.
const TASKS: u64 = 8;
const INCREMENTS: usize = 100;
const ENTRIES: u64 = 40;
/// How often a machine that is busy with something else may keep an update from every one of its attempts.
const LOADED_MAX: usize = 3;

fn key(name: &str) -> Key {
    Key::parse(name).unwrap()
}

fn log() -> Stream {
    Stream::new(key("log"))
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// FS-12, between two processes.
#[test]
fn two_processes_lose_no_increment() {
    if !is_here() {
        return;
    }
    run(async {
        let place = Place::default();
        let store = place.open(NOW).await;
        for round in 0..LOADED_MAX {
            let counter = format!("counter-{round}");
            let errors: u64 = both(&place, &counter).await.iter().map(|told| number(told)).sum();
            let entry = store.get(&key(&counter)).await.unwrap().unwrap();
            assert_eq!(entry.value, "1600");
            if errors == 0 {
                return;
            }
        }
        panic!("in each of {LOADED_MAX} rounds an update lost all of its attempts");
    });
}

/// FS-19, between two processes and a reader in a third.
#[test]
fn a_reader_sees_the_entries_of_two_processes_once_and_in_order() {
    if !is_here() {
        return;
    }
    run(async {
        let place = Place::default();
        let store = place.open(NOW).await;
        let all = usize::try_from(PROCESSES * TASKS * ENTRIES).unwrap();
        let reading = async {
            let mut seen: Vec<(Position, String)> = Vec::new();
            while seen.len() < all {
                let after = seen.last().map_or(Position::START, |(position, _)| *position);
                for entry in store.tail(&log(), after, 7).await.unwrap() {
                    assert_eq!(
                        entry.position,
                        seen.last().map_or(Position::START, |(p, _)| *p).next()
                    );
                    seen.push((entry.position, String::from_utf8(entry.entry.to_vec()).unwrap()));
                }
                yield_now().await;
            }
            seen
        };
        let (seen, told) = futures::join!(reading, both(&place, "entries"));
        assert_eq!(told.len(), 2);
        for appender in
            (0..PROCESSES).flat_map(|process| (0..TASKS).map(move |task| format!("{process}.{task}:")))
        {
            let own = seen.iter().filter_map(|(_, entry)| entry.strip_prefix(&appender));
            let sent: Vec<String> = (0..ENTRIES).map(|n| n.to_string()).collect();
            assert!(own.eq(&sent), "{appender} each once, in the order it was sent");
        }
        assert_eq!(
            store.head(&log()).await.unwrap().next.get(),
            all as u64 + 1,
            "none behind it"
        );
    });
}

/// What two children say that do the same.
async fn both(place: &Place, what: &str) -> Vec<String> {
    join_all((0..PROCESSES).map(|process| child(place, what, process))).await
}

async fn child(place: &Place, what: &str, process: u64) -> String {
    let seed = rand::rngs::SysRng.try_next_u64().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "postgres::pairs::a_child_of_the_tests_before",
            "--nocapture",
        ])
        .env(CHILD, format!("{} {what} {process} {seed}", place.schema))
        .stderr(Stdio::inherit())
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "a child ended with {}", output.status);
    let text = String::from_utf8(output.stdout).unwrap();
    let told = text.lines().find_map(|line| line.strip_prefix("told "));
    told.expect("it comes to its end").to_owned()
}

fn number(text: &str) -> u64 {
    text.parse().unwrap()
}

/// Does nothing but as a child of the tests before.
#[test]
fn a_child_of_the_tests_before() {
    let Ok(told) = std::env::var(CHILD) else {
        return;
    };
    let told: Vec<String> = told.split(' ').map(str::to_owned).collect();
    run(async move {
        // The schema is the parent's to remove.
        let place = std::mem::ManuallyDrop::new(Place {
            schema: told[0].clone(),
        });
        let store = Arc::new(Postgres::open(&url(), place.options(NOW)).await.unwrap());
        let mut tasks = JoinSet::new();
        for task in 0..TASKS {
            let store = Arc::clone(&store);
            let (what, process, seed) = (
                told[1].clone(),
                told[2].clone(),
                number(&told[3]).wrapping_add(task),
            );
            tasks.spawn(async move {
                match what.as_str() {
                    "entries" => append(&store, &format!("{process}.{task}")).await,
                    counter => increment(&store, &key(counter), seed).await,
                }
            });
        }
        let errors: u64 = tasks.join_all().await.into_iter().sum();
        println!("\ntold {errors}");
        store.close(soon()).await.unwrap();
    });
}

async fn append(store: &Postgres, appender: &str) -> u64 {
    for n in 0..ENTRIES {
        store
            .append(log(), format!("{appender}:{n}"), soon())
            .await
            .unwrap();
    }
    0
}

/// How often none of its attempts won, so that it was asked again.
async fn increment(store: &Postgres, counter: &Key, seed: u64) -> u64 {
    let retry = Retry::seeded(seed);
    let mut errors = 0;
    for _ in 0..INCREMENTS {
        while let Err(error) = cas_update(store, counter, &retry, one_more).await {
            assert!(matches!(error, UpdateError::Contended { .. }), "{error}");
            errors += 1;
        }
    }
    errors
}

fn one_more(entry: Option<&Entry>) -> Result<(Change, ()), std::convert::Infallible> {
    let count = entry.map_or(0, |entry| number(std::str::from_utf8(&entry.value).unwrap()));
    Ok((Change::put(KIND, (count + 1).to_string()), ()))
}
