//! What is sealed opens at its place alone.

use dormouse_secrets::{Filter, Purpose, SecretCategory, SecretError};

use super::environment::value_or;
use super::house::{House, at};
use super::on_every_store;

on_every_store! {
    /// SE-18
    a_row_moved_or_edited_does_not_open;
    /// SE-34
    a_newer_form_is_refused_and_stays_and_without_its_ring_nothing_opens;
    no_row_holds_a_value_in_clear;
}

/// Whether this secret is unreadable for a reference, and for an environment.
async fn is_unreadable(house: &House, reference: &str) -> bool {
    matches!(
        value_or(&house.secrets, house, reference).await,
        Err(SecretError::Unreadable { .. })
    )
}

async fn a_row_moved_or_edited_does_not_open(house: House) {
    let house = house.enabled().await;
    house
        .put("shared:G", "the value of G", SecretCategory::Tool)
        .await;
    house
        .put("agent:a:G", "the value of a", SecretCategory::Tool)
        .await;
    let (shared, life) = ("t/acme/r/secret/shared/g", "00000000000000000000000000000001");
    let agents = format!("t/acme/r/secret/agent/a/{life}/g");
    let (original, own) = (
        house.stored(shared).await.unwrap(),
        house.stored(&agents).await.unwrap(),
    );
    let text = |entry: &dormouse_filesystem::Entry| String::from_utf8(entry.value.to_vec()).unwrap();

    // Under another name, with everything in it saying that name.
    let moved = text(&original)
        .replace("\"shared/g\"", "\"shared/h\"")
        .replace("{\"shared\":\"G\"}", "{\"shared\":\"H\"}");
    house
        .write("t/acme/r/secret/shared/h", &original, moved.into_bytes())
        .await;
    assert!(is_unreadable(&house, "shared:H").await);
    // In another scope: the sealed bytes of one in the row of the other.
    let sealed = |row: &str| {
        let from = row.find("\"sealed\":\"").unwrap() + 10;
        row[from..from + row[from..].find('"').unwrap()].to_owned()
    };
    let (of_shared, of_own) = (sealed(&text(&original)), sealed(&text(&own)));
    house.edit(&agents, |row| row.replace(&of_own, &of_shared)).await;
    assert!(is_unreadable(&house, "agent:a:G").await);
    // In another life of the agent.
    let other = life.replace('1', "5");
    let moved = text(&own).replace(life, &other);
    house
        .write(&agents.replace(life, &other), &own, moved.into_bytes())
        .await;
    house.live("a", 5);
    assert!(is_unreadable(&house, "agent:a:G").await);
    // In another tenant, with its ring.
    for (from, to) in [
        (shared, "t/burrow/r/secret/shared/g"),
        ("t/acme/r/secret_keys/ring", "t/burrow/r/secret_keys/ring"),
    ] {
        let entry = house.stored(from).await.unwrap();
        let moved = text(&entry).replace("\"scope\":\"acme\"", "\"scope\":\"burrow\"");
        house.write(to, &entry, moved.into_bytes()).await;
    }
    let other = house.tenant("burrow");
    let lease = other
        .lease(
            &house.call(0),
            &at("shared:G"),
            &Purpose::Reference,
            &super::environment::holder(),
            dormouse_secrets::LeaseOptions::default(),
        )
        .await;
    assert!(lease.is_err(), "{lease:?}");
    // With an edited generation, category, list of origins.
    for (old, new) in [
        ("\"generation\":1,\"category\"", "\"generation\":2,\"category\""),
        ("\"category\":\"tool\"", "\"category\":\"system\""),
        (
            "\"category\":\"tool\",",
            "\"category\":\"tool\",\"origins\":[\"https://example.org\"],",
        ),
    ] {
        house.edit(shared, |row| row.replace(old, new)).await;
        assert!(is_unreadable(&house, "shared:G").await, "{new}");
        house.edit(shared, |row| row.replace(new, old)).await;
    }
    assert_eq!(
        value_or(&house.secrets, &house, "shared:G").await.unwrap(),
        "the value of G"
    );
}

async fn a_newer_form_is_refused_and_stays_and_without_its_ring_nothing_opens(house: House) {
    let house = house.enabled().await;
    let row = "t/acme/r/secret/shared/g";
    house
        .put("shared:G", "the value of G", SecretCategory::Tool)
        .await;
    let original = house.stored(row).await.unwrap();
    // A newer schema of the row; a newer format of the sealed bytes, whose first byte the first two characters hold.
    let newer_schema = |text: &str| text.replace("\"schema\":1", "\"schema\":2");
    let newer_format = |text: &str| {
        let from = text.find("\"sealed\":\"").unwrap() + 10;
        format!("{}Ag{}", &text[..from], &text[from + 2..])
    };
    let edits: [&dyn Fn(&str) -> String; 2] = [&newer_schema, &newer_format];
    for edit in edits {
        house.edit(row, edit).await;
        let before = house.stored(row).await;
        assert!(is_unreadable(&house, "shared:G").await);
        let agent = house.live("a", 1);
        assert!(
            super::environment::set(&house.secrets, &house, &agent)
                .await
                .is_err()
        );
        let put = house
            .try_put("shared:G", "another value", SecretCategory::Tool)
            .await;
        assert!(put.is_err());
        assert_eq!(house.stored(row).await, before);
        house.write(row, &original, original.value.to_vec()).await;
    }
    house.remove("t/acme/r/secret_keys/ring").await;
    assert!(is_unreadable(&house, "shared:G").await);
    assert_eq!(house.secrets.list(&Filter::All).await.unwrap().len(), 1);
}

async fn no_row_holds_a_value_in_clear(house: House) {
    let house = house.enabled().await;
    house
        .put("shared:G", "hunter2hunter2", SecretCategory::Tool)
        .await;
    house.put("shared:G", "correct horse", SecretCategory::Tool).await;
    for key in [
        "t/acme/r/secret/shared/g",
        "t/acme/r/secret_keys/ring",
        "s/r/secret_vault/one",
    ] {
        let row = String::from_utf8(house.stored(key).await.unwrap().value.to_vec()).unwrap();
        for form in ["hunter2", "correct", "aHVudGVyMg", "68756e74"] {
            assert!(!row.contains(form), "{key}");
        }
    }
}
