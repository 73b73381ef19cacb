//! The pure parts of the program, and those that need no more than a folder.

// Helpers of tests are tests: what they unwrap is the assertion.
#![allow(clippy::unwrap_used)]

mod agents;
mod api;
mod arguments;
mod attach;
mod config;
mod config_agents;
mod duration;
mod exit;
mod gates;
mod isolation;
mod nearest;
mod once;
mod output;
mod owner;
mod place;
mod secrets;
mod threads;
mod wakes;
