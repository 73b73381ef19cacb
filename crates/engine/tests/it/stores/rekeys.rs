//! New keys for everything: begun, cut, begun again, and held up by a tenant.

use std::sync::Arc;

use dormouse_engine::credentials::Rekey;
use dormouse_engine::{Clock, Random, TenantId};
use dormouse_filesystem::wrapper::{Fault, FaultKind, Operation};
use dormouse_filesystem::{Batch, Deadline, Expected, Key, Lane, Memory, RecordStore};
use dormouse_secrets::{FixedKeyring, KeyError, SecretError};

use super::credentials::{put, put_in, with_secret};
use super::house::{House, key, operator};

type Store = Arc<Fault<Arc<dyn RecordStore>>>;

/// A house over a store that a test can damage, with a vault.
async fn over_a_store() -> (House, Store) {
    let memory: Arc<dyn RecordStore> = Arc::new(Memory::new(jiff::Timestamp::UNIX_EPOCH));
    let store: Store = Arc::new(Fault::scripted(memory));
    let house = House::over_exclusive(store.clone()).await;
    with_secret(&house).await;
    (house, store)
}

async fn row(house: &House, key: &str) -> serde_json::Value {
    let entries = house.entries().await;
    let entry = entries.iter().find(|entry| entry.key.to_string() == key);
    serde_json::from_slice(&entry.unwrap().value).unwrap()
}

/// Writes a row as nobody should.
async fn edit(house: &House, store: &Store, key: &str, change: impl Fn(&str) -> String) {
    let entries = house.entries().await;
    let entry = entries.iter().find(|entry| entry.key.to_string() == key).unwrap();
    let text = std::str::from_utf8(&entry.value).unwrap();
    let changed = change(text);
    assert_ne!(text, changed, "the edit found nothing to change");
    let mut batch = Batch::new(Lane::System);
    let expected = Expected::At(entry.version);
    batch.put(
        Key::parse(key).unwrap(),
        expected,
        entry.kind.clone(),
        changed.into_bytes(),
    );
    let soon = Deadline::after(std::time::Duration::from_secs(10));
    store.commit(batch, soon).await.unwrap();
}

fn tenants_that_failed(done: &Rekey) -> Vec<&str> {
    done.failed.iter().map(|(tenant, _)| tenant.as_str()).collect()
}

fn other_key() -> FixedKeyring {
    let bytes = std::array::from_fn(|at| 100 + u8::try_from(at).unwrap());
    FixedKeyring::new(&bytes, Arc::new(Random::seeded(5))).unwrap()
}

/// Another key opens the vault too.
async fn add_other_key(house: &House) {
    let (call, vault) = (house.tenant.credentials.call(&operator()), house.engine.vault());
    let slot = vault.add_slot(&call, &other_key()).await.unwrap();
    vault.confirm_slot(&call, slot, &other_key()).await.unwrap();
}

async fn slots(house: &House) -> Vec<u32> {
    let slots = house.engine.vault().slots(house.clock.now()).await.unwrap();
    slots.iter().map(|slot| slot.id).collect()
}

const VAULT: &str = "s/r/secret_vault/one";

#[tokio::test]
async fn a_rekey_ends_the_one_before_and_makes_newer_keys() {
    let (house, _) = over_a_store().await;
    let key = key(Arc::new(Random::seeded(4)));
    let first = house.engine.rekey(&operator(), &key).await.unwrap();
    assert_eq!((first.went_on, first.failed.len()), (None, 0));
    house.clock.advance(61);
    add_other_key(&house).await;
    assert_eq!(slots(&house).await, [2, 3]);
    let second = house.engine.rekey(&operator(), &other_key()).await.unwrap();
    assert_eq!((second.went_on, second.dropped), (None, vec![2]));
    assert_eq!(row(&house, VAULT).await["value"]["root"], 3);
    assert_eq!(row(&house, RING).await["value"]["root"], 3);
    assert_eq!(slots(&house).await, [4], "the key of the first is gone");
}

