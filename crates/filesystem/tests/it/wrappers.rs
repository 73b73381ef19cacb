//! The wrappers: each is the store inside to the whole contract, and does its one thing more.

use std::io::Write;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dormouse_filesystem::contract::{Harness, suite};
use dormouse_filesystem::wrapper::{Counted, Fault, FaultKind, Operation, Outcome, Traced};
use dormouse_filesystem::{
    Batch, Change, CommitError, Deadline, Entry, Expected, Item, Key, Lane, Memory, Page, Position, Prefix,
    RecordKind, RecordStore, RecordStoreExt, Retry, Stream, UpdateError, Updated, cas_update,
};
use futures::StreamExt;
use jiff::{Timestamp, ToSpan};

const NOW: Timestamp = Timestamp::constant(1_790_000_000, 0);
const KIND: RecordKind = RecordKind::of("test");

/// A memory store in a wrapper.
struct Wrapped<W>(PhantomData<W>);

impl<W> Default for Wrapped<W> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

trait Wrapper {
    fn around(store: Memory) -> Arc<dyn RecordStore>;
}

impl Wrapper for Counted<Memory> {
    fn around(store: Memory) -> Arc<dyn RecordStore> {
        Arc::new(Self::new(store))
    }
}

impl Wrapper for Traced<Memory> {
    fn around(store: Memory) -> Arc<dyn RecordStore> {
        Arc::new(Self::new(store))
    }
}

impl Wrapper for Fault<Memory> {
    fn around(store: Memory) -> Arc<dyn RecordStore> {
        Arc::new(Self::scripted(store))
    }
}

impl<W: Wrapper> Harness for Wrapped<W> {
    async fn open(&self) -> Arc<dyn RecordStore> {
        W::around(Memory::new(NOW))
    }

    async fn reopen(&self) -> Option<Arc<dyn RecordStore>> {
        None
    }

    async fn anew(&self) -> Arc<dyn RecordStore> {
        W::around(Memory::new(NOW + 1.second()))
    }
}

// FS-50, with the router beside.
suite!(counted, Wrapped<Counted<Memory>>);
suite!(traced, Wrapped<Traced<Memory>>);
suite!(faulty, Wrapped<Fault<Memory>>);

fn memory() -> Memory {
    Memory::new(NOW)
}

fn key(path: &str) -> Key {
    Key::parse(path).unwrap()
}

fn log(path: &str) -> Stream {
    Stream::new(key(path))
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(600))
}

fn put(path: &str, value: &str) -> Batch {
    let mut batch = Batch::new(Lane::System);
    batch.put(key(path), Expected::Absent, KIND, value.to_owned());
    batch
}

/// FS-50
#[tokio::test]
async fn limits_of_pages_and_tails_reach_the_store() {
    let store = Fault::scripted(Traced::new(Counted::new(memory())));
    for n in 0..100 {
        store
            .create(key(&format!("p/{n:02}")), KIND, "four", soon())
            .await
            .unwrap();
        store
            .append(log(&format!("l/{n:02}")), "four", soon())
            .await
            .unwrap();
        store.append(log("l"), "four", soon()).await.unwrap();
    }
    let counted = store.inner().inner();
    let items = || counted.counts().items_read;
    let page = Page {
        limit: 3,
        ..Page::of(Prefix::parse("p").unwrap())
    };
    let before = counted.counts();
    assert_eq!(store.list(&page).await.unwrap().items.len(), 3);
    assert_eq!(items() - before.items_read, 3);
    // Key, kind and value of each.
    assert_eq!(counted.counts().bytes_read - before.bytes_read, 3 * (4 + 4 + 4));
    store.tail(&log("l"), Position::START, 4).await.unwrap();
    assert_eq!(items() - before.items_read, 3 + 4);
    store.heads(&Prefix::parse("l").unwrap(), None, 5).await.unwrap();
    assert_eq!(items() - before.items_read, 3 + 4 + 5);
}

#[tokio::test]
async fn what_is_asked_is_counted_and_idle_costs_nothing() {
    let store = Counted::new(memory());
    store.capabilities(&Prefix::root());
    assert_eq!(store.counts().operations(), 0);
    store.commit(put("a", "value"), soon()).await.unwrap();
    let _ = store.commit(put("a", "value"), soon()).await.unwrap_err();
    store.get(&key("a")).await.unwrap();
    store.get(&key("b")).await.unwrap();
    let counts = store.counts();
    assert_eq!((counts.of(Operation::Commit), counts.of(Operation::Get)), (2, 2));
    assert_eq!(
        (counts.bytes_written, counts.bytes_read, counts.items_read),
        (10, 10, 1)
    );
    assert_eq!(counts.operations(), 4);
}

