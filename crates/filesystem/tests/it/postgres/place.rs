//! Where the tests find a server, and a schema of their own on it.

use dormouse_filesystem::{Postgres, PostgresOptions};
use jiff::Timestamp;
use rand::TryRng;
use rand::rngs::SysRng;
use tokio_postgres::{Client, NoTls};

pub(crate) const NOW: Timestamp = Timestamp::constant(1_790_000_000, 0);
const VARIABLE: &str = "DORMOUSE_TEST_POSTGRES";

/// Whether there is a server. Without one the tests say so, and fail where that must not be.
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn is_here() -> bool {
    let is_here = std::env::var_os(VARIABLE).is_some();
    if !is_here {
        let must_be = std::env::var_os("CI").is_some_and(|value| value == "true");
        assert!(!must_be, "{VARIABLE} names no server, and CI=true");
        eprintln!("SKIPPED: {VARIABLE} names no server (cargo xtask test starts one)");
    }
    is_here
}

pub(super) fn url() -> String {
    std::env::var(VARIABLE).unwrap()
}

/// Runs a test on several threads.
pub(super) fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap()
        .block_on(test)
}

/// A connection beside the store, to look at and to disturb what it does.
pub(super) async fn beside(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// The name of a schema that nobody else uses, removed with its holder.
pub(crate) struct Place {
    pub(super) schema: String,
}

impl Default for Place {
    fn default() -> Self {
        let own = SysRng.try_next_u64().unwrap();
        Self {
            schema: format!("test_{own:016x}"),
        }
    }
}

impl Place {
    pub(super) fn options(&self, now: Timestamp) -> PostgresOptions {
        PostgresOptions {
            schema: self.schema.clone(),
            ..PostgresOptions::new(now, SysRng.try_next_u64().unwrap())
        }
    }

    pub(crate) async fn open(&self, now: Timestamp) -> Postgres {
        Postgres::open(&url(), self.options(now)).await.unwrap()
    }

    pub(super) async fn remove(&self) {
        let sql = format!("DROP SCHEMA IF EXISTS \"{}\" CASCADE", self.schema);
        beside(&url()).await.batch_execute(&sql).await.unwrap();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        finish(self.remove());
    }
}

/// A database that nobody else uses, for what is told of whole databases only.
pub(super) struct Database {
    name: String,
}

impl Database {
    pub(super) async fn make() -> Self {
        let name = format!("test_{:016x}", SysRng.try_next_u64().unwrap());
        let sql = format!("CREATE DATABASE \"{name}\"");
        beside(&url()).await.batch_execute(&sql).await.unwrap();
        Self { name }
    }

    pub(super) fn url(&self) -> String {
        let url = url();
        let (server, _) = url.rsplit_once('/').unwrap();
        format!("{server}/{}", self.name)
    }

    pub(super) async fn set(&self, setting: &str, value: &str) {
        let sql = format!("ALTER DATABASE \"{}\" SET {setting} = {value}", self.name);
        beside(&url()).await.batch_execute(&sql).await.unwrap();
    }

    async fn remove(&self) {
        let sql = format!("DROP DATABASE IF EXISTS \"{}\" WITH (FORCE)", self.name);
        beside(&url()).await.batch_execute(&sql).await.unwrap();
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        finish(self.remove());
    }
}

/// On a thread of its own: the test's runtime may be the one that ends.
fn finish(removal: impl Future<Output = ()> + Send) {
    let removed = std::thread::scope(|scope| {
        let removing = || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap()
                .block_on(removal);
        };
        scope.spawn(removing).join()
    });
    assert!(
        removed.is_ok() || std::thread::panicking(),
        "something was not removed"
    );
}
