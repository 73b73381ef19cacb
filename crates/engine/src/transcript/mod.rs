//! What a run printed: scrubbed, bounded, durable, and readable while it grows.
//!
//! A transcript is two logs, `run/<id>/head` with its first [`HEAD_MAX`] bytes and `run/<id>/tail` with its last
//! [`TAIL_MAX`]; the middle of a longer one is left out and counted. A [`Transcript`] takes frames without ever
//! waiting; its writer makes them durable in chunks of [`CHUNK_MAX`] or [`CHUNK_DELAY`]; a [`Follower`] reads what
//! is durable and goes on with what is not yet. Every frame has an offset, the number of bytes printed before it,
//! by which a reader resumes exactly and sees what was left out.

mod follow;
mod frame;
mod logs;
mod writer;

use std::time::Duration;

pub use follow::{Followed, Follower};
pub use frame::{Channel, Frame};
pub use logs::{Reader, TranscriptLogs};
pub use writer::{Transcript, TranscriptEnd};

/// Bytes kept of the beginning, as they are stored.
pub const HEAD_MAX: u64 = 2 * 1024 * 1024;
/// Bytes kept of the end, as they are stored.
pub const TAIL_MAX: u64 = 6 * 1024 * 1024;
/// The tail is cut in steps of this many bytes, so that cutting costs a commit a megabyte and not one a chunk.
pub const TAIL_SLACK: u64 = 1024 * 1024;
/// Most bytes of one durable chunk.
pub const CHUNK_MAX: usize = 64 * 1024;
/// Longest time a frame waits to become durable while its run goes on.
pub const CHUNK_DELAY: Duration = Duration::from_secs(1);
/// Most bytes of one run that wait in memory; what comes beyond, while the store is slow, is left out and counted.
pub const PENDING_MAX: usize = 1024 * 1024;
