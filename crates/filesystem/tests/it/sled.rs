//! The sled backend against the contract.
