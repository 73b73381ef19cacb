//! Stores that promise more than they do: refused when they are opened, and never written to another way.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dormouse_filesystem::capability::{
    Atomicity, Durability, Export, Listing, Logs, Reach, Watch as Watching,
};
use dormouse_filesystem::wrapper::{Between, Counted, Operation};
use dormouse_filesystem::{
    Batch, Capabilities, Change, CommitError, Committed, Deadline, Entry, Expected, Failed, Key, Lane,
    LogError, Logged, Memory, Namespace, OpenError, Opener, Page, Position, Prefix, ReadError, RecordKind,
    RecordStore, RecordStoreExt, Requirements, Retry, Stream, System, UpdateError, Version, between,
    cas_update,
};

use crate::scripted::Scripted;

/// The one promise a store breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    /// None: it is as good as the memory store, to the handshake.
    None,
    /// A key that exists is created again.
    CreatesTwice,
    /// A record is replaced at whatever version.
    TakesStaleWrites,
    /// Of a batch with a bad check, what is good is done.
    SplitsBatches,
    /// A key that was deleted begins its versions again.
    ReusesVersions,
    /// Versions are some number.
    VersionsFall,
    /// Only every second position is used.
    SkipsPositions,
    /// A log begins again with every batch.
    RepeatsPositions,
    /// Every record is bytes.
    ForgetsKinds,
    /// Writes are acknowledged and not done.
    ForgetsWrites,
}

impl Lie {
    const ALL: [Self; 9] = [
        Self::CreatesTwice,
        Self::TakesStaleWrites,
        Self::SplitsBatches,
        Self::ReusesVersions,
        Self::VersionsFall,
        Self::SkipsPositions,
        Self::RepeatsPositions,
        Self::ForgetsKinds,
        Self::ForgetsWrites,
    ];
}

/// A store that declares all and breaks one promise of it.
struct Liar {
    lie: Lie,
    /// What it says where it does not lie; nothing is written to it.
    honest: Memory,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    records: BTreeMap<Key, Entry>,
    /// How often each key was written since it was created.
    writes: BTreeMap<Key, u64>,
    log: Vec<Logged>,
    first: u64,
    commits: u64,
}

impl Liar {
    fn new(lie: Lie) -> Self {
        let state = State {
            first: 1,
            ..State::default()
        };
        Self {
            lie,
            honest: memory(),
            state: Mutex::new(state),
        }
    }
}

impl State {
    fn holds(&self, lie: Lie, key: &Key, expected: Expected) -> bool {
        let actual = self.records.get(key).map(|entry| entry.version);
        match expected {
            Expected::Absent => actual.is_none() || lie == Lie::CreatesTwice,
            Expected::At(_) if lie == Lie::TakesStaleWrites => actual.is_some(),
            Expected::At(version) => actual == Some(version),
        }
    }

    fn commit(&mut self, lie: Lie, batch: &Batch) -> Result<Committed, CommitError> {
        let failed: Vec<Failed> = batch
            .keys()
            .filter(|(key, expected)| !self.holds(lie, key, *expected))
            .map(|(key, _)| Failed {
                key: key.clone(),
                actual: self.records.get(key).map(|entry| entry.version),
            })
            .collect();
        let is_refused = !failed.is_empty();
        if is_refused && lie != Lie::SplitsBatches {
            return Err(CommitError::Conflict { failed });
        }
        self.commits += 1;
        let mut version = Version::new(1000 + self.commits);
        for delete in &batch.deletes {
            self.records.remove(&delete.key);
            self.writes.remove(&delete.key);
        }
        for put in batch
            .puts
            .iter()
            .filter(|put| failed.iter().all(|failed| failed.key != put.key))
        {
            let writes = self.writes.entry(put.key.clone()).or_default();
            *writes += 1;
            match lie {
                Lie::ReusesVersions => version = Version::new(*writes),
                Lie::VersionsFall => version = Version::new(1000 - self.commits),
                _ => {}
            }
            let kind = if lie == Lie::ForgetsKinds {
                RecordKind::of("bytes")
            } else {
                put.kind.clone()
            };
            let (key, value) = (put.key.clone(), put.value.clone());
            if lie != Lie::ForgetsWrites {
                self.records.insert(
                    key.clone(),
                    Entry {
                        key,
                        value,
                        version,
                        kind,
                    },
                );
            }
        }
        if is_refused {
            return Err(CommitError::Conflict { failed });
        }
        let positions = batch.appends.iter().map(|append| {
            let written = self.first - 1 + self.log.len() as u64;
            let position = Position::new(match lie {
                Lie::SkipsPositions => written * 2 + 1,
                Lie::RepeatsPositions => 1,
                _ => written + 1,
            });
            self.log.push(Logged {
                position,
                version,
                entry: append.entry.clone(),
            });
            (append.log.clone(), position)
        });
        Ok(Committed {
            positions: positions.collect(),
            version: Some(version),
        })
    }
}

