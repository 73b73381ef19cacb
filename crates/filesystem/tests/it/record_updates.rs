//! Updates of typed records: combined where they can be, one by one where an index entry goes; and agents' records in
//! the system's index.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dormouse_filesystem::wrapper::{Counted, Operation};
use dormouse_filesystem::{
    Agent, Batch, Changed, Class, Deadline, Expected, IndexEntry, IndexValue, Key, Lane, Memory, Namespace,
    NoIndexes, Opener, Owned, Position, Query, Record, RecordError, RecordKind, RecordStore, Records,
    Requirements, Segment, System, SystemIndex, Tenant, UpdateError, indexes,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

indexes! {
    enum CounterIndex {
        Colour = own "colour",
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Counter {
    id: Segment,
    count: u64,
    colour: String,
}

impl Record for Counter {
    type Scope = Tenant;
    type Id = Segment;
    type Index = CounterIndex;
    const KIND: RecordKind = RecordKind::of("counter");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> Segment {
        self.id.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry<CounterIndex>> {
        vec![IndexEntry::new(
            CounterIndex::Colour,
            [IndexValue::bytes(self.colour.as_bytes())],
        )]
    }
}

indexes! {
    enum AlarmIndex {
        All = system "all",
    }
}

/// What an agent has, found by the system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Alarm {
    id: Segment,
}

impl Record for Alarm {
    type Scope = Agent;
    type Id = Segment;
    type Index = AlarmIndex;
    const KIND: RecordKind = RecordKind::of("alarm");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> Segment {
        self.id.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry<AlarmIndex>> {
        vec![IndexEntry::new(AlarmIndex::All, [])]
    }
}

/// What an agent has, found by nobody.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Scrap {
    id: Segment,
}

impl Record for Scrap {
    type Scope = Agent;
    type Id = Segment;
    type Index = NoIndexes;
    const KIND: RecordKind = RecordKind::of("scrap");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Advisory;

    fn id(&self) -> Segment {
        self.id.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry<NoIndexes>> {
        Vec::new()
    }
}

fn segment(text: &str) -> Segment {
    Segment::parse(text).unwrap()
}

async fn house() -> (Arc<Counted<Memory>>, Namespace<System>) {
    let store = Arc::new(Counted::new(Memory::new(Timestamp::UNIX_EPOCH)));
    let shared: Arc<dyn RecordStore> = Arc::<Counted<Memory>>::clone(&store);
    let opener = Opener::at(Timestamp::UNIX_EPOCH, 7);
    let system = Namespace::open(shared, &Requirements::volatile(), opener)
        .await
        .unwrap();
    (store, system)
}

async fn counters(system: &Namespace<System>) -> Records<Counter> {
    let counters = Records::new(&system.tenant(&segment("acme")));
    let one = Counter {
        id: segment("one"),
        count: 0,
        colour: "red".into(),
    };
    counters.create(&one).await.unwrap();
    counters
}

async fn add_one(counters: &Records<Counter>) -> Changed<Counter, u64> {
    let add = |counter: &Counter, _: &mut _| {
        let count = counter.count + 1;
        Ok::<_, Infallible>((
            Counter {
                count,
                ..counter.clone()
            },
            count,
        ))
    };
    counters
        .update(&segment("one"), add)
        .await
        .unwrap()
        .expect("there is one")
}

#[tokio::test]
async fn updates_of_one_record_are_combined_and_each_gets_what_is_stored() {
    let (store, system) = house().await;
    let counters = counters(&system).await;
    let before = store.counts().of(Operation::Commit);
    let all = futures::future::join_all((0..64).map(|_| add_one(&counters))).await;
    let commits = store.counts().of(Operation::Commit) - before;
    assert!(commits <= 8, "{commits} commits of 64 updates");
    let mut outcomes: Vec<u64> = all.iter().map(|changed| changed.outcome).collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, (1..=64).collect::<Vec<_>>(), "each has its own outcome");
    let stored = counters.get(&segment("one")).await.unwrap().unwrap();
    assert_eq!(stored.count, 64);
    let last = all
        .iter()
        .filter_map(|changed| changed.record.as_ref())
        .max_by_key(|r| r.version())
        .unwrap();
    assert_eq!(*last, stored, "a version goes with what is stored at it");
}

#[tokio::test]
async fn what_is_staged_beside_an_update_is_one_commit_with_it() {
    let (_, system) = house().await;
    let counters = counters(&system).await;
    let events = counters.namespace().log(&[segment("events")]);
    let log = events.clone();
    let add = move |counter: &Counter, batch: &mut dormouse_filesystem::ScopedBatch<Tenant>| {
        let count = counter.count + 1;
        batch.append(&log, count.to_string());
        Ok::<_, Infallible>((
            Counter {
                count,
                ..counter.clone()
            },
            (),
        ))
    };
    let one = segment("one");
    futures::future::join_all((0..16).map(|_| counters.update(&one, add.clone()))).await;
    let tail = events.tail(Position::START, 100).await.unwrap();
    let told: Vec<String> = tail
        .iter()
        .map(|e| String::from_utf8(e.entry.to_vec()).unwrap())
        .collect();
    assert_eq!(told, (1..=16).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_update_that_leaves_an_index_is_found_by_the_new_value_only() {
    let (_, system) = house().await;
    let counters = counters(&system).await;
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let paint = move |counter: &Counter, _: &mut _| {
        counted.fetch_add(1, Ordering::Relaxed);
        let colour = format!("{}-dark", counter.colour);
        Ok::<_, Infallible>((
            Counter {
                colour,
                ..counter.clone()
            },
            (),
        ))
    };
    let one = segment("one");
    // Beside it the record is hot.
    let (painted, all) = tokio::join!(
        counters.update(&one, paint),
        futures::future::join_all((0..8).map(|_| add_one(&counters)))
    );
    painted.unwrap().unwrap();
    assert_eq!(all.len(), 8);
    let found = |colour: &str| Query::of(CounterIndex::Colour).equals([IndexValue::bytes(colour.as_bytes())]);
    assert!(counters.find(&found("red")).await.unwrap().rows.is_empty());
    let rows = counters.find(&found("red-dark")).await.unwrap().rows;
    assert_eq!(
        rows.iter().map(|row| row.count).collect::<Vec<_>>(),
        [8],
        "ran {runs:?} times"
    );
}

#[tokio::test]
async fn an_update_that_changes_nothing_or_has_nothing_to_change_writes_nothing() {
    let (store, system) = house().await;
    let counters = counters(&system).await;
    let before = store.counts().of(Operation::Commit);
    let keep = |counter: &Counter, _: &mut _| Ok::<_, Infallible>((counter.clone(), counter.count));
    let kept = counters.update(&segment("one"), keep).await.unwrap().unwrap();
    assert_eq!((kept.outcome, kept.committed), (0, None));
    let missing = counters.update(&segment("two"), keep).await.unwrap();
    assert!(missing.is_none());
    assert_eq!(store.counts().of(Operation::Commit), before);
}

#[tokio::test]
async fn a_refusal_another_id_and_a_row_not_to_be_believed_are_three_errors_and_write_nothing() {
    let (store, system) = house().await;
    let counters = counters(&system).await;
    let before = store.counts().of(Operation::Commit);
    let refuse = |_: &Counter, _: &mut _| Err::<(Counter, ()), _>("no");
    let refused = counters.update(&segment("one"), refuse).await;
    assert!(matches!(refused, Err(UpdateError::Apply("no"))));
    let rename = |counter: &Counter, _: &mut _| {
        let id = Segment::parse("two").expect("legal");
        Ok::<_, Infallible>((
            Counter {
                id,
                ..counter.clone()
            },
            (),
        ))
    };
    let renamed = counters.update(&segment("one"), rename).await;
    assert!(
        matches!(&renamed, Err(UpdateError::Encode(e)) if matches!(**e, RecordError::Invalid(_))),
        "{renamed:?}"
    );
    assert_eq!(store.counts().of(Operation::Commit), before);
    plant(
        &*store,
        &counters,
        r#"{"kind":"counter","schema":2,"id":"one","scope":"acme","value":{},"more":1}"#,
    )
    .await;
    let newer = counters
        .update(&segment("one"), |c: &Counter, _: &mut _| {
            Ok::<_, Infallible>((c.clone(), ()))
        })
        .await;
    assert!(
        matches!(&newer, Err(UpdateError::Decode(e)) if matches!(**e, RecordError::TooNew { found: 2, .. })),
        "a newer form may have more fields: {newer:?}"
    );
}

/// Puts these bytes where the record is.
async fn plant(store: &dyn RecordStore, counters: &Records<Counter>, value: &'static str) {
    let key = Key::parse(&format!("{}/r/counter/one", counters.namespace().root())).unwrap();
    let at = store.get(&key).await.unwrap().unwrap().version;
    let mut batch = Batch::new(Lane::System);
    batch.put(key, Expected::At(at), Counter::KIND, value);
    let soon = Deadline::after(Duration::from_secs(1));
    store.commit(batch, soon).await.unwrap();
}

#[tokio::test]
async fn an_agents_entry_in_the_systems_index_ends_in_its_tenant_and_its_agent() {
    let (_, system) = house().await;
    for (tenant, agent) in [("acme", "alice"), ("bolt", "alice"), ("acme", "bob")] {
        let agent = system.tenant(&segment(tenant)).agent(&segment(agent));
        Records::new(&agent)
            .create(&Alarm { id: segment("same") })
            .await
            .unwrap();
        Records::new(&agent)
            .create(&Scrap { id: segment("same") })
            .await
            .unwrap();
    }
    let found = SystemIndex::<Alarm>::new(&system)
        .find(&Query::of(AlarmIndex::All))
        .await
        .unwrap();
    let of = |tenant: &str, agent: &str| Owned {
        owner: vec![segment(tenant), segment(agent)],
        id: segment("same"),
    };
    assert_eq!(
        found.rows,
        [of("acme", "alice"), of("acme", "bob"), of("bolt", "alice")]
    );
}
