//! What is in rows and files, byte by byte.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use dormouse_secrets::{
    Expect, FileKeyring, Keyring, PutMeta, Redaction, Scrubber, SecretCategory, SecretName, Vault,
    VaultOptions,
};

use super::house::{House, at, secret};

super::on_every_store! {
    /// SE-17
    no_file_and_no_row_has_a_form_of_a_value_and_the_key_file_is_elsewhere;
}

const VALUES: [&str; 4] = [
    "correct horse battery staple",
    "AbC0123456789-_/+=",
    "a \"quoted\" and\nbroken value",
    "postgres://user:the-password@host/db",
];

/// What finds every form of the values.
fn scrubber() -> Scrubber {
    let redactions = VALUES.iter().map(|value| {
        let name = SecretName::parse("VALUE").unwrap();
        Redaction::new(name, secret(value)).unwrap()
    });
    Scrubber::new(redactions.collect()).unwrap()
}

/// All bytes of all files below.
pub(super) fn files(folder: &Path, all: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, all);
        } else {
            all.extend(std::fs::read(path).unwrap());
            all.push(b'\n');
        }
    }
}

async fn no_file_and_no_row_has_a_form_of_a_value_and_the_key_file_is_elsewhere(house: House) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secrets.key");
    let file = || FileKeyring::new(path.clone(), house.random.clone());
    file().ensure().await.unwrap();
    let sources: Vec<Arc<dyn Keyring>> = vec![Arc::new(file())];
    let options = VaultOptions {
        sources,
        first_key: None,
    };
    let vault = Vault::new(&house.system, options, house.random.clone());
    vault.enable(&house.call(0), &file()).await.unwrap();
    let secrets = house.under(&vault);
    let (category, meta) = (SecretCategory::Tool, PutMeta::default());
    for (number, value) in VALUES.iter().enumerate() {
        for reference in [format!("shared:KEY_{number}"), format!("agent:a:KEY_{number}")] {
            let (call, value) = (house.call(0), secret(value));
            secrets
                .put(&call, &at(&reference), &value, category, &meta, Expect::Any)
                .await
                .unwrap();
            let other = secret("another value");
            secrets
                .put(&call, &at(&reference), &other, category, &meta, Expect::Any)
                .await
                .unwrap();
        }
    }
    let clean = |bytes: &[u8], what: &str| {
        assert!(bytes.len() > 1_000, "{what} has something");
        assert!(
            scrubber().bytes(bytes).as_slice() == bytes,
            "{what} has a form of a value"
        );
    };
    let seen = scrubber().scrub(VALUES[0]);
    assert_eq!(seen.as_str(), "[redacted:VALUE]", "it would be found");
    clean(&house.bytes_of_rows("").await, "a row");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    drop(secrets);
    let place = house.closed().await;
    if let Some(store) = place.folder() {
        assert!(!path.starts_with(store));
        let mut all = Vec::new();
        files(store, &mut all);
        clean(&all, "a file");
    }
    let dumped = place.dumped().await;
    if !dumped.is_empty() {
        clean(&dumped, "a table");
    }
}
