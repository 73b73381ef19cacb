//! The portable form of a store: one file, the same from every backend, so that data moves between them.
//!
//! [`export()`] writes all that is below a prefix at one commit point. [`verify`] reads a file to its end and refuses one
//! that is cut, changed or of a newer build. [`import()`] writes a whole file into an empty store: values, kinds and
//! positions are kept; versions are new and above every one the file has ever heard of; logs have a new incarnation
//! and remember the old one. Until it has ended the store is marked, and no [namespace](crate::Namespace) is opened on
//! it; killed, it is begun again with the same file.
//!
//! What openers leave of their handshakes (`s/x/handshake`) is nobody's content, and is left out.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! use std::io::Cursor;
//! use dormouse_filesystem::{Deadline, Key, Memory, Prefix, RecordKind, RecordStore, RecordStoreExt, portable};
//! use jiff::Timestamp;
//!
//! let now: Timestamp = "2026-01-02T03:04:05Z".parse()?;
//! let (old, key) = (Memory::new(now), Key::parse("notes/first")?);
//! let soon = || Deadline::after(std::time::Duration::from_secs(10));
//! old.create(key.clone(), RecordKind::of("note"), "hello", soon()).await?;
//! let mut file = Vec::new();
//! let written = portable::export(&old, &Prefix::root(), &mut file, now).await?;
//!
//! let new = Memory::new(now.max(portable::needed_now(written.highest)));
//! portable::import(&mut Cursor::new(file), &new).await?;
//! assert_eq!(&new.get(&key).await?.unwrap().value[..], b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```

mod check;
mod chunk;
mod error;
mod export;
mod frame;
#[cfg(feature = "contract")]
pub(crate) mod fuzz;
mod import;
mod item;
mod mark;
mod read;
mod summary;

pub use self::error::{ExportError, FileError, ImportError};
pub use self::export::export;
pub use self::import::import;
pub(crate) use self::mark::refuse_unfinished;
pub use self::read::verify;
pub use self::summary::{Summary, needed_now};
use crate::Key;

/// The newest format known, and the one written.
pub const FORMAT: u32 = 1;
/// Longest frame of a file, from its kind to its end, in bytes.
pub const FRAME_MAX: usize = 1024 * 1024;

/// Whether a record or log is of openers' handshakes.
fn is_scratch(key: &Key) -> bool {
    let mut segments = key.segments();
    ["s", "x", "handshake"]
        .into_iter()
        .all(|name| segments.next() == Some(name))
}
