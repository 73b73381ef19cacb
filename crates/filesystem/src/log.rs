//! Logs: entries appended by commits, at positions in commit order.

use std::fmt;

use bytes::Bytes;

use crate::{LogError, Position, Version};

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

/// How far a reader of a log has come, told so that another log of that name is not taken for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogCursor {
    /// The incarnation of the log that was read.
    pub incarnation: Version,
    /// The last position seen; [`Position::START`] for none.
    pub after: Position,
}

impl LogHead {
    /// The position to read on after: the cursor's, if it is of this log, or of its predecessor and within that.
    ///
    /// Whether the log still keeps what follows is for the tail to say.
    ///
    /// # Errors
    /// `Incarnation` for a cursor of another log, or beyond the end of the predecessor; `ReplayGap` for any of a log
    /// that never was.
    pub fn resume(&self, cursor: LogCursor) -> Result<Position, LogError> {
        let Some(found) = self.incarnation else {
            return Err(LogError::ReplayGap {
                first: self.first,
                next: self.next,
            });
        };
        let is_of_predecessor = |predecessor: Predecessor| {
            cursor.incarnation == predecessor.incarnation && cursor.after < predecessor.next
        };
        if cursor.incarnation == found || self.predecessor.is_some_and(is_of_predecessor) {
            Ok(cursor.after)
        } else {
            Err(LogError::Incarnation { found })
        }
    }
}

/// The log that an imported log continues: its cursors are good up to `next`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Predecessor {
    /// Its incarnation.
    pub incarnation: Version,
    /// Where it ended.
    pub next: Position,
}
