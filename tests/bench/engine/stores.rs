//! Stores, and who writes into them: what the benches of engines share.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dormouse_engine::{Channel, Principal};
use dormouse_filesystem::contract::OwnSchema;
use dormouse_filesystem::{OpenOptions, RecordStore, Sled, SledOptions, StoreUrl};
use jiff::Timestamp;

#[expect(clippy::disallowed_methods, reason = "the edge: here the time comes from")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

pub(crate) fn by() -> Principal {
    Principal::operator("bench", Channel::Cli)
}

/// A sled store in this folder.
pub(crate) async fn sled(folder: &Path) -> Arc<dyn RecordStore> {
    std::fs::create_dir_all(folder).expect("the target folder can be written");
    let opened = Sled::open(folder, SledOptions::new(now())).await;
    Arc::new(opened.expect("a store opens in a folder of its own"))
}

/// A schema of its own of the server, and how it is opened with so many connections; none where there is no server.
pub(crate) fn schema(pool: usize) -> Option<(OwnSchema, StoreUrl, OpenOptions)> {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let url = std::env::var("DORMOUSE_BENCH_POSTGRES").ok()?;
    let own = (u64::from(std::process::id()) << 32) | SERIAL.fetch_add(1, Ordering::Relaxed);
    let schema = OwnSchema::new(url.clone(), own);
    let options = OpenOptions {
        schema: schema.name().to_owned(),
        pool,
        ..OpenOptions::new(now(), own)
    };
    let url = url.parse().expect("it is a url");
    Some((schema, url, options))
}
