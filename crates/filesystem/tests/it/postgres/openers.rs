//! Several processes that open one store at once, and one that is killed while it does.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::{Namespace, Opener, Page, Prefix, RecordStore, Requirements, System};
use jiff::ToSpan;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng, TryRng};

use super::place::{Database, NOW, Place, is_here, run};

/// What a child is told: url, schema, seed, how often it opens.
const CHILD: &str = "DORMOUSE_TEST_POSTGRES_OPENER";
const OPENINGS: u64 = 25;
const KILLS: u64 = 12;

/// FS-27
#[test]
fn openers_in_two_processes_and_killed_ones_refuse_no_good_store_and_leave_nothing() {
    if !is_here() {
        return;
    }
    let seed = rand::rngs::SysRng.try_next_u64().unwrap();
    eprintln!("seed {seed}");
    run(async {
        let mut random = StdRng::seed_from_u64(seed);
        let (database, place) = (Database::make().await, Place::default());
        let store: Arc<dyn RecordStore> = Arc::new(open(&database.url(), &place).await);
        let mut good = [1, 2].map(|n| child(&database, &place, seed.wrapping_add(n << 32), OPENINGS));
        for n in 0..KILLS {
            let mut killed = child(&database, &place, seed.wrapping_add((3 + n) << 32), u64::MAX);
            // Not to wait for something: any moment is a good one to be killed at.
            tokio::time::sleep(Duration::from_millis(random.random_range(50..400))).await;
            killed.kill().unwrap();
            killed.wait().unwrap();
        }
        for child in &mut good {
            assert!(child.wait().unwrap().success(), "a good store was refused");
        }
        opened(&store, Opener::at(NOW, seed)).await;
        eprintln!("{} left by the killed", left(&*store).await);
        opened(&store, Opener::at(NOW + 61.minutes(), seed)).await;
        assert_eq!(left(&*store).await, 0);
    });
}

/// How many keys there are of handshakes; their log, which others may be using, keeps no entry.
async fn left(store: &dyn RecordStore) -> usize {
    for (log, head) in store.heads(&Prefix::root(), None, 10).await.unwrap() {
        assert_eq!(head.bytes, 0, "{log}");
    }
    store.list(&Page::of(Prefix::root())).await.unwrap().items.len()
}

async fn opened(store: &Arc<dyn RecordStore>, opener: Opener) {
    let opened = Namespace::<System>::open(Arc::clone(store), &Requirements::volatile(), opener).await;
    opened.expect("the store is good");
}

async fn open(url: &str, place: &Place) -> dormouse_filesystem::Postgres {
    dormouse_filesystem::Postgres::open(url, place.options(NOW))
        .await
        .unwrap()
}

fn child(database: &Database, place: &Place, seed: u64, times: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "postgres::openers::a_child_of_the_test_before",
            "--nocapture",
        ])
        .env(
            CHILD,
            format!("{} {} {seed} {times}", database.url(), place.schema),
        )
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_child_of_the_test_before() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let [url, schema, seed, times] = told.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{told}")
    };
    let (seed, times): (u64, u64) = (seed.parse().unwrap(), times.parse().unwrap());
    // Its schema is the parent's.
    let place = std::mem::ManuallyDrop::new(Place {
        schema: schema.to_owned(),
    });
    run(async {
        let store: Arc<dyn RecordStore> = Arc::new(open(url, &place).await);
        for n in 0..times {
            opened(&store, Opener::at(NOW, seed.wrapping_add(n))).await;
        }
    });
}
