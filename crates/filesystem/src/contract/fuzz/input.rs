//! Bytes taken as choices. Behind their end every choice is the first.

use std::cell::Cell;

/// What is left of an input.
#[derive(Debug)]
pub(crate) struct Input<'a>(Cell<&'a [u8]>);

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(Cell::new(bytes))
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.0.get().is_empty()
    }

    /// At most so many bytes.
    pub(crate) fn take(&self, most: usize) -> &'a [u8] {
        let left = self.0.get();
        let (taken, rest) = left.split_at(most.min(left.len()));
        self.0.set(rest);
        taken
    }

    /// All that is left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.take(usize::MAX)
    }

    pub(crate) fn byte(&self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    pub(crate) fn number(&self) -> u64 {
        let mut bytes = [0; 8];
        let taken = self.take(8);
        bytes[..taken.len()].copy_from_slice(taken);
        u64::from_le_bytes(bytes)
    }

    /// Bytes after a byte that says how many.
    pub(crate) fn some(&self) -> &'a [u8] {
        let most = self.byte();
        self.take(usize::from(most))
    }

    /// A number below a bound: of one byte where that is enough.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        let number = if bound <= 256 {
            u64::from(self.byte())
        } else {
            self.number()
        };
        number % bound
    }
}
