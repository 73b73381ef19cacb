//! A run's way to say that it met a block: what is detected through the run's own endpoint fills its slot.

use super::Asking;
use crate::block::Met;
use crate::detect::{Detection, Rules, Visit, detect};

impl Asking {
    /// Judges a visit of the run's worker. The first that is a block fills the run's slot, and the run ends as blocked.
    #[must_use]
    pub fn detect(&self, visit: &Visit<'_>, rules: &Rules) -> Detection {
        let parts = self.parts();
        let detection = detect(visit, rules, parts.scrubber());
        if let Some(block) = &detection.block {
            parts.block.fill(Met::found(block));
        }
        detection
    }
}
