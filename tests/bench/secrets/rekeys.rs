//! Rotating with few secrets and with many, and how many rows a second a rekey seals anew.

use std::time::Duration;

use dormouse_filesystem::{Batch, Deadline, Entry, Expected, Item, Lane, Page, Prefix};
use dormouse_secrets::FileKeyring;
use dormouse_tests::measure::{Figure, Samples, Target};
use tokio::time::Instant;

use crate::Context;
use crate::house::{self, House};

const SECRETS: usize = 100_000;
/// Secrets of one agent: below the most of a scope.
const EACH: usize = 250;
/// Of how many a rekey is measured: it takes them one by one.
const REKEYED: usize = 5_000;

pub(crate) async fn run(context: &Context) -> Vec<Figure> {
    let few = Rotating::with(context, "few-keys", 10).await;
    let count = context.count(SECRETS);
    let many = Rotating::with(context, "many-keys", count).await;
    let mut samples = Samples::default();
    for _ in 0..context.rounds {
        samples.push("few", few.rotate().await);
        samples.push("many", many.rotate().await);
    }
    few.house.close().await;
    many.house.close().await;
    let rekeyed = context.count(REKEYED);
    let house = House::sled(&context.folder.join("rekey")).await;
    fill(&house, rekeyed).await;
    for round in 0..context.rounds {
        samples.push("rekey", rekey(&house, rekeyed, round).await);
        samples.push("replace", replace(&house, rekeyed).await);
    }
    house.close().await;
    vec![
        Figure {
            name: format!("rotate, {count} secrets"),
            value: samples.of("many"),
            unit: "ms",
            against: Some(("10 secrets".to_owned(), samples.of("few"))),
            target: Target::AtMost(1.2),
        },
        Figure {
            name: format!("rekey of {rekeyed} rows"),
            value: samples.of("rekey"),
            unit: "rows/s",
            against: Some((
                "plain replaces, one after the other".to_owned(),
                samples.of("replace"),
            )),
            target: Target::AtLeast(0.8),
        },
    ]
}

/// A store whose vault is opened by a key file.
struct Rotating {
    house: House,
    file: FileKeyring,
}

impl Rotating {
    async fn with(context: &Context, name: &str, secrets: usize) -> Self {
        let house = House::sled(&context.folder.join(name)).await;
        fill(&house, secrets).await;
        let path = context.folder.join(format!("{name}.key"));
        let file = FileKeyring::new(path, house.random.clone());
        file.ensure().await.expect("the folder can be written");
        let id = house
            .vault
            .add_slot(&house::call(), &file)
            .await
            .expect("there is room");
        let confirmed = house.vault.confirm_slot(&house::call(), id, &file).await;
        confirmed.expect("it is the key of the slot");
        Self { house, file }
    }

    /// Its milliseconds.
    async fn rotate(&self) -> f64 {
        let start = Instant::now();
        let rotated = self.house.vault.rotate_file(&house::call(), &self.file).await;
        rotated.expect("the file opens a slot");
        start.elapsed().as_secs_f64() * 1e3
    }
}

async fn fill(house: &House, secrets: usize) {
    let tenant = house.tenant("acme");
    // Makes the tenant's ring, once.
    house::put(&tenant, &house::own(0, 0)).await;
    let all = (1..secrets).map(|at| (tenant.clone(), house::own(at / EACH, at % EACH)));
    house::put_all(all).await;
}

/// Rows a second. The key of the slot in use is each time the one that the house was made with.
async fn rekey(house: &House, rows: usize, round: usize) -> f64 {
    let secrets = house.tenant("acme");
    let begun = house.vault.begin_rekey(&house::call(), &house.key(1)).await;
    begun.unwrap_or_else(|error| panic!("round {round}: {error}"));
    let start = Instant::now();
    let done = secrets.rekey(&house::call()).await.expect("every row opens");
    let took = start.elapsed().as_secs_f64();
    assert_eq!(done.resealed, rows as u64, "round {round}");
    // The old root key is forgotten a minute after the rekey began.
    let ended = house
        .vault
        .end_rekey(&house::call_in_minutes(2), &house.system)
        .await;
    assert!(ended.expect("the store is whole"), "round {round}");
    rows as f64 / took
}

/// Rows a second, of the same pages: each is read and replaced by itself, as a rekey must.
async fn replace(house: &House, rows: usize) -> f64 {
    let prefix = Prefix::parse("t/acme/r/secret").expect("a prefix");
    let start = Instant::now();
    let (mut after, mut replaced) = (None, 0);
    // Ends with the last page.
    loop {
        let page = Page {
            after,
            limit: 4,
            ..Page::of(prefix.clone())
        };
        let listed = house.store.list(&page).await.expect("the store is whole");
        for item in listed.items {
            if let Item::Entry(entry) = item {
                replace_one(house, entry).await;
                replaced += 1;
            }
        }
        after = listed.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(replaced, rows);
    rows as f64 / start.elapsed().as_secs_f64()
}

async fn replace_one(house: &House, entry: Entry) {
    let mut batch = Batch::new(Lane::System);
    batch.put(entry.key, Expected::At(entry.version), entry.kind, entry.value);
    let committed = house
        .store
        .commit(batch, Deadline::after(Duration::from_secs(10)))
        .await;
    committed.expect("nobody else writes it");
}
