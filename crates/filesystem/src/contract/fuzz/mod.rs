//! What reads bytes that others wrote, as functions of any bytes at all: none may panic, and each says what must hold.
//!
//! `cargo xtask fuzz` runs each under libFuzzer (the package in `fuzz/`); the tests run each over the inputs kept in
//! `fuzz/corpus` and over some thousand changed ones.

#[cfg(any(feature = "sled", feature = "local"))]
mod checkpoints;
#[cfg(any(feature = "sled", feature = "local"))]
mod files;
#[cfg(any(feature = "sled", feature = "local"))]
mod frames;
mod input;
mod keys;
mod operations;
mod paths;
mod replay;
#[cfg(any(feature = "sled", feature = "local"))]
mod segments;

#[cfg(any(feature = "sled", feature = "local"))]
pub use self::checkpoints::checkpoints;
#[cfg(any(feature = "sled", feature = "local"))]
pub use self::frames::frames;
pub(crate) use self::input::Input;
pub use self::keys::keys;
pub use self::operations::operations;
pub use self::paths::paths;
pub use self::replay::replay;
#[cfg(any(feature = "sled", feature = "local"))]
pub use self::segments::segments;
#[cfg(feature = "local")]
pub use crate::local::fuzz::{log_parts, record_files};
pub use crate::portable::fuzz::exports;
pub use crate::records::fuzz::rows;

/// A function of any bytes, which panics when something is wrong.
pub type Target = fn(&[u8]);

/// Every target of the features there are, by name.
pub const TARGETS: &[(&str, Target)] = &[
    #[cfg(any(feature = "sled", feature = "local"))]
    ("checkpoints", checkpoints),
    ("exports", exports),
    #[cfg(any(feature = "sled", feature = "local"))]
    ("frames", frames),
    ("keys", keys),
    #[cfg(feature = "local")]
    ("log_parts", log_parts),
    ("operations", operations),
    ("paths", paths),
    #[cfg(feature = "local")]
    ("record_files", record_files),
    ("rows", rows),
    #[cfg(any(feature = "sled", feature = "local"))]
    ("segments", segments),
];
