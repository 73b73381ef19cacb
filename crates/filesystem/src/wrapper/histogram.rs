//! A histogram of durations in powers of two: cheap to count into, good enough to see where time goes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How many buckets: up to 1 µs, 2 µs, 4 µs, … and the last for all over 2²⁵ µs (34 s).
pub const HISTOGRAM_BUCKETS: usize = 27;

/// How many durations fell into each bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Histogram {
    /// `buckets[n]` counts those over `2ⁿ⁻¹` µs and up to `2ⁿ` µs.
    pub buckets: [u64; HISTOGRAM_BUCKETS],
    /// All together, in microseconds.
    pub sum_us: u64,
}

impl Histogram {
    /// How many durations were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The upper bound of a bucket; none for the last, which has none.
    #[must_use]
    pub fn bound(bucket: usize) -> Option<Duration> {
        (bucket + 1 < HISTOGRAM_BUCKETS).then(|| Duration::from_micros(1 << bucket))
    }
}

/// As it is counted into, by many at once.
#[derive(Debug, Default)]
pub(super) struct Counting {
    buckets: [AtomicU64; HISTOGRAM_BUCKETS],
    sum_us: AtomicU64,
}

impl Counting {
    pub(super) fn add(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket_of(micros)].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(micros, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Histogram {
        Histogram {
            buckets: std::array::from_fn(|n| self.buckets[n].load(Ordering::Relaxed)),
            sum_us: self.sum_us.load(Ordering::Relaxed),
        }
    }
}

fn bucket_of(micros: u64) -> usize {
    let bits = u64::BITS - micros.saturating_sub(1).leading_zeros();
    usize::try_from(bits)
        .expect("at most 64")
        .min(HISTOGRAM_BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_bucket_whose_bound_it_does_not_pass() {
        for (micros, bucket) in [
            (0, 0),
            (1, 0),
            (2, 1),
            (3, 2),
            (4, 2),
            (5, 3),
            (1 << 25, 25),
            (u64::MAX, 26),
        ] {
            assert_eq!(bucket_of(micros), bucket, "{micros}");
            let took = Duration::from_micros(micros);
            assert!(Histogram::bound(bucket).is_none_or(|bound| took <= bound));
        }
        let counting = Counting::default();
        counting.add(Duration::from_micros(3));
        counting.add(Duration::from_millis(1));
        let read = counting.read();
        assert_eq!(
            (read.count(), read.sum_us, read.buckets[2], read.buckets[10]),
            (2, 1003, 1, 1)
        );
    }
}