/// Text that a subscriber wrote.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn operations_are_traced_with_class_size_and_outcome_and_no_key() {
    let written = Written::default();
    let to = written.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || to.clone())
        .with_ansi(false)
        .with_max_level(tracing::Level::DEBUG)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::CLOSE)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let inner = Fault::scripted(memory());
    inner.next(Operation::Commit, FaultKind::Delay(Duration::from_millis(3)));
    let store = Traced::new(inner);
    store
        .commit(put("hidden/name", "hidden value"), soon())
        .await
        .unwrap();
    let _ = store
        .commit(put("hidden/name", "hidden value"), soon())
        .await
        .unwrap_err();
    store.get(&key("hidden/name")).await.unwrap();
    store.inner().next(Operation::Get, FaultKind::Hang);
    let dropped = tokio::time::timeout(Duration::from_secs(1), store.get(&key("hidden/name"))).await;
    assert!(dropped.is_err());

    let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    assert!(!text.contains("hidden"), "{text}");
    for part in [
        r#"operation="commit" items=1 bytes=27 lane="system" outcome="done" us=3000"#,
        r#"outcome="conflict""#,
        r#"operation="get" items=1 bytes=12 outcome="done""#,
        r#"operation="get" outcome="dropped" us=1000000"#,
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let ended = |outcome| store.ended(Operation::Commit, outcome);
    assert_eq!(
        (
            ended(Outcome::Done),
            ended(Outcome::Conflict),
            ended(Outcome::Busy)
        ),
        (1, 1, 0)
    );
    assert_eq!(store.ended(Operation::Get, Outcome::Dropped), 1);
    let took = store.took(Operation::Commit);
    assert_eq!((took.count(), took.sum_us, took.buckets[12]), (2, 3000, 1));
}

/// One call of each operation; what it says, by class.
async fn call(store: &dyn RecordStore, operation: Operation) -> Outcome {
    fn class<T, E>(answer: &Result<T, E>) -> Outcome
    where
        for<'a> Outcome: From<&'a E>,
    {
        answer.as_ref().map_or_else(Outcome::from, |_| Outcome::Done)
    }
    let (log, root) = (log("l"), Prefix::root());
    match operation {
        Operation::Get => class(&store.get(&key("a")).await),
        Operation::GetMany => class(&store.get_many(&[key("a")]).await),
        Operation::List => match store.list(&Page::of(root)).await {
            Ok(listed) if matches!(listed.items[0], Item::Corrupt { .. }) => Outcome::Corrupt,
            answer => class(&answer),
        },
        Operation::ListMany => match store.list_many(&[Page::of(root)]).await {
            Ok(listed) if matches!(listed[0].items[0], Item::Corrupt { .. }) => Outcome::Corrupt,
            answer => class(&answer),
        },
        Operation::Commit => class(&store.commit(put("new", ""), soon()).await),
        Operation::Tail => class(&store.tail(&log, Position::START, 1).await),
        Operation::Head => class(&store.head(&log).await),
        Operation::Heads => class(&store.heads(&root, None, 1).await),
        Operation::Truncate => class(&store.truncate(&log, Position::new(2)).await),
        Operation::Watch => class(&store.watch(&root).await),
        Operation::Export => {
            let items: Vec<_> = store.export(&root).collect().await;
            let failed = items.iter().find_map(|item| item.as_ref().err());
            failed.map_or(Outcome::Done, Outcome::from)
        }
        Operation::Health => {
            store.health().await;
            Outcome::Done
        }
        Operation::Close => class(&store.close(soon()).await),
    }
}

