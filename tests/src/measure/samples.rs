//! What the rounds measured, by name.

use std::collections::BTreeMap;

use super::Series;

/// Values of the rounds, in their order, by name.
#[derive(Debug, Default)]
pub struct Samples(BTreeMap<String, Series>);

impl Samples {
    /// The value of one more round.
    pub fn push(&mut self, name: impl Into<String>, value: f64) {
        self.0.entry(name.into()).or_default().push(value);
    }

    /// The values of this name; none where nothing was measured.
    #[must_use]
    pub fn of(&self, name: &str) -> Series {
        self.0.get(name).cloned().unwrap_or_default()
    }
}
