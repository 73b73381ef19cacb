#![doc = include_str!("../README.md")]

pub mod command;
pub mod outcome;
pub mod transcript;
