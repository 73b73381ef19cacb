//! Where the store of a house is: in memory, in a folder, or in a schema of a server, gone with the house.

use std::path::Path;
use std::sync::Arc;

use dormouse_filesystem::contract::OwnSchema;
use dormouse_filesystem::{
    Local, LocalOptions, Memory, Postgres, PostgresOptions, RecordStore, Sled, SledOptions,
};
use rand::TryRng;
use rand::rngs::SysRng;

use super::house::start;

/// The url of a server whose user may make schemas; `cargo xtask test` starts one.
const SERVER: &str = "DORMOUSE_TEST_POSTGRES";

/// A store's place.
pub(crate) enum Place {
    /// In this process alone.
    Memory(Arc<dyn RecordStore>),
    /// In a folder, in sled.
    Sled(tempfile::TempDir),
    /// In a folder, in readable files.
    Local(tempfile::TempDir),
    /// In a schema of a server.
    Postgres(OwnSchema),
    /// Where the process is that started this one.
    Theirs(String),
}

impl Place {
    pub(crate) fn memory() -> Self {
        Self::Memory(Arc::new(Memory::new(start())))
    }

    pub(crate) fn sled() -> Self {
        Self::Sled(tempfile::tempdir().unwrap())
    }

    pub(crate) fn local() -> Self {
        Self::Local(tempfile::tempdir().unwrap())
    }

    /// None where there is no server.
    pub(crate) fn postgres() -> Option<Self> {
        own_schema().map(Self::Postgres)
    }

    /// What a child of the test opens it by.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Memory(_) => unreachable!("no other process opens it"),
            Self::Sled(folder) => format!("sled:{}", folder.path().display()),
            Self::Local(folder) => format!("local:{}", folder.path().display()),
            Self::Postgres(schema) => format!("postgres:{}", schema.name()),
            Self::Theirs(told) => told.clone(),
        }
    }

    pub(crate) async fn open(&self) -> Arc<dyn RecordStore> {
        if let Self::Memory(store) = self {
            return Arc::clone(store);
        }
        match self.told().split_once(':').unwrap() {
            ("sled", path) => open_sled(Path::new(path)).await,
            ("local", path) => open_local(Path::new(path)).await,
            ("postgres", schema) => open_postgres(schema).await,
            other => panic!("{other:?}"),
        }
    }

    /// The folder, of those that have one.
    pub(crate) fn folder(&self) -> Option<&Path> {
        match self {
            Self::Sled(folder) | Self::Local(folder) => Some(folder.path()),
            Self::Memory(_) | Self::Postgres(_) | Self::Theirs(_) => None,
        }
    }

    /// A copy of a sled store that nobody has open.
    pub(crate) fn copy_of_sled(folder: &Path) -> Self {
        let copy = tempfile::tempdir().unwrap();
        copy_all(folder, copy.path());
        Self::Sled(copy)
    }

    /// The text of every row, of a server.
    pub(crate) async fn dumped(&self) -> Vec<u8> {
        let Self::Postgres(schema) = self else {
            return Vec::new();
        };
        dumped(schema).await
    }
}

fn copy_all(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_all(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

async fn open_sled(path: &Path) -> Arc<dyn RecordStore> {
    let options = SledOptions {
        segment_bytes: 1024 * 1024,
        cache_bytes: 1024 * 1024,
        reserve_bytes: 1024 * 1024,
        ..SledOptions::new(start())
    };
    Arc::new(Sled::open(&path.join("store"), options).await.unwrap())
}

async fn open_local(path: &Path) -> Arc<dyn RecordStore> {
    let options = LocalOptions {
        segment_bytes: 1024 * 1024,
        reserve_bytes: 1024 * 1024,
        ..LocalOptions::new(start())
    };
    Arc::new(Local::open(path, options).await.unwrap())
}

async fn open_postgres(schema: &str) -> Arc<dyn RecordStore> {
    let options = PostgresOptions {
        schema: schema.to_owned(),
        ..PostgresOptions::new(start(), SysRng.try_next_u64().unwrap())
    };
    Arc::new(Postgres::open(&url(), options).await.unwrap())
}

fn url() -> String {
    std::env::var(SERVER).unwrap()
}

/// None where there is no server: said, and wrong where there has to be one.
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
fn own_schema() -> Option<OwnSchema> {
    let Ok(url) = std::env::var(SERVER) else {
        let must_be = std::env::var_os("CI").is_some_and(|value| value == "true");
        assert!(!must_be, "{SERVER} names no server, and CI=true");
        eprintln!("SKIPPED: {SERVER} names no server (cargo xtask test starts one)");
        return None;
    };
    Some(OwnSchema::new(url, SysRng.try_next_u64().unwrap()))
}

/// Every row of every table, its bytes as they are and as text has them.
async fn dumped(schema: &OwnSchema) -> Vec<u8> {
    let client = schema.client().await;
    let tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = $1";
    let mut all = Vec::new();
    for table in client.query(tables, &[&schema.name()]).await.unwrap() {
        let table: String = table.get(0);
        let columns = "SELECT column_name, data_type FROM information_schema.columns \
            WHERE table_schema = $1 AND table_name = $2";
        for column in client.query(columns, &[&schema.name(), &table]).await.unwrap() {
            let (column, kind): (String, String) = (column.get(0), column.get(1));
            let sql = match kind.as_str() {
                "bytea" => format!("SELECT \"{column}\" FROM \"{}\".\"{table}\"", schema.name()),
                _ => format!(
                    "SELECT convert_to(\"{column}\"::text, 'UTF8') FROM \"{}\".\"{table}\"",
                    schema.name()
                ),
            };
            for row in client.query(&sql, &[]).await.unwrap() {
                let bytes: Option<Vec<u8>> = row.get(0);
                all.extend(bytes.unwrap_or_default());
                all.push(b'\n');
            }
        }
    }
    all
}
