//! The pure parts of the program, and those that need no more than a folder.

mod api;
mod arguments;
mod attach;
mod config;
mod duration;
mod exit;
mod glob;
mod nearest;
mod output;
mod owner;
mod place;
