//! The session machine at its boundary: values go in, answers come out.

#![allow(clippy::unwrap_used)]

mod allocations;
mod bench;
mod cases;
mod driver;
mod evidence;
mod histories;
mod rows;
mod snapshots;
mod table;
mod timer;
