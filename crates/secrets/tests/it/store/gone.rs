//! What is left of a deleted secret: nothing in rows at once, and nothing in files once the store was compacted.

use std::collections::BTreeSet;

use aho_corasick::AhoCorasick;
use data_encoding::BASE64;
use dormouse_filesystem::{Batch, Deadline, Expected, Key, Lane, RecordKind, RecordStore};
use dormouse_secrets::{Deletion, SecretCategory, SecretError};
use serde_json::Value;

use super::bytes::files;
use super::house::{DAY, House, at};
use super::place::Place;

super::on_every_store! {
    /// SE-86
    of_a_deleted_secret_no_row_and_after_compaction_no_file_has_a_generation;
}

/// The row of the secret.
const ROW: &str = "t/acme/r/secret/shared/g";
/// Bytes that are written until a store of these tests is compacted: twice what is live and four segments of 1 MiB at
/// the most lie in a log, and some more is written for the last of it to be looked at.
const COMPACTING_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of one commit of those.
const PIECE_BYTES: usize = 256 * 1024;

/// Every generation that is sealed in the row: what it is as text.
async fn sealed(house: &House) -> BTreeSet<String> {
    fn all(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(sealed)) = fields.get("sealed") {
                    found.insert(sealed.clone());
                }
                fields.values().for_each(|value| all(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| all(value, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let row = house.stored(ROW).await.unwrap();
    let mut found = BTreeSet::new();
    all(&serde_json::from_slice(&row.value).unwrap(), &mut found);
    found
}

/// Which generations have a part in these bytes: 24 characters of the text, 16 bytes of what it stands for, or the value.
fn found(bytes: &[u8], generations: &[(String, String)]) -> BTreeSet<usize> {
    let (mut parts, mut of) = (Vec::new(), Vec::new());
    for (at, (sealed, value)) in generations.iter().enumerate() {
        let raw = BASE64.decode(sealed.as_bytes()).unwrap();
        // The first byte is the format, which all have.
        let raw = raw[1..].chunks_exact(16).map(<[u8]>::to_vec);
        let text = sealed.as_bytes().chunks_exact(24).map(<[u8]>::to_vec);
        let some: Vec<Vec<u8>> = raw.chain(text).chain([value.as_bytes().to_vec()]).collect();
        of.extend(std::iter::repeat_n(at, some.len()));
        parts.extend(some);
    }
    let search = AhoCorasick::new(parts).unwrap();
    search
        .find_overlapping_iter(bytes)
        .map(|found| of[found.pattern().as_usize()])
        .collect()
}

/// Writes until what was written before is compacted.
async fn compact(house: &House) {
    let key = Key::parse("t/acme/r/other/row").unwrap();
    let mut expected = Expected::Absent;
    for round in 0..COMPACTING_BYTES / PIECE_BYTES {
        let mut batch = Batch::new(Lane::System);
        let filler = vec![u8::try_from(round).unwrap(); PIECE_BYTES];
        batch.put(key.clone(), expected, RecordKind::of("other"), filler);
        let soon = Deadline::after(std::time::Duration::from_secs(10));
        house.store.commit(batch, soon).await.unwrap();
        let there = house.store.get(&key).await.unwrap().unwrap();
        expected = Expected::At(there.version);
    }
}

async fn of_a_deleted_secret_no_row_and_after_compaction_no_file_has_a_generation(house: House) {
    let house = house.enabled().await;
    house
        .put("shared:OTHER", "another value", SecretCategory::Tool)
        .await;
    let (mut seen, mut generations) = (BTreeSet::new(), Vec::new());
    for number in 0..6 {
        let value = format!("the value of G, number {number}");
        house.put("shared:G", &value, SecretCategory::Tool).await;
        let new: Vec<String> = sealed(&house).await.difference(&seen).cloned().collect();
        assert_eq!(new.len(), 1);
        seen.extend(new.clone());
        generations.push((new[0].clone(), value));
    }
    // Three of them are sealed anew: as other bytes.
    house
        .vault
        .begin_rekey(&house.call(1), &house.key(1))
        .await
        .unwrap();
    house.secrets.rekey(&house.call(1)).await.unwrap();
    for anew in sealed(&house).await.difference(&seen) {
        generations.push((anew.clone(), "the value of G, number".to_owned()));
    }
    assert_eq!(
        generations.len(),
        6 + 4,
        "the one in force, and three it replaced"
    );
    let everything = async |house: &House| {
        let mut all = house.bytes_of_rows("").await;
        if let Some(folder) = house.place.folder() {
            files(folder, &mut all);
        }
        all.extend(house.place.dumped().await);
        all
    };
    let before = found(&everything(&house).await, &generations);
    assert!(before.len() >= 4, "they would be found: {before:?}");
    let (call, secret) = (house.call(2), at("shared:G"));
    house
        .secrets
        .delete(&call, &secret, &Deletion::Force)
        .await
        .unwrap();
    let rows = found(&house.bytes_of_rows("").await, &generations);
    assert_eq!(rows, BTreeSet::new(), "no row has one, at once");
    let dumped = found(&house.place.dumped().await, &generations);
    assert_eq!(dumped, BTreeSet::new(), "and none of a server");
    if let Some(folder) = house.place.folder() {
        let mut all = Vec::new();
        files(folder, &mut all);
        assert!(
            !found(&all, &generations).is_empty(),
            "its log has some until then"
        );
    }
    compact(&house).await;
    let place = house.closed().await;
    if let Some(folder) = place.folder() {
        let mut all = Vec::new();
        files(folder, &mut all);
        assert_eq!(found(&all, &generations), BTreeSet::new(), "no file has one");
    }
    if let Place::Memory(_) = place {
        // Closed, it is gone.
        return;
    }
    // It is deleted, and the other is there.
    let house = House::at(place).await;
    house.vault.unlock(&house.call(DAY), &house.key(1)).await.unwrap();
    let info = house.secrets.info(&at("shared:G")).await;
    assert!(matches!(info, Err(SecretError::NotFound { .. })), "{info:?}");
    let other = super::environment::value_or(&house.secrets, &house, "shared:OTHER").await;
    assert_eq!(other.unwrap(), "another value");
    let all = found(&everything(&house).await, &generations);
    assert_eq!(all, BTreeSet::new(), "nor after the next opening");
}
