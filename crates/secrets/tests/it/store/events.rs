//! What is told: references, generations, holders, and nothing that helps to a value.

use std::collections::BTreeSet;

use dormouse_secrets::{
    Deletion, Existing, ExportTo, Holder, ImportKey, LeaseOptions, OnAgentDelete, Purpose, SecretCategory,
};

use super::house::{House, at, secret};
use super::on_every_store;

on_every_store! {
    /// SE-87
    no_event_holds_a_value_a_key_a_fingerprint_or_a_length;
}

const WORDS: [&str; 16] = [
    "secret.deleted",
    "secret.exported",
    "secret.imported",
    "secret.lease_revoked",
    "secret.leased",
    "secret.put",
    "secret.quarantined",
    "secret.resealed",
    "secret.restored",
    "secret.unreadable",
    "vault.enabled",
    "vault.locked",
    "vault.rekeyed",
    "vault.slot_added",
    "vault.slot_removed",
    "vault.unlocked",
];

/// Does everything that is told.
async fn all_of_it(house: &House) {
    let (secrets, call) = (&house.secrets, house.call(0));
    for reference in ["shared:G", "agent:a:KEY", "agent:b:KEY"] {
        house
            .put(reference, "hunter2hunter2hunter2", SecretCategory::Tool)
            .await;
    }
    let me = Holder::Service("test".to_owned());
    let lease = secrets
        .lease(
            &call,
            &at("shared:G"),
            &Purpose::Reference,
            &me,
            LeaseOptions::default(),
        )
        .await;
    secrets
        .revoke_lease(&call, lease.unwrap().id(), &me)
        .await
        .unwrap();
    let to = ExportTo::Passphrase(secret("correct horse battery"));
    let export = secrets.export(&call, &to).await.unwrap();
    secrets
        .delete(&call, &at("shared:G"), &Deletion::Force)
        .await
        .unwrap();
    let key = ImportKey::Passphrase(secret("correct horse battery"));
    secrets
        .import(&call, &export, &key, Existing::Overwrite)
        .await
        .unwrap();
    let old = house.live("a", 1);
    secrets
        .agent_ended(&call, &old, OnAgentDelete::Quarantine)
        .await
        .unwrap();
    let new = house.live("a", 5);
    secrets.restore(&call, &old, &new).await.unwrap();
    let slot = house.vault.add_slot(&call, &house.key(2)).await.unwrap();
    house.vault.remove_slot(&call, slot).await.unwrap();
    house.vault.begin_rekey(&call, &house.key(1)).await.unwrap();
    secrets.rekey(&call).await.unwrap();
    house.vault.lock(&call).await.unwrap();
    house.vault.unlock(&call, &house.key(1)).await.unwrap();
    house
        .edit("t/acme/r/secret/shared/g", |row| {
            row.replace("\"key_id\":2", "\"key_id\":9")
        })
        .await;
    let refused = super::environment::set(secrets, house, &new).await;
    assert!(refused.is_err());
}

async fn no_event_holds_a_value_a_key_a_fingerprint_or_a_length(house: House) {
    let house = house.enabled().await;
    all_of_it(&house).await;
    let (changes, of_vault) = house.journal.take();
    let mut events: Vec<serde_json::Value> = Vec::new();
    events.extend(changes.iter().map(|change| serde_json::to_value(change).unwrap()));
    events.extend(
        of_vault
            .iter()
            .map(|change| serde_json::to_value(change).unwrap()),
    );
    let words: BTreeSet<&str> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        words.into_iter().collect::<Vec<_>>(),
        WORDS,
        "every event was told"
    );

    let print = house.secrets.info(&at("agent:b:KEY")).await.unwrap().fingerprint;
    let row = house.stored("t/acme/r/secret/shared/g").await.unwrap();
    let row: serde_json::Value = serde_json::from_slice(&row.value).unwrap();
    let number = row["value"]["live"]["fingerprint"].to_string();
    let sealed = row["value"]["live"]["body"]["sealed"].as_str().unwrap()[..16].to_owned();
    let key: Vec<String> = (31..63).map(|byte: u8| format!("{byte:02x}")).collect();
    for event in &events {
        let text = event.to_string();
        let in_clear = ["hunter2", "aHVudGVyMg", "68756e74", "correct horse"].map(str::to_owned);
        let derived = [
            print.to_string(),
            number.clone(),
            sealed.clone(),
            key[..8].join(""),
        ];
        for part in in_clear.iter().chain(&derived) {
            assert!(!text.contains(part), "{text}");
        }
        for field in ["length", "bytes", "size", "value", "key", "fingerprint"] {
            assert!(event.get(field).is_none(), "{text}");
        }
    }
}
