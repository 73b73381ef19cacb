//! Stores over a disk that loses power.

#[cfg(feature = "local")]
mod lives;
pub(crate) mod model;
#[cfg(feature = "local")]
mod seen;
#[cfg(feature = "local")]
mod truncations;
