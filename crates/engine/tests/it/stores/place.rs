//! Where the store of a house is: in memory, in a folder, or in a schema of a server, gone with the house.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::contract::OwnSchema;
use dormouse_filesystem::{
    Deadline, Local, LocalOptions, Memory, Postgres, PostgresOptions, RecordStore, Sled, SledOptions,
};
use jiff::Timestamp;
use rand::TryRng;
use rand::rngs::SysRng;

/// The url of a server whose user may make schemas; `cargo xtask test` starts one.
const SERVER: &str = "DORMOUSE_TEST_POSTGRES";

/// A store's place, and how it is opened.
#[derive(Debug)]
pub(crate) enum Place {
    /// In this process: another process of the test has the same one.
    Memory(Arc<dyn RecordStore>),
    /// Where the process is that started this one, and whether others may be there too.
    Theirs(Arc<dyn RecordStore>, bool),
    /// In a folder, in sled.
    Sled(tempfile::TempDir),
    /// In a folder, in readable files.
    Local(tempfile::TempDir),
    /// In a schema of a server.
    Postgres(OwnSchema),
}

impl Place {
    pub(crate) fn memory() -> Self {
        Self::Memory(Arc::new(Memory::new(Timestamp::UNIX_EPOCH)))
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

    /// A maker of each that outlives a process; that of a server makes none where there is no server.
    pub(crate) fn lasting() -> [fn() -> Option<Self>; 3] {
        [|| Some(Self::sled()), || Some(Self::local()), Self::postgres]
    }

    pub(crate) async fn open(&self) -> Arc<dyn RecordStore> {
        match self {
            Self::Memory(store) | Self::Theirs(store, _) => Arc::clone(store),
            Self::Sled(folder) => open_sled(folder.path()).await,
            Self::Local(folder) => open_local(folder.path()).await,
            Self::Postgres(schema) => open_postgres(schema.name()).await,
        }
    }

    /// What a child of the test opens it by; none of what is in this process alone.
    pub(crate) fn reference(&self) -> Option<String> {
        match self {
            Self::Memory(_) | Self::Theirs(..) | Self::Local(_) => None,
            Self::Sled(folder) => Some(format!("sled {}", folder.path().display())),
            Self::Postgres(schema) => Some(format!("postgres {}", schema.name())),
        }
    }

    /// The store of the parent, in its child.
    pub(crate) async fn of_child(reference: &str) -> Self {
        let (kind, place) = reference.split_once(' ').unwrap();
        match kind {
            "sled" => Self::Theirs(open_sled(Path::new(place)).await, false),
            "postgres" => Self::Theirs(open_postgres(place).await, true),
            other => panic!("no child opens {other}"),
        }
    }

    /// Whether several processes may have it open.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_) | Self::Theirs(_, true))
    }

    /// What a child process is told, to open the same.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Memory(_) | Self::Theirs(..) => unreachable!("no other process opens it"),
            Self::Sled(folder) => format!("sled:{}", folder.path().display()),
            Self::Local(folder) => format!("local:{}", folder.path().display()),
            Self::Postgres(schema) => format!("postgres:{}", schema.name()),
        }
    }

    /// The store that a child process was told of.
    pub(crate) async fn open_told(told: &str) -> Arc<dyn RecordStore> {
        match told.split_once(':').unwrap() {
            ("sled", path) => open_sled(Path::new(path)).await,
            ("local", path) => open_local(Path::new(path)).await,
            ("postgres", schema) => open_postgres(schema).await,
            other => panic!("{other:?}"),
        }
    }

    /// Closed and opened again.
    pub(crate) async fn reopen(&self, store: Arc<dyn RecordStore>) -> Arc<dyn RecordStore> {
        if let Self::Memory(store) | Self::Theirs(store, _) = self {
            return Arc::clone(store);
        }
        store
            .close(Deadline::after(Duration::from_secs(10)))
            .await
            .unwrap();
        drop(store);
        self.open().await
    }
}

async fn open_sled(path: &Path) -> Arc<dyn RecordStore> {
    let options = SledOptions {
        segment_bytes: 1024 * 1024,
        cache_bytes: 1024 * 1024,
        reserve_bytes: 1024 * 1024,
        ..SledOptions::new(Timestamp::UNIX_EPOCH)
    };
    Arc::new(Sled::open(path, options).await.unwrap())
}

async fn open_local(path: &Path) -> Arc<dyn RecordStore> {
    let options = LocalOptions {
        segment_bytes: 1024 * 1024,
        reserve_bytes: 1024 * 1024,
        ..LocalOptions::new(Timestamp::UNIX_EPOCH)
    };
    Arc::new(Local::open(path, options).await.unwrap())
}

async fn open_postgres(schema: &str) -> Arc<dyn RecordStore> {
    let options = PostgresOptions {
        schema: schema.to_owned(),
        ..PostgresOptions::new(Timestamp::UNIX_EPOCH, SysRng.try_next_u64().unwrap())
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
