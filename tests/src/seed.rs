//! Seeds, which every random test prints.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// The seed of this environment variable, or one from the operating system.
///
/// # Panics
/// When the variable is set and no number.
#[must_use]
pub fn from_environment(name: &str) -> u64 {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")),
        Err(_) => fresh(),
    }
}

fn fresh() -> u64 {
    let mut system = rand::rngs::SysRng;
    let mut bytes = [0; 8];
    rand::TryRng::try_fill_bytes(&mut system, &mut bytes).expect("the system has random bytes");
    u64::from_le_bytes(bytes)
}

/// A generator of its own for a numbered part of a test, so that the parts do not depend on each other's order.
#[must_use]
pub fn part(seed: u64, number: u64) -> StdRng {
    let mut mixed = StdRng::seed_from_u64(seed);
    StdRng::seed_from_u64(mixed.next_u64() ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}
