#![doc = include_str!("../README.md")]

mod ahead;
mod batch;
pub mod blob;
pub mod capability;
mod combine;
#[cfg(any(feature = "sled", feature = "local"))]
#[doc(hidden)]
pub mod commit_log;
#[cfg(feature = "contract")]
pub mod contract;
mod digest;
#[cfg(any(feature = "sled", feature = "local"))]
mod embedded;
mod error;
mod export;
mod ext;
mod filling;
mod handshake;
mod health;
mod holders;
mod judge;
mod key;
#[cfg(feature = "local")]
mod local;
mod log;
mod memory;
mod namespace;
mod open;
mod page;
pub mod portable;
#[cfg(feature = "postgres")]
mod postgres;
mod records;
mod router;
#[cfg(feature = "sled")]
mod sled;
mod store;
pub mod update;
mod version;
mod watch;
pub mod workspace;
pub mod wrapper;

#[cfg(any(feature = "sled", feature = "local"))]
pub use self::embedded::check::{Checked, Damage};
#[cfg(feature = "local")]
pub use self::local::{LOCAL_RECORDS_MAX, Local, LocalOptions, Repair, Repaired};
#[cfg(feature = "postgres")]
pub use self::postgres::{Postgres, PostgresOptions};
#[cfg(feature = "sled")]
pub use self::sled::{Sled, SledOptions};
pub use ahead::Ahead;
pub use batch::{
    Append, BATCH_BYTES_MAX, BATCH_OPERATIONS_MAX, Batch, Begin, Check, Committed, Deadline, Delete, Entry,
    Expected, KIND_MAX, LOG_ENTRY_MAX, LOG_FIRST_MAX, Lane, Put, RecordKind, VALUE_MAX,
};
pub use capability::Capabilities;
pub use combine::{COMBINE_MAX, COMBINE_QUEUE_MAX, COMBINE_WAITING_MAX, Store};
pub use digest::Digest;
pub use error::{BusyCause, CloseError, CommitError, Failed, LogError, OpenError, ReadError, Source};
pub use export::{EXPORT_IDLE, ExportCounts, ExportPoint, Exported};
pub use ext::{FOLLOW_RECHECK, RecordStoreExt, follow};
pub use health::{Health, State};
pub use key::{InvalidName, KEY_MAX, Key, ORDERED_MAX, Prefix, SEGMENT_MAX, SEGMENTS_MAX, Segment, Stream};
pub use log::{LogCursor, LogHead, Logged, Predecessor};
pub use memory::Memory;
pub use namespace::{
    Agent, COMMIT_DEADLINE, LOG_NAME_MAX, Log, Namespace, Opener, Requirements, Resolved, Scope, ScopedBatch,
    System, Tenant,
};
pub use open::{Backend, Inspection, InvalidUrl, OpenOptions, StoreUrl, open};
pub use page::{GET_MANY_MAX, Item, LIST_MANY_MAX, Listed, Order, PAGE_BYTES_MAX, PAGE_MAX, Page, Want};
pub use records::{
    BACKFILL_OPEN_ROWS, BACKFILL_ROWS, Bad, BadPage, BadRow, BadRowId, BadRowIndex, BadRows, BadStore,
    Catalogue, Changed, Class, Coalesced, Collected, Cursor, Found, FoundSystem, IndexEntry, IndexScope,
    IndexState, IndexValue, Indexes, InvalidBadRowId, Issue, KeptPage, Kind, NoIndexes, Owned, Query, Ranged,
    Record, RecordError, RecordId, Records, Replaced, SystemIndex, Unflushed, Unready, Versioned, WriteOnce,
};
pub use router::{MountError, Router};
pub use store::RecordStore;
pub use update::{Change, Retry, UpdateError, Updated, cas_update};
pub use version::{Position, Version};
pub use watch::{Hint, WATCHES_MAX, Watch, Watches};
