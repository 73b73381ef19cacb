//! The bounds of an update, and its delays.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::Lane;

/// Most commits of one update.
pub const ATTEMPTS_MAX: u32 = 32;
/// Longest time of one update, over all its attempts. Longer than a commit's deadline, shorter than a heartbeat.
pub const DEADLINE: Duration = Duration::from_secs(15);
/// The delay after the first attempt, without jitter. It doubles with each attempt.
pub const DELAY_MIN: Duration = Duration::from_millis(2);
/// The longest delay, without jitter; with jitter it is up to twice as long.
pub const DELAY_MAX: Duration = Duration::from_millis(50);

/// How updates are retried: whose they are, and a generator for the jitter between their attempts.
///
/// The bounds are fixed: [`ATTEMPTS_MAX`], [`DEADLINE`], [`DELAY_MIN`], [`DELAY_MAX`]. The jitter comes from the
/// seed and never from a clock, so that tasks that conflict at the same instant do not meet again. One `Retry` may
/// serve many updates at once.
pub struct Retry {
    jitter: Mutex<StdRng>,
    lane: Lane,
}

impl Retry {
    /// Updates of the system's lane. In tests the seed repeats a run; in production it is the machine's.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self::in_lane(Lane::System, seed)
    }

    /// Updates of this lane.
    #[must_use]
    pub fn in_lane(lane: Lane, seed: u64) -> Self {
        Self {
            jitter: Mutex::new(StdRng::seed_from_u64(seed)),
            lane,
        }
    }

    pub(crate) fn lane(&self) -> &Lane {
        &self.lane
    }

    /// How long to wait after this attempt, counted from 1: doubling, and as much again at random.
    pub(crate) fn delay(&self, attempt: u32) -> Duration {
        let doubled = DELAY_MIN.saturating_mul(1 << (attempt - 1).min(16));
        let delay = doubled.min(DELAY_MAX);
        let mut jitter = self.jitter.lock().unwrap_or_else(PoisonError::into_inner);
        delay + jitter.random_range(Duration::ZERO..=delay)
    }
}

impl fmt::Debug for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Retry({:?})", self.lane)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(retry: &Retry) -> Vec<Duration> {
        (1..ATTEMPTS_MAX).map(|attempt| retry.delay(attempt)).collect()
    }

    #[test]
    fn one_seed_gives_one_sequence_of_delays_within_bounds() {
        let first = delays(&Retry::seeded(1));
        assert_eq!(first, delays(&Retry::seeded(1)));
        assert_ne!(first, delays(&Retry::seeded(2)));
        let bounds = [2, 4, 8, 16, 32, 50, 50].map(Duration::from_millis);
        for (delay, bound) in first
            .iter()
            .zip(bounds.iter().chain(std::iter::repeat(&DELAY_MAX)))
        {
            assert!((*bound..=*bound * 2).contains(delay), "{delay:?} for {bound:?}");
        }
    }

    #[test]
    fn two_tasks_of_one_generator_wait_differently() {
        let retry = Retry::seeded(1);
        assert_ne!(delays(&retry), delays(&retry));
    }
}
