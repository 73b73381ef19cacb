//! Leases in great number: what is left of them, and what it costs to look at one holder's.

use std::sync::Arc;

use dormouse_filesystem::RecordStore;
use dormouse_filesystem::wrapper::Counted;
use dormouse_secrets::{Call, Generator, Holder, LeaseId, LeaseOptions, Purpose, SecretCategory, due};

use super::house::{DAY, House, after, at};
use super::large::is_large;
use super::place::Place;

/// Leases that live at once, and how many times others follow. In a debug build a thousand take three seconds.
const AT_ONCE: usize = 200;
const ROUNDS: i64 = 20;
/// Leases of one holder.
const EACH: usize = 10;

fn holder(number: usize) -> Holder {
    Holder::Run(format!("run_{}", number / EACH))
}

async fn granted(house: &House, call: &Call, number: usize) -> LeaseId {
    let (at, holder) = (at("shared:G"), holder(number));
    let (purpose, options) = (Purpose::Reference, LeaseOptions::default());
    let lease = house.secrets.lease(call, &at, &purpose, &holder, options).await;
    lease.unwrap().id()
}

/// So many leases are granted and used; a day later they are purged.
async fn round(house: &House, number: i64, at_once: usize) {
    let call = Call::at(after(number * 2 * DAY));
    for number in 0..at_once {
        let id = granted(house, &call, number).await;
        let lease = house.secrets.use_lease(&call, id, &holder(number)).await.unwrap();
        assert!(lease.expose(call.now).is_ok());
    }
    purge(house, number, at_once).await;
}

async fn purge(house: &House, number: i64, at_once: usize) {
    let later = Call::at(after(number * 2 * DAY + DAY + 1));
    let over = due(&house.system, later.now, at_once).await.unwrap();
    assert_eq!(over.len(), at_once);
    for (_, lease) in over {
        house.secrets.retire(&later, &lease).await.unwrap();
    }
}

/// Bytes of memory that the process has, where the system tells.
fn memory_bytes() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let resident: u64 = pages.split(' ').nth(1)?.parse().ok()?;
    Some(resident * rustix::param::page_size() as u64)
}

async fn counted() -> (House, Arc<Counted<Arc<dyn RecordStore>>>) {
    let place = Place::memory();
    let store = Arc::new(Counted::new(place.open().await));
    let house = House::over(store.clone(), place, Generator::seeded(7)).await;
    let house = house.enabled().await;
    house
        .put("shared:G", "the value of G", SecretCategory::Tool)
        .await;
    (house, store)
}

/// Of so many rounds of so many leases nothing is left, but for so many bytes of memory.
async fn leaves_nothing(rounds: i64, at_once: usize, bytes_max: u64) {
    let (house, _) = counted().await;
    // The first ones make what stays: a process's pools, a store's tables.
    round(&house, 0, at_once).await;
    let store_before = (house.bytes_of_rows("").await, house.store.health().await.bytes);
    let memory_before = memory_bytes();
    for number in 1..=rounds {
        round(&house, number, at_once).await;
    }
    let store_after = (house.bytes_of_rows("").await, house.store.health().await.bytes);
    assert!(store_after == store_before, "the store is as before");
    let grown = memory_bytes().zip(memory_before);
    let grown = grown.map_or(0, |(after, before)| after.saturating_sub(before));
    assert!(grown < bytes_max, "{grown} bytes more are in use");
}

#[tokio::test]
async fn leases_that_were_used_and_purged_leave_nothing() {
    if is_large() {
        // 8 bytes a lease would be seen.
        leaves_nothing(999, 1_000, 8_000_000).await;
    } else {
        // 250 bytes a lease would be seen.
        leaves_nothing(ROUNDS, AT_ONCE, 1_000_000).await;
    }
}

#[tokio::test]
async fn one_holders_leases_are_read_by_its_index_alone() {
    let (house, store) = counted().await;
    let call = Call::at(after(0));
    // Operations, items and their bytes.
    let cost = async || {
        let before = store.counts();
        let leases = house.secrets.leases_of(&holder(0)).await.unwrap();
        assert_eq!(leases.len(), EACH);
        let after = store.counts();
        [
            after.operations() - before.operations(),
            after.items_read - before.items_read,
            after.bytes_read - before.bytes_read,
        ]
    };
    for number in 0..EACH {
        granted(&house, &call, number).await;
    }
    let alone = cost().await;
    for number in EACH..AT_ONCE {
        granted(&house, &call, number).await;
    }
    assert_eq!(cost().await, alone);
}

#[tokio::test]
async fn what_a_holder_used_up_today_costs_its_next_lease_nothing() {
    let (house, store) = counted().await;
    let call = Call::at(after(0));
    let used = async || {
        let before = store.counts().items_read;
        let id = granted(&house, &call, 0).await;
        house.secrets.use_lease(&call, id, &holder(0)).await.unwrap();
        store.counts().items_read - before
    };
    let first = used().await;
    for _ in 0..20 {
        used().await;
    }
    assert_eq!(house.secrets.leases_of(&holder(0)).await.unwrap().len(), 21);
    assert_eq!(used().await, first);
}
