//! Logs: entries appended by commits, at positions in commit order.

use std::fmt;

use bytes::Bytes;

use crate::{Position, Version};

/// An entry of a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Logged {
    /// Its place.
    pub position: Position,
    /// The commit that appended it.
    pub version: Version,
    /// Its bytes.
    pub entry: Bytes,
}

impl fmt::Debug for Logged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Logged({} at {}, {} bytes)",
            self.position,
            self.version,
            self.entry.len()
        )
    }
}

/// Where a log begins and ends. It keeps a suffix: `first..next`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogHead {
    /// The version of its first append ever; none while it never was.
    pub incarnation: Option<Version>,
    /// The earliest position kept.
    pub first: Position,
    /// The position of the next append.
    pub next: Position,
    /// Bytes of the entries kept.
    pub bytes: u64,
    /// Of an imported log: the one it continues.
    pub predecessor: Option<Predecessor>,
}

impl LogHead {
    /// The head of a log that never was.
    pub const NONE: Self = Self {
        incarnation: None,
        first: Position::FIRST,
        next: Position::FIRST,
        bytes: 0,
        predecessor: None,
    };
}

/// The log that an imported log continues: its cursors are good up to `next`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Predecessor {
    /// Its incarnation.
    pub incarnation: Version,
    /// Where it ended.
    pub next: Position,
}
