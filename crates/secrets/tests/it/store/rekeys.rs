//! Rekeys with others in between.

use dormouse_secrets::{LegacyOwner, SecretCategory};

use super::environment::value_or;
use super::house::House;
use super::{legacy, staged};

async fn keys_of_the_ring(house: &House) -> usize {
    let ring = house.stored("t/acme/r/secret_keys/ring").await.unwrap();
    let ring: serde_json::Value = serde_json::from_slice(&ring.value).unwrap();
    ring["value"]["keys"].as_array().unwrap().len()
}

async fn begin(house: &House, seconds: i64) {
    let begun = house.vault.begin_rekey(&house.call(seconds), &house.key(1)).await;
    begun.unwrap();
}

#[tokio::test]
async fn an_end_that_comes_late_leaves_the_next_rekey_its_old_root_key() {
    let (house, store) = staged::stopping().await;
    house
        .put("shared:G", "the value of G", SecretCategory::Tool)
        .await;
    begin(&house, 1).await;
    house.secrets.rekey(&house.call(1)).await.unwrap();
    let late = store.stop_ahead(1);
    let (in_time, too_late) = (house.call(62), house.call(61));
    let ends = house.vault.end_rekey(&too_late, &house.system);
    let others = async {
        late.reached().await;
        let has_ended = house.vault.end_rekey(&in_time, &house.system).await;
        assert!(has_ended.unwrap());
        begin(&house, 63).await;
        late.go();
    };
    let (has_ended, ()) = tokio::join!(ends, others);
    assert!(!has_ended.unwrap(), "others did");
    assert!(house.vault.is_rekeying().await.unwrap());
    let value = value_or(&house.secrets, &house, "shared:G").await;
    assert_eq!(value.unwrap(), "the value of G");
}

#[tokio::test]
async fn a_key_stays_that_a_row_set_aside_may_name_which_a_newer_build_wrote() {
    let house = House::in_memory().await.enabled().await;
    let source = legacy::legacy(2, vec![legacy::row("a|nobody|KEY", "nobody's value")]);
    let migrated = house
        .secrets
        .migrate(&house.call(1), &source, &LegacyOwner::Keys)
        .await
        .unwrap();
    let id = &migrated.quarantined[0].id;
    let key = format!("t/acme/r/secret_quarantine/{id}");
    house
        .edit(&key, |text| text.replace("\"schema\":1", "\"schema\":2"))
        .await;
    begin(&house, 2).await;
    house.secrets.rekey(&house.call(2)).await.unwrap();
    assert_eq!(keys_of_the_ring(&house).await, 2);
    house
        .edit(&key, |text| text.replace("\"schema\":2", "\"schema\":1"))
        .await;
    house.secrets.rekey(&house.call(3)).await.unwrap();
    assert_eq!(keys_of_the_ring(&house).await, 1, "it is under the new one now");
}