/// FS-51
#[tokio::test(start_paused = true)]
async fn a_fault_has_its_class_and_the_next_call_works() {
    let delay = Duration::from_secs(3);
    let kinds = [
        FaultKind::Delay(delay),
        FaultKind::Refuse,
        FaultKind::Conflict,
        FaultKind::Hang,
        FaultKind::LoseBefore,
        FaultKind::LoseAfter,
        FaultKind::LoseHints,
        FaultKind::Damage,
    ];
    let mut met = 0;
    for operation in Operation::ALL.iter().copied() {
        for kind in kinds.into_iter().filter(|kind| kind.applies_to(operation)) {
            met += 1;
            let store = Fault::scripted(memory());
            store.create(key("a"), KIND, "", soon()).await.unwrap();
            store.append(log("l"), "entry", soon()).await.unwrap();
            store.next(operation, kind);
            let begun = tokio::time::Instant::now();
            let answer = tokio::time::timeout(delay * 2, call(&store, operation)).await;
            let is_write = matches!(operation, Operation::Commit | Operation::Truncate);
            let expected = match kind {
                FaultKind::Delay(_) | FaultKind::LoseHints => Ok(Outcome::Done),
                FaultKind::Refuse if is_write => Ok(Outcome::Busy),
                FaultKind::Refuse => Ok(Outcome::Unavailable),
                FaultKind::Conflict => Ok(Outcome::Conflict),
                FaultKind::Hang => Err(()),
                FaultKind::LoseBefore | FaultKind::LoseAfter => Ok(Outcome::Indeterminate),
                FaultKind::Damage => Ok(Outcome::Corrupt),
            };
            assert_eq!(answer.map_err(drop), expected, "{operation:?} {kind:?}");
            assert_eq!(
                matches!(kind, FaultKind::Delay(_)),
                begun.elapsed() == delay,
                "{operation:?} {kind:?}"
            );

            let is_done = matches!(kind, FaultKind::Delay(_) | FaultKind::LoseAfter);
            let written = store.inner().get(&key("new")).await.unwrap();
            assert_eq!(
                written.is_some(),
                operation == Operation::Commit && is_done,
                "{operation:?} {kind:?}"
            );
            let first = store.inner().head(&log("l")).await.unwrap().first;
            let is_truncated = operation == Operation::Truncate && is_done;
            assert_eq!(first == Position::new(2), is_truncated, "{operation:?} {kind:?}");

            let next = call(&store, operation).await;
            let is_there = operation == Operation::Commit && is_done;
            assert!(
                next == if is_there { Outcome::Conflict } else { Outcome::Done }
                // What was truncated is no more there to be read from the start.
                || operation == Operation::Tail,
                "{operation:?} {kind:?}: {next:?}"
            );
            assert_eq!(store.met(), 1);
        }
    }
    assert_eq!(
        met,
        13 * 2 + 11 + 1 + 2 * 2 + 1 + 5,
        "each kind at each operation it happens to"
    );
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_loses_its_hints_still_ends() {
    let store = Fault::scripted(memory());
    store.next(Operation::Watch, FaultKind::LoseHints);
    let mut deaf = store.watch(&Prefix::root()).await.unwrap();
    let mut watch = store.watch(&Prefix::root()).await.unwrap();
    store.create(key("a"), KIND, "", soon()).await.unwrap();
    assert!(watch.next().await.is_some());
    let hint = tokio::time::timeout(Duration::from_secs(9), deaf.next()).await;
    assert!(hint.is_err(), "{hint:?}");
    store.close(soon()).await.unwrap();
    assert_eq!(deaf.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn one_seed_is_one_history() {
    let history = async |seed| {
        let store = Fault::seeded(memory(), seed, 500);
        store.inner().create(key("a"), KIND, "", soon()).await.unwrap();
        store.inner().append(log("l"), "entry", soon()).await.unwrap();
        let mut outcomes = Vec::new();
        for n in 0..200 {
            let operation = Operation::ALL[n % (Operation::ALL.len() - 1)];
            let begun = tokio::time::Instant::now();
            outcomes.push((call(&store, operation).await, begun.elapsed()));
        }
        (outcomes, store.met())
    };
    let (one, met) = history(7).await;
    assert_eq!((one.clone(), met), history(7).await);
    assert!((50..150).contains(&met), "{met}");
    assert_ne!(one, history(8).await.0);
}

fn count(entry: Option<&Entry>) -> u64 {
    entry.map_or(0, |entry| String::from_utf8_lossy(&entry.value).parse().unwrap())
}

/// What was acknowledged is counted once, what is unknown at most once, whatever happens on the way.
#[tokio::test(start_paused = true)]
async fn increments_under_faults_are_counted_once_each() {
    let seed: u64 = rand::TryRng::try_next_u64(&mut rand::rngs::SysRng).unwrap();
    println!("seed {seed}");
    let store = Arc::new(Fault::seeded(memory(), seed, 200));
    let tasks = (0..8_u64).map(|task| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let (mut done, mut unknown) = (0_u64, 0_u64);
            for n in 0..25 {
                let hot = key("hot");
                let retry = Retry::seeded(seed ^ (task << 32) ^ n);
                let raised = cas_update(&*store, &hot, &retry, |entry| {
                    Ok::<_, std::convert::Infallible>((Change::put(KIND, (count(entry) + 1).to_string()), ()))
                });
                match raised.await {
                    Ok(Updated { .. }) => done += 1,
                    Err(UpdateError::Write(CommitError::Indeterminate { .. })) => unknown += 1,
                    Err(UpdateError::Contended { .. }) => {}
                    Err(other) => panic!("{other:?}"),
                }
            }
            (done, unknown)
        })
    });
    let (mut done, mut unknown) = (0, 0);
    for ended in futures::future::join_all(tasks).await {
        let (more_done, more_unknown) = ended.unwrap();
        (done, unknown) = (done + more_done, unknown + more_unknown);
    }
    let counted = count(store.inner().get(&key("hot")).await.unwrap().as_ref());
    assert!(
        (done..=done + unknown).contains(&counted),
        "{done} done, {unknown} unknown, {counted} counted"
    );
    assert!(store.met() > 0);
}
