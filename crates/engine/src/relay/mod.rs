//! Telling events to others: sinks outside and observers inside, each behind a durable cursor.
//!
//! A [`Sink`] is told every event that its filter wants, at least once and in the order of each tenant's log. Its cursor is
//! a row, moved in a commit once the sink has acknowledged, and never back. What a sink did not answer is sent again under
//! the same event ids. One process at a time relays a tenant's events to a sink, by a lease that every move of the cursor
//! proves. No command waits for a sink: it reads the log behind the commits, and a hint that is lost costs time alone.
//!
//! An [`Observer`] is a sink in this process that is told commit by commit.

mod file;
mod letter;
mod observer;
mod page;
mod pump;
mod row;
mod serve;
mod service;
mod settle;
mod sink;
mod table;
mod undecoded;

pub use file::FileSink;
pub use letter::DeadLetter;
pub use observer::{NotAcknowledged, Observer};
pub(crate) use row::live_of;
pub use row::{RelayCursor, SinkState};
pub use service::Sinks;
pub(crate) use settle::{detach, sweep_of_events};
pub use sink::{Delivery, OnRefused, Portion, Sent, Sink, SinkOptions};
pub use table::{SinkEvent, decide};
