//! The filter in front of the exact checks: does any form have these eight bytes?
//!
//! Every occurrence of a form holds eight of its bytes unbroken, so of the text's four-byte grams at every
//! fifth place one lies within those eight. A gram that no form has is passed over at the cost of one look
//! into a bitmap; else the eight-byte grams around it are looked up exactly.

use std::collections::HashMap;

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
        let mut eights: HashMap<u64, u32> = HashMap::new();
        for (form, reach) in forms {
            for (gram, reach) in form.windows(VALUE_MIN).zip(reach) {
                let most = eights.entry(eight(gram)).or_insert(0);
                *most = reach.max(*most);
            }
        }
        let bits = (eights.len() * BITS_PER_GRAM).next_power_of_two().max(1 << 12);
        let mut grams = Grams {
            bitmap: vec![0; bits / 64],
            shift: 32 - bits.trailing_zeros().min(31),
            slots: vec![(0, FREE); (eights.len() * 2).next_power_of_two().max(2)],
        };
        for (gram, reach) in eights {
            grams.insert(gram, reach);
        }
        grams
    }

    fn insert(&mut self, gram: u64, reach: u32) {
        for sample in gram.to_le_bytes().windows(SAMPLE) {
            let bit = self.bit(four(sample));
            self.bitmap[bit / 64] |= 1 << (bit % 64);
        }
        let mut slot = self.slot(gram);
        while self.slots[slot].1 != FREE {
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        self.slots[slot] = (gram, reach);
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
        let mut slot = self.slot(gram);
        loop {
            match self.slots[slot] {
                (_, FREE) => return None,
                (held, reach) if held == gram => return Some(reach),
                _ => slot = (slot + 1) & (self.slots.len() - 1),
            }
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

    fn slot(&self, gram: u64) -> usize {
        let hash = gram.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        usize::try_from(hash).unwrap_or(usize::MAX) & (self.slots.len() - 1)
    }
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
