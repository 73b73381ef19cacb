#![doc = include_str!("../README.md")]

pub mod api;
pub mod args;
pub mod attach;
pub mod bytes;
pub mod client;
mod command;
pub mod config;
pub mod context;
pub mod duration;
pub mod edge;
pub mod endpoint;
pub mod environment;
pub mod exit;
mod log;
pub mod nearest;
pub mod output;
pub mod owner;
pub mod place;
pub mod problem;
mod program;

pub use program::run;
