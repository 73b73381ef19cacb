//! The backends and holders of this crate against the contract, and what the contract cannot see.

// Helpers of tests are tests: what they unwrap is the assertion.
#![allow(clippy::unwrap_used)]

mod blob;
mod combine;
#[cfg(feature = "sled")]
mod commit_log;
mod follow;
mod liars;
mod memory;
mod namespaces;
#[cfg(feature = "postgres")]
mod postgres;
mod records;
mod router;
mod scripted;
#[cfg(feature = "sled")]
mod sim_files;
#[cfg(feature = "sled")]
mod sled;
mod update;
mod workspace;
mod wrappers;
