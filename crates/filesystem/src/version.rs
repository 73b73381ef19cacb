//! Versions and positions: the two numbers a store gives out.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of the commit that wrote a key. It rises strictly per key and is never reused, not even after a
/// delete and re-create: equality says "nothing happened in between", increase makes it a fencing token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(u64);

impl Version {
    /// A version read back from where it was written down.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The version after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The least version a store may begin with at this time: `unix milliseconds · 2¹⁰`.
    ///
    /// So no version of a store that was removed and made again is ever valid again. Below 2⁵³ until 2248.
    #[must_use]
    pub fn floor(now: jiff::Timestamp) -> Self {
        let milliseconds = u64::try_from(now.as_millisecond()).unwrap_or(0);
        Self(milliseconds << 10)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A place in a log, from 1. Positions are in commit order: who has seen n never later finds n − 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(u64);

impl Position {
    /// Before the first entry: what a reader that has seen nothing has seen.
    pub const START: Self = Self(0);
    /// The place of a log's first entry.
    pub const FIRST: Self = Self(1);

    /// A position read back from where it was written down.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The position after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
