//! A sorted list of strings, walked byte by byte from a place in a text.

use std::collections::HashMap;

/// Which bytes of the text count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// All.
    Exact,
    /// All but those that wrapping puts in, [`is_dropped`], of which at most so many may stand in a row.
    Unwrapped {
        /// The longest run of dropped bytes.
        gap_max: usize,
    },
}

/// Bytes with which text is wrapped and indented, and their escapes: `\n`, `\r`, a trailing backslash.
pub(super) fn is_dropped(byte: u8) -> bool {
    DROPPED[usize::from(byte)]
}

const DROPPED: [bool; 256] = {
    let mut dropped = [false; 256];
    let bytes = b"\n\r\t \\nr";
    let mut index = 0;
    while index < bytes.len() {
        dropped[bytes[index] as usize] = true;
        index += 1;
    }
    dropped
};

/// How many first bytes are looked up at once. No string is shorter.
const HEAD: usize = 4;

/// Strings, sorted, each once; a string is told by its index.
pub(super) struct Table {
    reading: Reading,
    strings: Vec<Box<[u8]>>,
    heads: HashMap<[u8; HEAD], (u32, u32)>,
    /// Which heads there may be, by a hash: most places of a text are told by this alone.
    maybe: Vec<bool>,
}

/// What a walk came to beside the strings it found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Walk {
    /// No further string begins there.
    Over,
    /// The text ended within a string.
    Open,
}

impl Table {
    /// Takes strings that are sorted, of at least four bytes, each once.
    pub(super) fn new(reading: Reading, strings: Vec<Box<[u8]>>) -> Table {
        let mut heads: HashMap<[u8; HEAD], (u32, u32)> = HashMap::new();
        let mut maybe = vec![false; (strings.len() * 16).next_power_of_two().max(1 << 10)];
        for (index, string) in (0_u32..).zip(&strings) {
            let head = string[..HEAD].try_into().expect("of that length");
            heads.entry(head).or_insert((index, index)).1 = index + 1;
            let slot = hash(head) & (maybe.len() - 1);
            maybe[slot] = true;
        }
        Table {
            reading,
            strings,
            heads,
            maybe,
        }
    }

    /// The longest string's length.
    pub(super) fn longest(&self) -> usize {
        self.strings.iter().map(|string| string.len()).max().unwrap_or(0)
    }

    /// Whether a string may begin at `start`: a look at four bytes, as most places are told by that.
    #[inline]
    pub(super) fn may_begin(&self, text: &[u8], start: usize) -> bool {
        let Some(Ok(head)) = text.get(start..start + HEAD).map(<[u8; HEAD]>::try_from) else {
            return true;
        };
        match self.reading {
            Reading::Exact => {}
            Reading::Unwrapped { .. } if is_dropped(head[0]) => return false,
            Reading::Unwrapped { .. } if head.iter().any(|byte| is_dropped(*byte)) => return true,
            Reading::Unwrapped { .. } => {}
        }
        self.maybe[hash(head) & (self.maybe.len() - 1)]
    }

    /// Tells `found` each string that begins at `start`, with the end of its last byte. A walk over more
    /// than `extent_max` bytes of text is over.
    pub(super) fn walk(
        &self,
        text: &[u8],
        start: usize,
        extent_max: usize,
        mut found: impl FnMut(usize, usize),
    ) -> Walk {
        let text = &text[..text.len().min(start + extent_max)];
        let at_limit = text.len() == start + extent_max;
        let open = if at_limit { Walk::Over } else { Walk::Open };
        let Some((head, mut at)) = self.head(text, start) else {
            return Walk::Over;
        };
        let (mut low, mut high, mut depth) = match head {
            Head::Whole(head) => match self.under(head) {
                Some((low, high)) => (low, high, HEAD),
                None => return Walk::Over,
            },
            Head::Cut(bytes, length) => {
                let known = &bytes[..length];
                let first = self.strings.partition_point(|string| &string[..] < known);
                let is_any = self
                    .strings
                    .get(first)
                    .is_some_and(|string| string.starts_with(known));
                return if is_any { open } else { Walk::Over };
            }
        };
        loop {
            while low < high && self.strings[low].len() == depth {
                found(low, at);
                low += 1;
            }
            if low == high {
                return Walk::Over;
            }
            let next = match self.kept_from(text, at) {
                Kept::At(next) => next,
                Kept::Ended => return open,
                Kept::TooFar => return Walk::Over,
            };
            let byte = text[next];
            if high - low == 1 {
                if self.strings[low][depth] != byte {
                    return Walk::Over;
                }
            } else {
                let range = &self.strings[low..high];
                high = low + range.partition_point(|string| string[depth] <= byte);
                low += range.partition_point(|string| string[depth] < byte);
            }
            depth += 1;
            at = next + 1;
        }
    }

    fn under(&self, head: [u8; HEAD]) -> Option<(usize, usize)> {
        if !self.maybe[hash(head) & (self.maybe.len() - 1)] {
            return None;
        }
        let (low, high) = self.heads.get(&head)?;
        Some((*low as usize, *high as usize))
    }

    /// The first bytes from `start` on that count, and the place behind them.
    fn head(&self, text: &[u8], start: usize) -> Option<(Head, usize)> {
        let mut bytes = [0; HEAD];
        let mut at = start;
        for index in 0..HEAD {
            match self.kept_from(text, at) {
                Kept::At(next) => {
                    bytes[index] = text[next];
                    at = next + 1;
                }
                Kept::Ended => return Some((Head::Cut(bytes, index), at)),
                Kept::TooFar => return None,
            }
        }
        Some((Head::Whole(bytes), at))
    }

    /// The next byte from `at` on that counts.
    #[inline]
    fn kept_from(&self, text: &[u8], at: usize) -> Kept {
        let Reading::Unwrapped { gap_max } = self.reading else {
            return if at < text.len() {
                Kept::At(at)
            } else {
                Kept::Ended
            };
        };
        for (gap, byte) in text[at..].iter().enumerate() {
            if !is_dropped(*byte) {
                return Kept::At(at + gap);
            }
            if gap == gap_max {
                return Kept::TooFar;
            }
        }
        Kept::Ended
    }
}

enum Head {
    Whole([u8; HEAD]),
    Cut([u8; HEAD], usize),
}

enum Kept {
    At(usize),
    Ended,
    TooFar,
}

fn hash(head: [u8; HEAD]) -> usize {
    (u32::from_le_bytes(head).wrapping_mul(0x9E37_79B1) >> 8) as usize
}
