//! What the rounds measured, by name.

use std::collections::BTreeMap;

use crate::load::Load;
use crate::series::Series;

/// Values of the rounds, in their order, by name.
#[derive(Debug, Default)]
pub(crate) struct Samples(BTreeMap<String, Series>);

impl Samples {
    pub(crate) fn push(&mut self, name: impl Into<String>, value: f64) {
        self.0.entry(name.into()).or_default().push(value);
    }

    /// Commits a second, and the milliseconds within which 99 and 50 of a hundred were acknowledged.
    pub(crate) fn push_load(&mut self, name: &str, load: &Load) {
        self.push(name, load.rate());
        self.push(format!("{name} p99"), load.within(0.99));
        self.push(format!("{name} p50"), load.within(0.5));
    }

    /// The values of this name; none where nothing was measured.
    pub(crate) fn of(&self, name: &str) -> Series {
        self.0.get(name).cloned().unwrap_or_default()
    }
}
