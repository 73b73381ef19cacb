//! Put, and lease and use, beside the bare commits of the same store.

use dormouse_filesystem::{Batch, Deadline, Expected, Key, Lane, RecordKind};
use dormouse_secrets::Purpose;
use dormouse_tests::measure::{Figure, Samples, Target};
use std::time::Duration;
use tokio::time::Instant;

use crate::Context;
use crate::house::{self, House};

/// How many of each are one measurement.
const COUNT: usize = 1_000;

pub(crate) async fn run(context: &Context) -> Vec<Figure> {
    let house = House::sled(&context.folder.join("verbs")).await;
    let secrets = house.tenant("acme");
    let mut samples = Samples::default();
    house::put(&secrets, &house::shared(0)).await;
    for _ in 0..context.rounds {
        let count = context.count(COUNT).max(20);
        let commit = mean(count, |at| commit(&house, at)).await;
        samples.push("commit", commit);
        samples.push("two commits", 2.0 * commit);
        samples.push("put", mean(count, |at| put(&secrets, at)).await);
        samples.push("lease", mean(count, |_| lease_and_use(&secrets)).await);
    }
    house.close().await;
    let figure = |name: &str, value, title: &str, against| Figure {
        name: name.to_owned(),
        value: samples.of(value),
        unit: "ms",
        against: Some((title.to_owned(), samples.of(against))),
        target: Target::AtMost(1.1),
    };
    vec![
        figure("put", "put", "one durable commit", "commit"),
        figure("lease and use", "lease", "two durable commits", "two commits"),
    ]
}

/// The milliseconds of one, of so many one after the other.
pub(crate) async fn mean<F: Future<Output = ()>>(count: usize, work: impl Fn(usize) -> F) -> f64 {
    let start = Instant::now();
    for at in 0..count {
        work(at).await;
    }
    start.elapsed().as_secs_f64() * 1e3 / count as f64
}

/// One record of the size of a secret's, replaced in turns.
async fn commit(house: &House, at: usize) {
    let key = Key::parse(&format!("sys/r/bench/{}", at % 16)).expect("a key");
    let there = house.store.get(&key).await.expect("the store is whole");
    let expected = there.map_or(Expected::Absent, |entry| Expected::At(entry.version));
    let mut batch = Batch::new(Lane::System);
    let mut bytes = vec![0x5a; 700];
    bytes[..8].copy_from_slice(&at.to_be_bytes());
    batch.put(key, expected, RecordKind::of("bench"), bytes);
    let committed = house
        .store
        .commit(batch, Deadline::after(Duration::from_secs(10)))
        .await;
    committed.expect("nobody else writes it");
}

async fn put(secrets: &dormouse_secrets::Secrets, at: usize) {
    house::put(secrets, &house::shared(at % 16)).await;
}

async fn lease_and_use(secrets: &dormouse_secrets::Secrets) {
    let (call, holder) = (house::call(), house::holder());
    let granted = secrets
        .lease(
            &call,
            &house::shared(0),
            &Purpose::Reference,
            &holder,
            house::lease_options(),
        )
        .await
        .expect("it is there");
    let lease = secrets.use_lease(&call, granted.id(), &holder).await;
    lease.expect("it has a use");
}
