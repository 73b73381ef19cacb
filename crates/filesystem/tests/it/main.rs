//! The integration tests of the record store, one binary.

mod records;
