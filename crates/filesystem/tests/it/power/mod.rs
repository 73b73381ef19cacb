//! Stores over a disk that loses power.

#[cfg(feature = "local")]
mod lives;
pub(crate) mod model;
