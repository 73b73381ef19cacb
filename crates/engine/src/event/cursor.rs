//! How far a reader has come: good for the log, the tenant and the filter it was given for, and for no other.

use std::fmt;
use std::str::FromStr;

use dormouse_filesystem::{LogCursor, LogError, LogHead, Position, Version};

use crate::CommandError;

/// Where a page of events ended. It never expires, and its text is opaque.
///
/// It names the tenant and the filter by a digest, the log by its incarnation, and the last position passed, also of an
/// event that the filter left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventCursor {
    pub(super) after: Position,
    /// None of a log that had no entry yet.
    pub(super) incarnation: Option<Version>,
    pub(super) scope: [u8; 8],
}

impl EventCursor {
    /// The last position passed.
    #[must_use]
    pub fn after(&self) -> Position {
        self.after
    }

    /// The position to read on after, in a log whose head is this.
    pub(super) fn resume(&self, scope: [u8; 8], head: &LogHead) -> Result<Position, CommandError> {
        if self.scope != scope {
            return Err(CommandError::CursorScope);
        }
        let gap = CommandError::ReplayGap {
            first: head.first,
            next: head.next,
        };
        match self.incarnation {
            None if self.after == Position::START => Ok(self.after),
            // Only the zero is given out for a log that never was.
            None => Err(gap),
            Some(incarnation) => {
                let after = self.after;
                match head.resume(LogCursor { incarnation, after }) {
                    Ok(after) if after < head.next => Ok(after),
                    Ok(_) => Err(gap),
                    Err(LogError::Incarnation { .. }) => Err(CommandError::CursorScope),
                    Err(error) => Err(error.into()),
                }
            }
        }
    }
}

/// Three numbers, the last of them in hexadecimal.
impl fmt::Display for EventCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let incarnation = self.incarnation.map_or(0, Version::get);
        let scope = u64::from_be_bytes(self.scope);
        write!(f, "{}-{incarnation}-{scope:016x}", self.after)
    }
}

impl FromStr for EventCursor {
    type Err = CommandError;

    fn from_str(text: &str) -> Result<Self, CommandError> {
        let mut parts = text.split('-');
        let (Some(after), Some(incarnation), Some(scope), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(CommandError::CursorScope);
        };
        let number = |digits: &str| digits.parse::<u64>().map_err(|_| CommandError::CursorScope);
        let scope = u64::from_str_radix(scope, 16).map_err(|_| CommandError::CursorScope)?;
        let incarnation = number(incarnation)?;
        Ok(Self {
            after: Position::new(number(after)?),
            incarnation: (incarnation > 0).then(|| Version::new(incarnation)),
            scope: scope.to_be_bytes(),
        })
    }
}
