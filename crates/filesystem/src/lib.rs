//! Records with compare-and-swap.

mod batch;
pub mod capability;
mod error;
mod health;
mod key;
mod log;
mod page;
mod store;
mod version;
mod watch;

pub use batch::{
    Append, BATCH_BYTES_MAX, BATCH_OPERATIONS_MAX, Batch, Check, Committed, Deadline, Delete, Entry,
    Expected, KIND_MAX, LOG_ENTRY_MAX, Lane, Put, RecordKind, VALUE_MAX,
};
pub use capability::Capabilities;
pub use error::{BusyCause, CloseError, CommitError, Failed, LogError, OpenError, ReadError, Source};
pub use health::{Health, State};
pub use key::{InvalidName, KEY_MAX, Key, ORDERED_MAX, Prefix, SEGMENT_MAX, SEGMENTS_MAX, Segment, Stream};
pub use log::{LogHead, Logged, Predecessor};
pub use page::{GET_MANY_MAX, Item, Listed, Order, PAGE_BYTES_MAX, PAGE_MAX, Page, Want};
pub use store::RecordStore;
pub use version::{Position, Version};
pub use watch::{Hint, WATCHES_MAX, Watch, Watches};
