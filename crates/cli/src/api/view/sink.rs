//! A sink of events, as it is shown.

use dormouse_engine::relay::RelayCursor;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A sink of events, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkView {
    /// Its name.
    pub name: String,
    /// How it is: active, `backing_off`, paused, disabled, detached.
    pub state: String,
    /// The last position that it has.
    pub after: u64,
    /// How many events were committed behind it, wanted or not.
    pub behind: u64,
    /// How often it did not acknowledge, one after the other.
    pub attempts: u32,
    /// When it is asked again, if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
    /// What it said when it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When its cursor was made.
    pub created_at: Timestamp,
    /// When it moved last.
    pub updated_at: Timestamp,
}

impl SinkView {
    /// A sink of a log whose newest event has this position.
    #[must_use]
    pub fn of(cursor: &RelayCursor, last: u64) -> Self {
        Self {
            name: cursor.consumer.id(),
            state: cursor.state.word().to_owned(),
            after: cursor.after.get(),
            behind: last.saturating_sub(cursor.after.get()),
            attempts: cursor.attempts,
            next_attempt_at: cursor.next_attempt_at,
            last_error: cursor.last_error.as_ref().map(ToString::to_string),
            created_at: cursor.created_at,
            updated_at: cursor.updated_at,
        }
    }
}
