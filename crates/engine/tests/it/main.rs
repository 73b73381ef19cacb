//! The integration tests of the engine, one binary.

#![allow(clippy::unwrap_used)]

mod adapters;
mod approvals;
mod asking;
mod detect;
mod outbound;
mod stores;
mod supervisor;
mod transcript;
mod worker;
mod worker_bed;
mod worker_crash;
mod worker_tree;
