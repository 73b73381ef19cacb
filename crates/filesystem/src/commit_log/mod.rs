//! The commit log: the truth of the embedded backends. What stands behind it can be rebuilt from it.
//!
//! A commit is a [frame]; frames written and flushed together are a group; frames lie in [segments](segment). The
//! bytes are drawn in `docs/FORMAT.md`. Encoding and decoding are pure functions over bytes; all input and output
//! goes through a [`FileLayer`], so that a test can put a disk that loses power under the same code.
//!
//! This module is public for such tests. It is outside semver.

mod anew;
mod append;
pub mod checkpoint;
mod files;
pub mod frame;
mod mend;
mod operation;
mod reader;
mod recovery;
mod scan;
pub mod segment;
mod segments;
mod spare;
mod survey;
mod verify;

pub use append::{Appender, AppenderOptions, NoRoom, Purpose};
#[cfg(feature = "sled")]
pub(crate) use files::is_same_boot;
pub use files::{FileLayer, LogFile, StdFiles};
pub(crate) use mend::mend;
pub use reader::{Pin, Reader};
pub use recovery::{Begins, Plan, Proved, Recovered, RecoveryError, Tail, recover};
pub use scan::{Place, Rest, Scan, Scanner};
pub(crate) use segments::previous_of;
pub(crate) use survey::survey;

/// The format of segments, frames and the checkpoint that this build writes, and the newest it reads.
pub const FORMAT: u32 = 1;