#[async_trait]
impl Between for Liar {
    fn beneath(&self) -> &dyn RecordStore {
        &self.honest
    }

    async fn get(&self, key: &Key) -> Result<Option<Entry>, ReadError> {
        Ok(self.state.lock().unwrap().records.get(key).cloned())
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, ReadError> {
        let state = self.state.lock().unwrap();
        Ok(keys.iter().map(|key| state.records.get(key).cloned()).collect())
    }

    async fn commit(&self, batch: Batch, _deadline: Deadline) -> Result<Committed, CommitError> {
        self.state.lock().unwrap().commit(self.lie, &batch)
    }

    async fn tail(&self, _log: &Stream, after: Position, _limit: usize) -> Result<Vec<Logged>, LogError> {
        let state = self.state.lock().unwrap();
        Ok(state
            .log
            .iter()
            .filter(|entry| entry.position > after)
            .cloned()
            .collect())
    }

    async fn truncate(&self, _log: &Stream, before: Position) -> Result<Position, LogError> {
        Ok(before)
    }
}

between!(Liar);

impl fmt::Debug for Liar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Liar({:?})", self.lie)
    }
}

impl fmt::Display for Liar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("liar")
    }
}

fn memory() -> Memory {
    Memory::new(jiff::Timestamp::UNIX_EPOCH)
}

async fn open(store: impl RecordStore, need: &Requirements) -> Result<Namespace<System>, OpenError> {
    Namespace::<System>::open(Arc::new(store), need, Opener::at(jiff::Timestamp::UNIX_EPOCH, 7)).await
}

/// FS-25
#[tokio::test]
async fn a_store_that_breaks_a_promise_is_refused_and_the_promise_named() {
    let mut promises = Vec::new();
    for lie in Lie::ALL {
        match open(Liar::new(lie), &Requirements::volatile()).await {
            Err(OpenError::Broken { promise }) => promises.push(format!("{lie:?}: {promise}")),
            other => panic!("{lie:?}: {other:?}"),
        }
    }
    let expected = [
        "CreatesTwice: a key is created once",
        "TakesStaleWrites: a stale version is refused",
        "SplitsBatches: a refused batch changes nothing",
        "ReusesVersions: a version is never reused",
        "VersionsFall: versions rise",
        "SkipsPositions: no position is skipped",
        "RepeatsPositions: positions rise",
        "ForgetsKinds: a record keeps its kind",
        "ForgetsWrites: a key is created once",
    ];
    assert_eq!(promises, expected);
    open(Liar::new(Lie::None), &Requirements::volatile())
        .await
        .expect("without a lie it is as good as any");
}

