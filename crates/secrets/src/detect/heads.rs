//! The filter in front of the literals: does one have these three bytes for its first?
//!
//! Most places of a text are passed over at the cost of one look into a table; the automaton is asked at the others.

use super::rules::LITERAL_BYTES_MIN;

/// The bytes that are looked at, of each place.
const HEAD: usize = LITERAL_BYTES_MIN;

/// Places that are looked at in one step of the loop.
const STEP: usize = 8;

/// Bits of the table's size: it stays in the nearest cache, and one place in a hundred of other text is asked about
/// in vain.
const BITS: u32 = 14;

/// The first bytes of all literals, by a hash.
pub(super) struct Heads(Box<[bool; 1 << BITS]>);

impl Heads {
    pub(super) fn new<'a>(literals: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut table = Box::new([false; 1 << BITS]);
        for literal in literals {
            table[slot(u32::from_le_bytes([literal[0], literal[1], literal[2], 0]))] = true;
        }
        Self(table)
    }

    /// The next place from `at` on where a literal may begin.
    pub(super) fn next(&self, text: &[u8], mut at: usize) -> Option<usize> {
        // The last place of a step needs the two bytes behind the step.
        while let Some(step) = text.get(at..at + STEP + HEAD + 1) {
            let hits = self.step(step);
            if hits != 0 {
                return Some(at + hits.trailing_zeros() as usize);
            }
            at += STEP;
        }
        while let Some(head) = text.get(at..at + HEAD) {
            if self.0[slot(u32::from_le_bytes([head[0], head[1], head[2], 0]))] {
                return Some(at);
            }
            at += 1;
        }
        None
    }

    /// One bit for each place of the step.
    #[inline]
    fn step(&self, step: &[u8]) -> u32 {
        let low = u64::from_le_bytes(step[..8].try_into().expect("a step has more"));
        let high = u64::from_le_bytes(step[4..12].try_into().expect("a step has twelve"));
        let mut hits = 0;
        for place in 0..4 {
            hits |= u32::from(self.has(low >> (8 * place))) << place;
            hits |= u32::from(self.has(high >> (8 * place))) << (place + 4);
        }
        hits
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "three bytes are looked at")]
    fn has(&self, bytes: u64) -> bool {
        self.0[slot(bytes as u32 & 0x00FF_FFFF)]
    }
}

#[inline]
fn slot(head: u32) -> usize {
    (head.wrapping_mul(0x9E37_79B1) >> (32 - BITS)) as usize
}
