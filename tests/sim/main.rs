//! The engine under simulation: everything that can go wrong goes wrong, by a seed, in a world whose time is made up.
//!
//! Two tenants, three processes over one store whose answers are refused, lost and late; submitters, workers that crash, stall
//! and lie, an operator, clocks that differ. Then everybody is honest until nothing is left to do, and an auditor looks at what
//! is there: the slots and the spending of limited accounts too. One thread and paused time: the same seed is the same history, `DORMOUSE_SIM_SEED` replays exactly one.
//!
//! `DORMOUSE_SIM_ROUNDS` (4) says how many seeds follow from the first. `cargo xtask sim --seed S --rounds N` sets both.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests are tests"
)]

mod actor;
mod audit;
mod exact;
mod ledger;
mod operator;
mod process;
mod spender;
mod store;
mod worker;
mod world;

use dormouse_filesystem::Digest;
use dormouse_tests::seed;

/// How many seeds are tried, when nothing is said: without optimisation each takes seconds. `cargo xtask sim` tries 1,000.
const ROUNDS: u64 = 4;

/// One history: what became of this seed. The digest is of every byte that is stored in the end.
fn history(seed: u64) -> Result<Digest, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(world::live(seed))
}

#[test]
fn whatever_happens_every_task_ends_once_and_nothing_is_lost() {
    let given = std::env::var_os("DORMOUSE_SIM_SEED").is_some();
    let first = seed::from_environment("DORMOUSE_SIM_SEED");
    let rounds = std::env::var("DORMOUSE_SIM_ROUNDS").map_or(ROUNDS, |text| text.parse().unwrap());
    // A seed that is given alone is that one history.
    let rounds = if given && std::env::var_os("DORMOUSE_SIM_ROUNDS").is_none() {
        1
    } else {
        rounds
    };
    println!("DORMOUSE_SIM_SEED={first} DORMOUSE_SIM_ROUNDS={rounds}");
    for round in 0..rounds {
        let seed = first.wrapping_add(round);
        if let Err(wrong) = history(seed) {
            panic!("seed {seed}: {wrong}\nreplay: cargo xtask sim --seed {seed}");
        }
    }
}

#[test]
fn the_same_seed_is_the_same_history() {
    let seed = seed::from_environment("DORMOUSE_SIM_SEED");
    println!("DORMOUSE_SIM_SEED={seed}");
    let first = history(seed);
    for again in 1..=2 {
        assert_eq!(first, history(seed), "lived through {again} times more");
    }
    assert_ne!(history(seed), history(seed.wrapping_add(1)));
}
