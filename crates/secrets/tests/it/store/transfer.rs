//! Exports and imports.

use std::os::unix::fs::PermissionsExt;

use dormouse_secrets::{
    Change, Existing, Expect, ExportTo, Filter, ImportError, ImportKey, PutMeta, SecretCategory,
};

use super::environment::value_or;
use super::house::{House, after, at, secret};
use super::on_every_store;

on_every_store! {
    /// SE-76
    an_export_comes_back_into_an_empty_store_as_it_was;
    /// SE-77
    what_exists_keeps_every_field_and_a_bad_file_imports_nothing;
    an_export_of_version_one_has_no_scopes;
    a_plain_export_is_a_new_file_of_its_owner_and_is_told;
}

fn passphrase() -> dormouse_secrets::Secret {
    secret("correct horse battery")
}

async fn filled(house: House) -> House {
    let house = house.enabled().await;
    let origins = vec!["https://example.org".parse().unwrap()];
    let meta = PutMeta {
        origins,
        note: "by hand".to_owned(),
        ..PutMeta::default()
    };
    let value = secret("the value of G");
    let put = (house.call(7), at("shared:G"));
    house
        .secrets
        .put(&put.0, &put.1, &value, SecretCategory::Tool, &meta, Expect::Any)
        .await
        .unwrap();
    house
        .put("agent:a:KEY", "the value of KEY", SecretCategory::System)
        .await;
    house
}

/// What is the same after an import: all but generations and what keys make of values.
async fn compared(house: &House) -> Vec<String> {
    let mut listed = Vec::new();
    for meta in house.secrets.list(&Filter::All).await.unwrap() {
        let value = value_or(&house.secrets, house, &meta.at.to_string())
            .await
            .unwrap();
        let at = meta.at;
        let times = (meta.created_at, meta.updated_at, meta.times_known);
        listed.push(format!(
            "{at} {:?} {times:?} {:?} {} {value}",
            meta.category, meta.origins, meta.note
        ));
    }
    listed
}

async fn an_export_comes_back_into_an_empty_store_as_it_was(house: House) {
    let house = filled(house).await;
    let export = house
        .secrets
        .export(&house.call(9), &ExportTo::Passphrase(passphrase()))
        .await
        .unwrap();
    for value in ["the value of", "dGhlIHZhbHVl"] {
        assert!(
            !export
                .windows(value.len())
                .any(|window| window == value.as_bytes()),
            "{value}"
        );
    }
    let empty = House::in_memory().await.enabled().await;
    let key = ImportKey::Passphrase(passphrase());
    let done = empty
        .secrets
        .import(&empty.call(99), &export, &key, Existing::Refuse)
        .await
        .unwrap();
    assert_eq!(done.written.len(), 2);
    assert_eq!(compared(&empty).await, compared(&house).await);
    let again = empty
        .secrets
        .import(&empty.call(99), &export, &key, Existing::Refuse)
        .await
        .unwrap();
    assert_eq!((again.written.len(), again.unchanged.len()), (0, 2));
}

async fn what_exists_keeps_every_field_and_a_bad_file_imports_nothing(house: House) {
    let house = filled(house).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plain");
    house
        .secrets
        .export_in_clear(&house.call(9), path.clone())
        .await
        .unwrap();
    let plain = std::fs::read(path).unwrap();
    let other = House::in_memory().await.enabled().await;
    other
        .put("shared:G", "another value", SecretCategory::System)
        .await;
    let before = compared(&other).await;
    let import = |bytes: Vec<u8>, existing| {
        let (secrets, call) = (other.secrets.clone(), other.call(50));
        async move { secrets.import(&call, &bytes, &ImportKey::Clear, existing).await }
    };
    match import(plain.clone(), Existing::Refuse).await {
        Err(ImportError::Exists { refs }) => assert_eq!(refs, [at("shared:G")]),
        other => panic!("{other:?}"),
    }
    let text = String::from_utf8(plain.clone()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let changed = text.replacen("\"system\"", "\"tool\"", 1);
    let newer = text.replacen("\"version\":2", "\"version\":3", 1);
    let short = [lines[0], lines[1]].join("\n");
    for bad in [
        changed,
        newer,
        short,
        String::new(),
        "{}".to_owned(),
        text[..text.len() - 5].to_owned(),
    ] {
        assert!(
            import(bad.clone().into_bytes(), Existing::Overwrite)
                .await
                .is_err(),
            "{bad}"
        );
    }
    assert!(matches!(
        import(
            text.replacen("\"version\":2", "\"version\":3", 1).into_bytes(),
            Existing::Keep
        )
        .await,
        Err(ImportError::Version { found: 3 })
    ));
    let encrypted = house
        .secrets
        .export(&house.call(9), &ExportTo::Passphrase(passphrase()))
        .await
        .unwrap();
    let wrong = ImportKey::Passphrase(secret("another horse battery"));
    let refused = other
        .secrets
        .import(&other.call(50), &encrypted, &wrong, Existing::Overwrite)
        .await;
    assert!(matches!(refused, Err(ImportError::Decrypt)));
    assert_eq!(compared(&other).await, before);
    let row = other.stored("t/acme/r/secret/shared/g").await;
    let done = import(plain.clone(), Existing::Keep).await.unwrap();
    assert_eq!(
        (done.kept, done.written),
        (vec![at("shared:G")], vec![at("agent:a:KEY")])
    );
    assert_eq!(other.stored("t/acme/r/secret/shared/g").await, row);
    let done = import(plain, Existing::Overwrite).await.unwrap();
    assert_eq!(done.written, [at("shared:G")]);
    assert_eq!(
        other.secrets.info(&at("shared:G")).await.unwrap().generation,
        2,
        "it goes on"
    );
    assert_eq!(compared(&other).await, compared(&house).await);
}

async fn an_export_of_version_one_has_no_scopes(house: House) {
    let house = house.enabled().await;
    let head = format!(
        "{{\"format\":\"dormouse-secrets\",\"version\":1,\"tenant\":\"old\",\"at\":\"{}\"}}\n",
        after(0)
    );
    let time = after(0);
    let entry = format!(
        "{{\"name\":\"G\",\"category\":\"tool\",\"value\":\"dGhlIG9sZCB2YWx1ZQ==\",\"created_at\":\"{time}\",\"updated_at\":\"{time}\",\"times_known\":true}}\n"
    );
    let body = head + &entry;
    let digest = sha256(body.as_bytes());
    let export = format!("{body}{{\"count\":1,\"sha256\":\"{digest}\"}}\n");
    let done = house
        .secrets
        .import(
            &house.call(1),
            export.as_bytes(),
            &ImportKey::Clear,
            Existing::Refuse,
        )
        .await
        .unwrap();
    assert_eq!(done.unscoped.len(), 1);
    assert_eq!(
        value_or(&house.secrets, &house, "shared:G").await.unwrap(),
        "the old value"
    );
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

async fn a_plain_export_is_a_new_file_of_its_owner_and_is_told(house: House) {
    let house = filled(house).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plain");
    drop(house.journal.take());
    house
        .secrets
        .export_in_clear(&house.call(9), path.clone())
        .await
        .unwrap();
    assert_eq!(
        house.journal.take().0,
        [Change::Exported {
            plaintext: true,
            count: 2
        }]
    );
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    assert!(
        house.secrets.export_in_clear(&house.call(9), path).await.is_err(),
        "it is never overwritten"
    );
}
