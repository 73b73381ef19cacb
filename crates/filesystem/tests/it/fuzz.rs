//! The fuzz targets, over the inputs that are kept and over some thousand changed ones. `cargo xtask fuzz` finds more.

#![allow(clippy::print_stdout, reason = "seeds and inputs are said")]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;

use dormouse_filesystem::contract::fuzz::{TARGETS, Target};
use rand::rngs::{StdRng, SysRng};
use rand::{RngExt, SeedableRng, TryRng};

/// How many changed inputs.
const CHANGED: usize = 3000;
/// Longest changed input.
const INPUT_MAX: usize = 4096;

fn corpus(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target)
}

/// The inputs that are kept, in the order of their names.
fn kept(target: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(corpus(target))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

fn feed(target: Target, input: &[u8], which: &str) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(input))) {
        println!("{which}: {}", data_encoding::HEXLOWER.encode(input));
        resume_unwind(panic);
    }
}

fn check(name: &str) {
    let (_, target) = TARGETS.iter().find(|(target, _)| *target == name).unwrap();
    let kept = kept(name);
    assert!(!kept.is_empty(), "{name} has no inputs");
    for (at, input) in kept.iter().enumerate() {
        feed(*target, input, &format!("kept input {at}"));
    }
    let seed = SysRng.try_next_u64().unwrap();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..CHANGED {
        let mut input = kept[random.random_range(0..kept.len())].clone();
        for _ in 0..random.random_range(1..8) {
            change(&mut input, &kept, &mut random);
        }
        feed(*target, &input, &format!("seed {seed}"));
    }
}

/// One small change, or a piece of another input.
fn change(input: &mut Vec<u8>, kept: &[Vec<u8>], random: &mut StdRng) {
    let at = random.random_range(0..=input.len());
    match random.random_range(0..6) {
        0 if at < input.len() => input[at] ^= 1 << random.random_range(0..8),
        1 if at < input.len() => input[at] = random.random(),
        2 => input.insert(at, random.random()),
        3 => input.truncate(at),
        4 => {
            let end = random.random_range(at..=input.len());
            input.drain(at..end);
        }
        _ => {
            let other = &kept[random.random_range(0..kept.len())];
            let from = random.random_range(0..=other.len());
            let end = random.random_range(from..=other.len());
            input.splice(at..at, other[from..end].iter().copied());
        }
    }
    input.truncate(INPUT_MAX);
}

macro_rules! targets {
    ($($(#[$attribute:meta])* $name:ident)+) => {
        $(
            $(#[$attribute])*
            #[test]
            fn $name() {
                check(stringify!($name));
            }
        )+

        #[test]
        fn every_target_is_run_here() {
            let here = [$($(#[$attribute])* stringify!($name)),+];
            let all: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(here.as_slice(), all);
        }
    };
}

targets! {
    #[cfg(any(feature = "sled", feature = "local"))]
    checkpoints
    exports
    #[cfg(any(feature = "sled", feature = "local"))]
    frames
    keys
    #[cfg(feature = "local")]
    log_parts
    operations
    paths
    #[cfg(feature = "local")]
    record_files
    rows
    #[cfg(any(feature = "sled", feature = "local"))]
    segments
}
