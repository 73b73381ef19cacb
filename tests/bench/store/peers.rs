//! Others that keep records in one process, a commit each, as durable as they can be: the flush stays on.
//!
//! None of them lets its files be put on another disk without a whole file system of its own. On the slow disk each
//! commit of redb, SQLite and fjall, which exclude one another anyway and sync once, takes a flush's time with its own
//! work inside it; the flush after sled's own is ours to delay, and any number of them run at once.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::disk::Disk;
use crate::load::{self, Load};

/// A store that commits one record durably, from any thread.
pub(crate) trait Peer: Send + Sync + 'static {
    /// Replaces one record and returns when it is on the disk.
    fn commit(&self, key: u64, value: &[u8]);
}

/// Commits from so many threads, each with a key of its own.
pub(crate) fn measure(peer: &Arc<dyn Peer>, tasks: usize, time: Duration) -> Load {
    let start = Instant::now();
    let threads: Vec<_> = (0..tasks as u64)
        .map(|key| {
            let peer = Arc::clone(peer);
            std::thread::spawn(move || {
                let mut taken = Vec::new();
                while start.elapsed() < time {
                    let before = Instant::now();
                    peer.commit(key, &load::record());
                    taken.push(before.elapsed());
                }
                taken
            })
        })
        .collect();
    let taken = threads
        .into_iter()
        .flat_map(|thread| thread.join().expect("a peer does not panic"));
    let taken = taken.collect();
    Load {
        taken,
        time: start.elapsed(),
    }
}

/// One commit at a time, with a flush in each.
struct OneByOne<P> {
    peer: Mutex<P>,
    disk: Disk,
}

impl<P: Commit + Send + 'static> Peer for OneByOne<P> {
    fn commit(&self, key: u64, value: &[u8]) {
        let peer = self.peer.lock().unwrap_or_else(PoisonError::into_inner);
        self.disk.flushing(|| peer.commit(key, value));
    }
}

trait Commit {
    fn commit(&self, key: u64, value: &[u8]);
}

/// A peer that excludes writers itself: on its own disk it is not kept from doing it its own way.
fn one_by_one<P: Commit + Peer + Send + Sync + 'static>(peer: P, disk: Disk) -> Arc<dyn Peer> {
    match disk {
        Disk::Own => Arc::new(peer),
        Disk::Slow => Arc::new(OneByOne {
            peer: Mutex::new(peer),
            disk,
        }),
    }
}

/// redb: a write transaction each, `Durability::Immediate`.
struct Redb(redb::Database);

const TABLE: redb::TableDefinition<'_, u64, &[u8]> = redb::TableDefinition::new("bench");

impl Commit for Redb {
    fn commit(&self, key: u64, value: &[u8]) {
        let mut write = self.0.begin_write().expect("redb begins");
        write
            .set_durability(redb::Durability::Immediate)
            .expect("redb takes its default durability");
        write
            .open_table(TABLE)
            .and_then(|mut table| Ok(table.insert(key, value).map(drop)?))
            .expect("redb inserts");
        write.commit().expect("redb commits");
    }
}

impl Peer for Redb {
    fn commit(&self, key: u64, value: &[u8]) {
        Commit::commit(self, key, value);
    }
}

pub(crate) fn redb(folder: &Path, disk: Disk) -> Arc<dyn Peer> {
    let database = redb::Database::create(folder.join("redb")).expect("redb opens");
    one_by_one(Redb(database), disk)
}

/// SQLite by rusqlite: write-ahead log, `synchronous = FULL`, one connection: its writers exclude each other anyway.
struct Sqlite(rusqlite::Connection);

impl Commit for Sqlite {
    fn commit(&self, key: u64, value: &[u8]) {
        let mut statement = self
            .0
            .prepare_cached("INSERT INTO bench VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2")
            .expect("the statement is SQL");
        statement
            .execute(rusqlite::params![key.cast_signed(), value])
            .expect("SQLite commits");
    }
}

pub(crate) fn sqlite(folder: &Path, disk: Disk) -> Arc<dyn Peer> {
    let connection = rusqlite::Connection::open(folder.join("sqlite")).expect("SQLite opens");
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
             CREATE TABLE bench (key INTEGER PRIMARY KEY, value BLOB NOT NULL);",
        )
        .expect("SQLite takes its settings");
    let peer = Mutex::new(Sqlite(connection));
    Arc::new(OneByOne { peer, disk })
}

/// fjall: an insert, and its journal synced (`PersistMode::SyncData`).
struct Fjall {
    database: fjall::Database,
    records: fjall::Keyspace,
}

impl Commit for Fjall {
    fn commit(&self, key: u64, value: &[u8]) {
        let mut batch = self
            .database
            .batch()
            .durability(Some(fjall::PersistMode::SyncData));
        batch.insert(&self.records, key.to_be_bytes(), value);
        batch.commit().expect("fjall commits");
    }
}

impl Peer for Fjall {
    fn commit(&self, key: u64, value: &[u8]) {
        Commit::commit(self, key, value);
    }
}

pub(crate) fn fjall(folder: &Path, disk: Disk) -> Arc<dyn Peer> {
    let database = fjall::Database::builder(folder.join("fjall"))
        .open()
        .expect("fjall opens");
    let records = database
        .keyspace("bench", fjall::KeyspaceCreateOptions::default)
        .expect("fjall makes a keyspace");
    one_by_one(Fjall { database, records }, disk)
}

/// sled alone: an insert, its own flush, which reaches the system's cache, and `fdatasync` of its file.
struct SledAndSync {
    tree: sled::Db,
    file: File,
    disk: Disk,
}

impl Peer for SledAndSync {
    fn commit(&self, key: u64, value: &[u8]) {
        self.tree.insert(key.to_be_bytes(), value).expect("sled inserts");
        self.tree.flush().expect("sled flushes");
        self.disk
            .flushing(|| self.file.sync_data())
            .expect("the disk can be written");
    }
}

pub(crate) fn sled_and_sync(folder: &Path, disk: Disk) -> Arc<dyn Peer> {
    let path = folder.join("sled-alone");
    let tree = sled::Config::new()
        .path(&path)
        .flush_every_ms(None)
        .open()
        .expect("sled opens");
    let file = File::open(path.join("db")).expect("sled has one file for its log");
    Arc::new(SledAndSync { tree, file, disk })
}
