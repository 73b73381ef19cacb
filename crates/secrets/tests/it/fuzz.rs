//! The fuzz targets, over the inputs that are kept and over some hundred changed ones. `cargo xtask fuzz` finds more.

#![allow(clippy::print_stdout, reason = "seeds and inputs are said")]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;

use dormouse_secrets::fuzz::{TARGETS, Target};
use rand::rngs::{StdRng, SysRng};
use rand::{RngExt, SeedableRng, TryRng};

/// How many changed inputs.
const CHANGED: usize = 300;

/// The inputs that are kept, in the order of their names.
fn kept(target: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
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

fn changed(kept: &[Vec<u8>], random: &mut StdRng) -> Vec<u8> {
    let any = |random: &mut StdRng| kept[random.random_range(0..kept.len())].clone();
    let mut input = any(random);
    for _ in 0..random.random_range(1..6) {
        let at = random.random_range(0..=input.len());
        match random.random_range(0..4) {
            0 => input.truncate(at),
            1 => input.insert(at, random.random()),
            2 => {
                let other = any(random);
                let from = random.random_range(0..=other.len());
                input.splice(at..at, other[from..].iter().copied());
            }
            _ => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << random.random_range(0..8);
                }
            }
        }
    }
    input.truncate(4096);
    input
}

#[test]
fn no_kept_input_and_no_changed_one_finds_anything() {
    let seed = SysRng.try_next_u64().unwrap();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for (name, target) in TARGETS {
        let kept = kept(name);
        assert!(!kept.is_empty(), "{name} has no inputs");
        for (at, input) in kept.iter().enumerate() {
            feed(target, input, &format!("{name}, kept input {at}"));
        }
        for _ in 0..CHANGED {
            feed(
                target,
                &changed(&kept, &mut random),
                &format!("{name}, seed {seed}"),
            );
        }
    }
}