#[tokio::test]
async fn a_rekey_right_behind_another_says_that_it_made_no_newer_keys() {
    let (house, store) = over_a_store().await;
    let key = key(Arc::new(Random::seeded(4)));
    add_other_key(&house).await;
    // The vault has its new root key, and nobody hears of it.
    store.next(Operation::Commit, FaultKind::LoseAfter);
    house.engine.rekey(&operator(), &key).await.unwrap_err();
    let begun = house.clock.now();
    house.clock.advance(30);
    let refused = house.engine.rekey(&operator(), &other_key()).await;
    assert!(
        matches!(&refused, Err(SecretError::Key(error)) if matches!(**error, KeyError::WrongKey)),
        "{refused:?}"
    );
    let second = house.engine.rekey(&operator(), &key).await.unwrap();
    assert_eq!((second.went_on, second.dropped), (Some(begun), vec![2]));
    assert_eq!(row(&house, RING).await["value"]["root"], 2, "it went on");
    house.clock.advance(31);
    let third = house.engine.rekey(&operator(), &key).await.unwrap();
    assert_eq!((third.went_on, third.dropped), (None, vec![2]));
    assert_eq!(row(&house, VAULT).await["value"]["root"], 3);
}

const RING: &str = "t/default/r/secret_keys/ring";

#[tokio::test]
async fn a_rekey_that_was_cut_between_a_ring_and_its_rows_goes_on() {
    let (house, store) = over_a_store().await;
    let key = key(Arc::new(Random::seeded(4)));
    // The vault and the ring are renewed; then the store takes nothing more.
    for _ in 0..2 {
        store.next(Operation::Commit, FaultKind::Delay(std::time::Duration::ZERO));
    }
    store.next(Operation::Commit, FaultKind::Refuse);
    let cut = house.engine.rekey(&operator(), &key).await.unwrap();
    assert_eq!(tenants_that_failed(&cut), ["default"]);
    let keys = async || row(&house, RING).await["value"]["keys"].as_array().unwrap().len();
    assert_eq!(keys().await, 2, "it was cut there");
    house.clock.advance(61);
    house.engine.keep_vault().await.unwrap();
    assert_eq!(keys().await, 1, "no row names the old key, and it is gone");
    assert!(!house.engine.vault().is_rekeying().await.unwrap());
}

#[tokio::test]
async fn what_cannot_be_read_holds_up_nothing_else_that_is_over() {
    let (house, store) = over_a_store().await;
    let other = house
        .engine
        .tenant(&"other".parse::<TenantId>().unwrap())
        .await
        .unwrap();
    for value in ["the first value", "the second value"] {
        put(&house, "shared:AAA", value).await;
        put(&house, "shared:BBB", value).await;
        put_in(&other, "shared:CCC", value).await;
    }
    let bad = "t/default/r/secret/shared/aaa";
    edit(&house, &store, bad, |text| {
        text.replace("\"schema\":1", "\"schema\":2")
    })
    .await;
    edit(&house, &store, RING, |text| {
        text.replace("\"fingerprint\":\"A", "\"fingerprint\":\"B")
    })
    .await;
    let key = key(Arc::new(Random::seeded(4)));
    add_other_key(&house).await;
    let done = house.engine.rekey(&operator(), &key).await.unwrap();
    assert_eq!(tenants_that_failed(&done), ["default"]);
    assert_eq!(done.failed[0].1, "the keys of tenant default do not open");
    assert_eq!(done.dropped, [2]);
    let ring = row(&house, "t/other/r/secret_keys/ring").await;
    assert_eq!(ring["value"]["root"], 2, "another tenant has new keys");
    house.clock.advance(8 * 24 * 3600);
    house.engine.keep_vault().await.unwrap_err();
    assert!(
        house.engine.vault().is_rekeying().await.unwrap(),
        "one is still under the old root key"
    );
    for over in ["t/default/r/secret/shared/bbb", "t/other/r/secret/shared/ccc"] {
        let row = row(&house, over).await;
        assert!(row["value"].get("retired").is_none(), "{row}");
    }
}
