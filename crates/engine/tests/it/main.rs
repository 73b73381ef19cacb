//! The integration tests of the engine, one binary.

mod stores;
mod transcript;
mod worker;
mod worker_bed;
mod worker_crash;
mod worker_tree;