/// Each capability below what is needed, and its name.
fn weaker(than: Capabilities) -> [(&'static str, Capabilities); 7] {
    [
        (
            "atomicity",
            Capabilities {
                atomicity: Atomicity::Record,
                ..than
            },
        ),
        (
            "reach",
            Capabilities {
                reach: Reach::None,
                ..than
            },
        ),
        (
            "durability",
            Capabilities {
                durability: Durability::ProcessCrash,
                ..than
            },
        ),
        (
            "listing",
            Capabilities {
                listing: Listing::Unordered,
                ..than
            },
        ),
        (
            "logs",
            Capabilities {
                logs: Logs::None,
                ..than
            },
        ),
        (
            "export",
            Capabilities {
                export: Export::None,
                ..than
            },
        ),
        (
            "watch",
            Capabilities {
                watch: Watching::None,
                ..than
            },
        ),
    ]
}

/// FS-24, with what is not declared at operation time beside.
#[tokio::test]
async fn what_is_not_declared_is_lacked_by_name_and_the_store_is_not_asked() {
    let need = Capabilities {
        export: Export::Snapshot,
        ..Requirements::embedded()
    };
    for (name, declared) in weaker(need) {
        let store = Arc::new(Counted::new(Scripted::declaring(declared)));
        match open(Arc::clone(&store), &need).await {
            Err(OpenError::Lacks { capability, .. }) => assert_eq!(capability, name),
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(store.counts().operations(), 0, "{name}");
    }
    let nothing = open(Scripted::declaring(Capabilities::default()), &need).await;
    assert!(matches!(nothing, Err(OpenError::Lacks { .. })), "{nothing:?}");
    open(Scripted::declaring(need), &need)
        .await
        .expect("all is declared");
}

/// FS-24: the store inside could do all of it.
#[tokio::test]
async fn what_is_not_declared_is_unsupported_and_nothing_is_done() {
    let (key, log) = (Key::parse("a").unwrap(), Stream::new(Key::parse("l").unwrap()));
    let retry = Retry::seeded(7);
    let all = memory().capabilities(&Prefix::root());
    let mut appends = Batch::new(Lane::System);
    appends.append(log, "entry");
    let mut puts = Batch::new(Lane::System);
    puts.put(
        Key::parse("b").unwrap(),
        Expected::Absent,
        RecordKind::of("test"),
        "",
    );
    for (atomicity, logs, more, missing) in [
        (Atomicity::None, all.logs, None, "compare-and-swap"),
        (Atomicity::Record, all.logs, Some(&puts), "batches"),
        (Atomicity::Batch, Logs::None, Some(&appends), "logs"),
    ] {
        let store = Scripted::declaring(Capabilities {
            atomicity,
            logs,
            ..all
        });
        let updated = cas_update(&store, &key, &retry, |_| {
            let change = Change::put(RecordKind::of("test"), "value");
            let change = more.cloned().map_or(change.clone(), |more| change.with(more));
            Ok::<_, std::convert::Infallible>((change, ()))
        });
        match updated.await {
            Err(UpdateError::Unsupported { capability }) => assert_eq!(capability, missing),
            other => panic!("{missing}: {other:?}"),
        }
        assert_eq!(store.batches().len(), 0, "{missing}");
    }
}

/// A store of plain bytes behind a declaration of everything: it finds out at the first write what it is asked for.
struct Bytes {
    reached: AtomicUsize,
    inner: Memory,
}

#[async_trait]
impl Between for Bytes {
    fn beneath(&self) -> &dyn RecordStore {
        &self.inner
    }

    async fn commit(&self, _batch: Batch, _deadline: Deadline) -> Result<Committed, CommitError> {
        self.reached.fetch_add(1, Ordering::SeqCst);
        Err(CommitError::Unsupported { capability: "kinds" })
    }
}

between!(Bytes);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bytes")
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }
}

fn bytes() -> Arc<Counted<Bytes>> {
    Arc::new(Counted::new(Bytes {
        reached: AtomicUsize::new(0),
        inner: memory(),
    }))
}

/// FS-26
#[tokio::test]
async fn a_store_of_bytes_refuses_the_first_write_and_none_is_tried_another_way() {
    const KIND: RecordKind = RecordKind::of("test");
    let (key, soon) = (Key::parse("a").unwrap(), Deadline::after(Duration::from_secs(60)));
    let reached = |store: &Counted<Bytes>| store.inner().reached.load(Ordering::SeqCst);

    let store = bytes();
    let opened = open(Arc::clone(&store), &Requirements::volatile()).await;
    assert!(
        matches!(
            opened,
            Err(OpenError::Lacks {
                capability: "kinds",
                ..
            })
        ),
        "{opened:?}"
    );
    assert_eq!(
        (reached(&store), store.counts().operations()),
        (1, 2),
        "a look for the mark of an import, the first write, and nothing after it"
    );

    let store = bytes();
    let created = store.create(key.clone(), KIND, "value", soon).await;
    assert!(
        matches!(created, Err(CommitError::Unsupported { capability: "kinds" })),
        "{created:?}"
    );
    assert_eq!(reached(&store), 1);

    let store = bytes();
    let retry = Retry::seeded(7);
    let updated = cas_update(&*store, &key, &retry, |_| {
        Ok::<_, std::convert::Infallible>((Change::put(KIND, "value"), ()))
    });
    let updated = updated.await;
    assert!(
        matches!(updated, Err(UpdateError::Unsupported { .. })),
        "{updated:?}"
    );
    assert_eq!((reached(&store), store.counts().of(Operation::Commit)), (1, 1));
    assert!(store.get(&key).await.unwrap().is_none(), "nothing is stored");
}

/// Openers at once prove their store on keys of their own, and leave nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn openers_at_once_refuse_no_good_store_and_leave_nothing() {
    let store: Arc<dyn RecordStore> = Arc::new(memory());
    let openers = (0..64).map(|seed| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            Namespace::<System>::open(
                store,
                &Requirements::volatile(),
                Opener::at(jiff::Timestamp::UNIX_EPOCH, seed),
            )
            .await
        })
    });
    for opened in futures::future::join_all(openers).await {
        opened.unwrap().expect("the store is good");
    }
    assert_eq!(store.list(&Page::of(Prefix::root())).await.unwrap().items, []);
    let heads = store.heads(&Prefix::root(), None, 10).await.unwrap();
    assert!(heads.iter().all(|(_, head)| head.bytes == 0), "{heads:?}");
}
