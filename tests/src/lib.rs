//! What the tests of the whole share: the workload that the crash test's child writes and its parent verifies.

pub mod measure;
pub mod seed;
pub mod store;
pub mod workload;
