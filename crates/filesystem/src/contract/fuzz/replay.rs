//! A fuzz target without a fuzzer: over the inputs that are kept, and over changed ones.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::Target;

/// Longest changed input, in bytes.
const INPUT_MAX: usize = 4096;

/// Runs a target over every input that is kept in a folder and over as many changed ones, which this seed draws.
///
/// # Panics
/// When there is no input, and when the target finds something: with the input in hexadecimal digits, and the seed.
pub fn replay(name: &str, target: Target, corpus: &Path, changed: usize, seed: u64) {
    let kept = kept(corpus);
    assert!(!kept.is_empty(), "{name} has no inputs in {}", corpus.display());
    for (at, input) in kept.iter().enumerate() {
        feed(target, input, &format!("{name}, kept input {at}"));
    }
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..changed {
        let mut input = kept[random.random_range(0..kept.len())].clone();
        for _ in 0..random.random_range(1..8) {
            change(&mut input, &kept, &mut random);
        }
        feed(target, &input, &format!("{name}, seed {seed}"));
    }
}

/// The inputs that are kept, in the order of their names.
fn kept(corpus: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(corpus).expect("the inputs are there");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a folder can be read").path())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).expect("an input can be read"))
        .collect()
}

fn feed(target: Target, input: &[u8], which: &str) {
    let fed = catch_unwind(AssertUnwindSafe(|| target(input)));
    assert!(fed.is_ok(), "{which}: {}", data_encoding::HEXLOWER.encode(input));
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
