//! Others that keep records in one process, a commit each, as durable as they can be: the flush stays on.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

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

/// redb: a write transaction each, `Durability::Immediate`.
struct Redb(redb::Database);

const TABLE: redb::TableDefinition<'_, u64, &[u8]> = redb::TableDefinition::new("bench");

impl Peer for Redb {
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

pub(crate) fn redb(folder: &Path) -> Arc<dyn Peer> {
    Arc::new(Redb(
        redb::Database::create(folder.join("redb")).expect("redb opens"),
    ))
}

/// SQLite by rusqlite: write-ahead log, `synchronous = FULL`, one connection: its writers exclude each other anyway.
struct Sqlite(Mutex<rusqlite::Connection>);

impl Peer for Sqlite {
    fn commit(&self, key: u64, value: &[u8]) {
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut statement = connection
            .prepare_cached("INSERT INTO bench VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2")
            .expect("the statement is SQL");
        statement
            .execute(rusqlite::params![key.cast_signed(), value])
            .expect("SQLite commits");
    }
}

pub(crate) fn sqlite(folder: &Path) -> Arc<dyn Peer> {
    let connection = rusqlite::Connection::open(folder.join("sqlite")).expect("SQLite opens");
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
             CREATE TABLE bench (key INTEGER PRIMARY KEY, value BLOB NOT NULL);",
        )
        .expect("SQLite takes its settings");
    Arc::new(Sqlite(Mutex::new(connection)))
}
