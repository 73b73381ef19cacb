//! A build without the feature `age`, as `cargo xtask test` makes one for these tests: no export is encrypted, and none is in
//! clear instead.

use dormouse_secrets::{
    Change, Existing, ExportError, ExportTo, Filter, ImportError, ImportKey, SecretCategory,
};

use super::house::{House, at, secret};

super::on_every_store! {
    /// SE-79: built without age. An export of version 1 is `an_export_of_version_one_has_no_scopes`.
    an_export_is_refused_and_nothing_is_written_or_told;
}

/// A recipient, as age-keygen makes one.
const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
/// The begin of what age made in another build.
const ENCRYPTED: &[u8] = b"age-encryption.org/v1\n-> X25519 TEiF0ypqr+bpvcqXNyCVJpL7OuwPdVwPL7KQEbFDOCc\n";

async fn an_export_is_refused_and_nothing_is_written_or_told(house: House) {
    let house = house.enabled().await;
    house
        .put("shared:G", "the value of G", SecretCategory::Tool)
        .await;
    let before = house.text_of_rows("").await;
    drop(house.journal.take());
    let (secrets, call) = (&house.secrets, house.call(1));
    for to in [
        ExportTo::Recipients(vec![RECIPIENT.to_owned()]),
        ExportTo::Passphrase(secret("correct horse battery")),
    ] {
        let refused = secrets.export(&call, &to).await;
        assert!(matches!(refused, Err(ExportError::NoAge)), "{to:?}");
    }
    for key in [
        ImportKey::Identity(secret("AGE-SECRET-KEY-1")),
        ImportKey::Passphrase(secret("correct horse battery")),
    ] {
        let refused = secrets.import(&call, ENCRYPTED, &key, Existing::Overwrite).await;
        assert!(matches!(refused, Err(ImportError::NoAge)), "{key:?}");
    }
    assert_eq!(house.text_of_rows("").await, before);
    assert_eq!(house.journal.take().0, []);

    // What is in clear is, by its own name alone.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plain");
    secrets.export_in_clear(&call, path.clone()).await.unwrap();
    let told = house.journal.take().0;
    assert!(
        matches!(
            told[..],
            [Change::Exported {
                plaintext: true,
                count: 1
            }]
        ),
        "{told:?}"
    );
    let plain = std::fs::read(path).unwrap();
    let done = secrets
        .import(&call, &plain, &ImportKey::Clear, Existing::Refuse)
        .await;
    assert_eq!(done.unwrap().unchanged, [at("shared:G")]);
    assert_eq!(secrets.list(&Filter::All).await.unwrap().len(), 1);
}
