//! The backends and holders of this crate against the contract, and what the contract cannot see.

// Helpers of tests are tests: what they unwrap is the assertion.
#![allow(clippy::unwrap_used)]

mod ahead;
mod blob;
mod catalogue;
#[cfg(feature = "sled")]
mod catalogue_crash;
mod combine;
#[cfg(any(feature = "sled", feature = "local"))]
mod commit_log;
#[cfg(any(feature = "sled", feature = "local"))]
mod embedded_kit;
mod follow;
mod fuzz;
#[cfg(all(feature = "sled", feature = "local"))]
mod golden;
mod liars;
mod linear;
#[cfg(feature = "local")]
mod local;
mod memory;
mod namespaces;
mod open;
mod portable;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sled")]
mod power;
mod record_updates;
mod records;
mod router;
mod scripted;
#[cfg(any(feature = "local", feature = "postgres"))]
mod seen;
mod silent_exports;
#[cfg(any(feature = "sled", feature = "local"))]
mod sim_files;
#[cfg(feature = "sled")]
mod sled;
mod update;
mod workspace;
mod wrappers;
