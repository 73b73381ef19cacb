//! Repeated measurements of one thing.

use std::fmt;

/// The values of the rounds, in their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series(Vec<f64>);

impl Series {
    /// The value of one more round.
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// Of how many rounds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was measured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Round by round against another: a disk that is slow for a while is slow for both.
    #[must_use]
    pub fn per(&self, other: &Self) -> Self {
        Self(
            self.0
                .iter()
                .zip(&other.0)
                .map(|(own, other)| own / other)
                .collect(),
        )
    }

    /// Each value so many times.
    #[must_use]
    pub fn times(&self, factor: f64) -> Self {
        Self(self.0.iter().map(|value| value * factor).collect())
    }

    /// The middle value; not a number when there is none.
    #[must_use]
    pub fn median(&self) -> f64 {
        let sorted = self.sorted();
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// Half of the way from the least to the greatest, as a share of the median.
    #[must_use]
    pub fn spread(&self) -> f64 {
        let sorted = self.sorted();
        match (sorted.first(), sorted.last()) {
            (Some(least), Some(most)) if least == most => 0.0,
            (Some(least), Some(most)) => (most - least) / 2.0 / self.median(),
            _ => f64::NAN,
        }
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ±{:.0}%", short(self.median()), self.spread() * 100.0)
    }
}

/// Three digits that matter, or thousands.
pub(super) fn short(value: f64) -> String {
    match value {
        v if !v.is_finite() => "–".to_owned(),
        v if v >= 10_000.0 => format!("{:.1}k", v / 1000.0),
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 1.0 => format!("{v:.2}"),
        v => format!("{v:.3}"),
    }
}
