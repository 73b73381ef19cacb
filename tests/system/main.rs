//! Drives the built program as a user does: each test has a home of its own.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod agents;
mod api;
mod budgets;
mod detect;
mod dialogues;
mod doctor;
mod events;
mod gates;
mod gates_crash;
mod home;
mod input;
mod keys;
mod modes;
#[cfg(target_os = "linux")]
mod neighbour;
mod outcomes;
mod owner;
mod places;
mod process;
mod program;
mod providers;
mod readme;
mod recovery;
mod resumed;
mod run;
mod secrets;
mod secrets_crash;
mod secrets_keyring;
mod secrets_migrate;
mod secrets_named;
mod secrets_used;
mod serve;
mod server;
mod several;
mod steps;
mod stores;
mod tasks;
mod threads;
mod wait;
mod wakes;
mod workers;
