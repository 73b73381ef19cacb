//! A child commits and acknowledges, the parent kills it at a random moment, reopens, and looks.
//!
//! `DORMOUSE_CRASH_ROUNDS` (200) and `DORMOUSE_CRASH_SEED` (random, printed) say how often and from where.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests are tests"
)]

mod at_once;
mod child;
mod ledger;
mod regressions;
mod verify;

use std::time::Duration;

use dormouse_tests::seed;
use dormouse_tests::store::Backend;
use rand::RngExt;

use child::Child;
use ledger::Ledger;
use verify::End;

/// A child is killed so long after it is ready.
const ALIVE_MAX: Duration = Duration::from_millis(60);
/// One in so many is killed sooner: while it opens and recovers.
const EARLY_EVERY: u32 = 6;
/// One in so many is reopened by the next child and not by the parent: crash upon crash.
const UNSEEN_EVERY: u32 = 3;

/// FS-4, since each batch has puts, a delete and an append, and is found whole or not at all. FS-60: the cleaner works throughout, since every batch replaces what the one before wrote; the log stays in its bounds.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_outlives_kill_9() {
    outlives_kill_9(Backend::Sled).await;
}

/// FS-4, as above. FS-61: the kills come while files are written behind the log, and anywhere else.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_outlives_kill_9_as_files_too() {
    outlives_kill_9(Backend::Local).await;
}

async fn outlives_kill_9(backend: Backend) {
    let rounds = rounds();
    let seed = seed::from_environment("DORMOUSE_CRASH_SEED");
    println!("DORMOUSE_CRASH_SEED={seed} DORMOUSE_CRASH_ROUNDS={rounds}");
    let mut folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("store");
    // What a failure leaves is evidence.
    folder.disable_cleanup(true);
    println!("the store is at {}", path.display());
    let mut ledger = Ledger::default();
    for round in 1..=rounds {
        let mut random = seed::part(seed, round);
        let is_early = random.random_ratio(1, EARLY_EVERY);
        let alive = random.random_range(Duration::ZERO..ALIVE_MAX);
        let child = Child::start(backend, &path, seed);
        let reports = if is_early {
            child.kill_after(alive / 3)
        } else {
            child.wait_ready();
            child.kill_after(alive)
        };
        ledger.take(&reports);
        if round == rounds || !random.random_ratio(1, UNSEEN_EVERY) {
            verify::check(backend, &path, seed, &mut ledger, End::of(round)).await;
        }
    }
    folder.disable_cleanup(false);
    println!("{rounds} rounds, {}", ledger.summary());
    assert!(
        ledger.acknowledged() >= rounds,
        "too little was written to prove anything"
    );
}

fn rounds() -> u64 {
    std::env::var("DORMOUSE_CRASH_ROUNDS").map_or(200, |text| text.parse().expect("rounds are a number"))
}
