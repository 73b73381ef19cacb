//! The tables of states and events, driven: every cell through the services, and what they did held against the golden
//! file of the table.

mod lease;
mod session;
mod slot;
mod vault;

use dormouse_filesystem::{Batch, Deadline, Entry, Lane, RecordStore};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::house::House;
use super::on_every_store;

on_every_store! {
    /// SE-35, with the other three.
    every_cell_of_the_vaults_table_is_what_its_verbs_do;
    every_cell_of_a_slots_table_is_what_its_verbs_do;
    every_cell_of_a_leases_table_is_what_its_verbs_do;
    every_cell_of_a_sessions_table_is_what_its_verbs_do;
}

use lease::every_cell_of_a_leases_table_is_what_its_verbs_do;
use session::every_cell_of_a_sessions_table_is_what_its_verbs_do;
use slot::every_cell_of_a_slots_table_is_what_its_verbs_do;
use vault::every_cell_of_the_vaults_table_is_what_its_verbs_do;

/// Takes away all rows of secrets and of the vault, as nobody should.
async fn clear(house: &House) {
    let is_of_secrets = |entry: &Entry| entry.key.segments().any(|segment| segment.starts_with("secret"));
    // Ends when a look finds none.
    loop {
        let rows = house.rows_of("").await;
        let mut batch = Batch::new(Lane::System);
        for entry in rows.iter().filter(|entry| is_of_secrets(entry)) {
            batch.delete(entry.key.clone(), entry.version);
        }
        if batch.operations() == 0 {
            return;
        }
        let soon = Deadline::after(std::time::Duration::from_secs(10));
        house.store.commit(batch, soon).await.unwrap();
    }
}

/// Changes what is stored of a row as nobody should.
async fn edit(house: &House, key: &str, change: impl FnOnce(&mut Value)) {
    let entry = house.stored(key).await.unwrap();
    let mut stored: Value = serde_json::from_slice(&entry.value).unwrap();
    change(&mut stored["value"]);
    house.write(key, &entry, stored.to_string().into_bytes()).await;
}

/// A stored row.
fn row<T: DeserializeOwned>(entry: &Entry) -> T {
    let mut stored: Value = serde_json::from_slice(&entry.value).unwrap();
    serde_json::from_value(stored["value"].take()).unwrap()
}
