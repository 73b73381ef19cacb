//! Systems without Landlock.

use std::io;

use super::Wall;

/// There is none.
pub(crate) fn abi() -> u8 {
    0
}

/// A wall that cannot be built here.
#[derive(Debug)]
pub(crate) enum Built {}

impl Built {
    /// Refused.
    pub(crate) fn new(_wall: &Wall) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Never reached.
    pub(crate) fn enter(self) -> io::Result<()> {
        match self {}
    }
}
