//! Several redaction sets that are sought together, as if one had all their values.

use std::sync::Arc;

use super::set::{Found, Pattern, Set};

/// The sets of one scrubber; a clone points to the same ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Sets(Arc<[Arc<Set>]>);

impl From<Set> for Sets {
    fn from(set: Set) -> Self {
        Self(Arc::new([Arc::new(set)]))
    }
}

impl Sets {
    /// All sets of these.
    pub(super) fn all<'a>(sets: impl Iterator<Item = &'a Sets>) -> Sets {
        Sets(sets.flat_map(|sets| sets.0.iter().cloned()).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As of one set ([`Set::find`]): markers are counted through, and nothing is over before it is for each set.
    pub(super) fn find(
        &self,
        text: &[u8],
        from: usize,
        is_ended: bool,
        mut found: impl FnMut(Found),
    ) -> usize {
        let mut open = text.len();
        let mut before = 0;
        for set in &*self.0 {
            let end = set.find(text, from, is_ended, |mut hit| {
                if let Pattern::Form(marker, _) = &mut hit.pattern {
                    *marker += before;
                }
                found(hit);
            });
            open = open.min(end);
            before += set.markers();
        }
        open
    }

    /// The marker of this index.
    pub(super) fn marker(&self, index: usize) -> &str {
        let mut left = index;
        for set in &*self.0 {
            if left < set.markers() {
                return set.marker(left);
            }
            left -= set.markers();
        }
        unreachable!("an index is of a marker that was found")
    }
}
