//! A backfill that is killed. The child is this test binary itself.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::{
    BACKFILL_OPEN_ROWS, Catalogue, Class, Deadline, IndexEntry, IndexValue, Item, Kind, Namespace, OpenError,
    Opener, Page, Prefix, Query, Record, RecordError, RecordKind, RecordStore, Records, Requirements,
    Segment, Sled, SledOptions, System, Tenant, indexes,
};
use jiff::Timestamp;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

const FOLDER: &str = "DORMOUSE_TEST_BACKFILL";
const READY: &str = "backfill child ready";
const ROWS: u64 = 100_000;
/// With an entry each they fit a batch.
const ROWS_A_COMMIT: u64 = 250;
const KILLS: u64 = 3;
const PEBBLE: RecordKind = RecordKind::of("pebble");

/// As the build before wrote it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Before {
    id: Segment,
    size: u64,
}

/// As the build with one index more writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pebble {
    id: Segment,
    size: u64,
}

indexes! {
    enum BeforeIndex {
        All = own "all",
    }
}

indexes! {
    enum PebbleIndex {
        All = own "all",
        Size = own "size",
    }
}

impl Record for Before {
    type Scope = Tenant;
    type Id = Segment;
    type Index = BeforeIndex;
    const KIND: RecordKind = PEBBLE;
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> Segment {
        self.id.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry<BeforeIndex>> {
        vec![IndexEntry::new(BeforeIndex::All, [])]
    }
}

impl Record for Pebble {
    type Scope = Tenant;
    type Id = Segment;
    type Index = PebbleIndex;
    const KIND: RecordKind = PEBBLE;
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;
    const INDEX_GENERATION: u32 = 2;

    fn id(&self) -> Segment {
        self.id.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry<PebbleIndex>> {
        let size = IndexValue::number(self.size);
        vec![
            IndexEntry::new(PebbleIndex::All, []),
            IndexEntry::new(PebbleIndex::Size, [size]),
        ]
    }
}

async fn open(folder: &Path) -> Arc<dyn RecordStore> {
    // A process that was killed a moment ago may not have let go yet.
    loop {
        match Sled::open(&folder.join("store"), SledOptions::new(Timestamp::UNIX_EPOCH)).await {
            Err(OpenError::InUse { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
            opened => return Arc::new(opened.unwrap()),
        }
    }
}

async fn system(store: &Arc<dyn RecordStore>) -> Namespace<System> {
    let opener = Opener::at(Timestamp::UNIX_EPOCH, 7);
    let opened = Namespace::<System>::open(Arc::clone(store), &Requirements::volatile(), opener).await;
    opened.unwrap()
}

fn acme(system: &Namespace<System>) -> Namespace<Tenant> {
    system.tenant(&Segment::parse("acme").unwrap())
}

async fn close(store: Arc<dyn RecordStore>) {
    store
        .close(Deadline::after(Duration::from_secs(60)))
        .await
        .unwrap();
}

#[test]
#[ignore = "the child process of the test beside it"]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = open(Path::new(&folder)).await;
        let system = system(&store).await;
        println!("{READY}");
        let catalogue = Catalogue::enlist(&system, vec![Kind::of::<Pebble>()]).await;
        catalogue.unwrap().build(&CancellationToken::new()).await.unwrap();
    });
}

fn start(folder: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "catalogue_crash::child", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(
        lines.any(|line| line.unwrap().contains(READY)),
        "the child ended by itself"
    );
    child
}

/// Rows of the build before.
async fn fill(folder: &Path) {
    let store = open(folder).await;
    let system = system(&store).await;
    let acme = acme(&system);
    let rows = Records::<Before>::new(&acme);
    Catalogue::enlist(&system, vec![Kind::of::<Before>()])
        .await
        .unwrap();
    for first in (0..ROWS).step_by(usize::try_from(ROWS_A_COMMIT).unwrap()) {
        let mut batch = acme.batch();
        for size in first..first + ROWS_A_COMMIT {
            let id = Segment::number(size);
            rows.stage_create(&mut batch, &Before { id, size }).unwrap();
        }
        acme.commit(batch).await.unwrap();
    }
    close(store).await;
}

/// How many rows the backfill looked at, by its cursor.
async fn looked(store: &dyn RecordStore) -> u64 {
    let page = Page::of(Prefix::parse("s/r/catalogue_cursor").unwrap());
    let listed = store.list(&page).await.unwrap();
    let [Item::Entry(cursor)] = &listed.items[..] else {
        return 0;
    };
    let row: serde_json::Value = serde_json::from_slice(&cursor.value).unwrap();
    row["value"]["rows"].as_u64().unwrap()
}

/// ST-9
#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_goes_on_where_it_was_killed_and_nothing_partial_is_found() {
    let seed: u64 = rand::TryRng::try_next_u64(&mut rand::rngs::SysRng).unwrap();
    println!("seed {seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path()).await;
    let mut before = 0;
    for _ in 0..KILLS {
        let mut child = start(folder.path());
        // Here the time itself is the thing: a random moment is what is tested.
        std::thread::sleep(Duration::from_micros(random.random_range(0..400_000)));
        assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
        let store = open(folder.path()).await;
        let system = system(&store).await;
        let after_kill = looked(&*store).await;
        assert!(after_kill >= before, "{after_kill} after {before}");
        let catalogue = Catalogue::enlist(&system, vec![Kind::of::<Pebble>()])
            .await
            .unwrap();
        before = looked(&*store).await;
        assert!(
            before > after_kill + BACKFILL_OPEN_ROWS,
            "it goes on from its cursor"
        );
        assert!(before < ROWS, "the kills came before its end");
        assert_eq!(catalogue.unready().await.unwrap().len(), 1);
        let rows = Records::<Pebble>::new(&acme(&system));
        let found = rows.find(&Query::of(PebbleIndex::Size)).await;
        assert!(
            matches!(found, Err(RecordError::IndexBuilding { index: "size", .. })),
            "{found:?}"
        );
        assert_eq!(rows.find(&Query::of(PebbleIndex::All)).await.unwrap().issues, []);
        close(store).await;
    }
    let store = open(folder.path()).await;
    all_are_found(&store).await;
    close(store).await;
}

/// Ends the backfill, and finds every row once and in order.
async fn all_are_found(store: &Arc<dyn RecordStore>) {
    let system = system(store).await;
    let catalogue = Catalogue::enlist(&system, vec![Kind::of::<Pebble>()])
        .await
        .unwrap();
    catalogue.build(&CancellationToken::new()).await.unwrap();
    assert_eq!(catalogue.unready().await.unwrap(), []);
    assert_eq!(looked(&**store).await, 0, "the cursor is gone");
    let rows = Records::<Pebble>::new(&acme(&system));
    let mut query = Query::of(PebbleIndex::Size).limit(1000);
    let mut expected = 0..ROWS;
    // Ends with the last page.
    loop {
        let page = rows.find(&query).await.unwrap();
        assert_eq!(page.issues, []);
        for row in &page.rows {
            assert_eq!(Some(row.size), expected.next());
        }
        match page.next {
            Some(next) => query = Query::of(PebbleIndex::Size).limit(1000).after(Some(next)),
            None => break,
        }
    }
    assert_eq!(expected.next(), None, "all are found");
}
