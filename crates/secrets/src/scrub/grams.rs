//! The filter in front of the exact checks: does any form have these eight bytes?
//!
//! Every occurrence of a form holds eight of its bytes unbroken, so of the text's four-byte grams at every
//! fifth place one lies within those eight. A gram that no form has is passed over at the cost of one look
//! into a bitmap; else the eight-byte grams around it are looked up exactly.

use crate::VALUE_MIN;

/// The bytes of a gram that is sampled.
pub(super) const SAMPLE: usize = 4;

/// One gram is sampled every so many bytes: any `VALUE_MIN` bytes hold one whole.
const EVERY: usize = VALUE_MIN + 1 - SAMPLE;

/// The grams sampled in one step of the loop.
const STEP: usize = 4 * EVERY;

/// Bits of the bitmap for each gram: about one sample in thirty-two of other text is looked at twice.
const BITS_PER_GRAM: usize = 32;

/// The grams of all forms.
pub(super) struct Grams {
    bitmap: Vec<u64>,
    shift: u32,
    /// Gram, and how many bytes that count stand before it in a form, at most; zero gram and reach: free.
    slots: Vec<(u64, u32)>,
}

impl Grams {
    /// `reach` says how many bytes that count stand before each byte of a form.
    pub(super) fn new<'a>(forms: impl Iterator<Item = (&'a [u8], Vec<u32>)>) -> Grams {
        let mut eights: Vec<(u64, u32)> = Vec::new();
        for (form, reach) in forms {
            eights.extend(form.windows(VALUE_MIN).map(eight).zip(reach));
        }
        let slots = distinct(&eights);
        let count = slots.iter().filter(|(_, reach)| *reach != FREE).count();
        let bits = (count * BITS_PER_GRAM).next_power_of_two().max(1 << 12);
        let mut grams = Grams {
            bitmap: vec![0; bits / 64],
            shift: 32 - bits.trailing_zeros().min(31),
            slots,
        };
        for at in 0..grams.slots.len() {
            let (gram, reach) = grams.slots[at];
            if reach != FREE {
                grams.mark(gram);
            }
        }
        grams
    }

    fn mark(&mut self, gram: u64) {
        for sample in gram.to_le_bytes().windows(SAMPLE) {
            let bit = self.bit(four(sample));
            self.bitmap[bit / 64] |= 1 << (bit % 64);
        }
    }

    /// The next place from `at` on where a sample has a gram of a form.
    pub(super) fn next(&self, text: &[u8], mut at: usize) -> Option<usize> {
        while let Some(step) = text.get(at..at + STEP) {
            let hits = [0, EVERY, 2 * EVERY, 3 * EVERY].map(|place| self.has(&step[place..place + SAMPLE]));
            if hits[0] | hits[1] | hits[2] | hits[3] {
                let first = hits.iter().position(|hit| *hit).expect("one is");
                return Some(at + first * EVERY);
            }
            at += STEP;
        }
        while let Some(sample) = text.get(at..at + SAMPLE) {
            if self.has(sample) {
                return Some(at);
            }
            at += EVERY;
        }
        None
    }

    /// The place of the sample behind the one at `at`.
    pub(super) fn behind(at: usize) -> usize {
        at + EVERY
    }

    /// If a form has the eight bytes at `at`: how many bytes that count stand before them in it, at most.
    pub(super) fn reach(&self, text: &[u8], at: usize) -> Option<u32> {
        let gram = eight(text.get(at..at + VALUE_MIN)?);
        match self.slots[slot(&self.slots, gram)] {
            (_, FREE) => None,
            (_, reach) => Some(reach),
        }
    }

    #[inline]
    fn has(&self, sample: &[u8]) -> bool {
        let bit = self.bit(four(sample));
        self.bitmap[(bit / 64) & (self.bitmap.len() - 1)] >> (bit % 64) & 1 == 1
    }

    #[inline]
    fn bit(&self, gram: u32) -> usize {
        (gram.wrapping_mul(0x9E37_79B1) >> self.shift) as usize
    }
}

/// A table of the grams, each with the most that stands before it, at most half full.
///
/// Forms of one value share most of their grams, so a table for all of them is made first, and a smaller one of it: a
/// set is made for every run, and a map that guards against chosen keys takes most of that time.
fn distinct(eights: &[(u64, u32)]) -> Vec<(u64, u32)> {
    let mut all = free(eights.len());
    let mut count = 0;
    for (gram, reach) in eights {
        count += usize::from(enter(&mut all, *gram, *reach));
    }
    let mut least = free(count);
    if least.len() == all.len() {
        return all;
    }
    for (gram, reach) in all {
        if reach != FREE {
            enter(&mut least, gram, reach);
        }
    }
    least
}

/// Free slots for so many grams.
fn free(count: usize) -> Vec<(u64, u32)> {
    vec![(0, FREE); (count * 2).next_power_of_two().max(2)]
}

/// Whether it was not there.
fn enter(slots: &mut [(u64, u32)], gram: u64, reach: u32) -> bool {
    let slot = slot(slots, gram);
    match slots[slot] {
        (_, FREE) => {
            slots[slot] = (gram, reach);
            true
        }
        (_, most) => {
            slots[slot].1 = most.max(reach);
            false
        }
    }
}

/// The slot that holds a gram, or the one where it belongs. One at least is free.
fn slot(slots: &[(u64, u32)], gram: u64) -> usize {
    let hash = gram.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
    let mut slot = usize::try_from(hash).unwrap_or(usize::MAX) & (slots.len() - 1);
    while slots[slot].1 != FREE && slots[slot].0 != gram {
        slot = (slot + 1) & (slots.len() - 1);
    }
    slot
}

/// The reach of a slot that holds no gram.
const FREE: u32 = u32::MAX;

#[inline]
fn four(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("a sample has four bytes"))
}

fn eight(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("a gram has eight bytes"))
}
