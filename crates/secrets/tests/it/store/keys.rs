//! Key sources: what is a key, and what a key file must be.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;

use dormouse_secrets::{
    Argon2Params, Ensured, FileKeyring, FixedKeyring, Generator, KeyError, PassphraseKeyring, Random,
    SecretCategory, VaultState,
};

use super::house::House;

fn random() -> Arc<dyn Random> {
    Arc::new(Generator::seeded(3))
}

fn reason(refused: Result<Ensured, KeyError>) -> &'static str {
    match refused {
        Err(KeyError::Malformed { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

/// SE-22
#[tokio::test]
async fn a_key_file_that_others_could_have_touched_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secrets.key");
    let write = |content: &[u8], mode: u32| {
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let good: Vec<u8> = (0..32).collect();
    let file = FileKeyring::new(path.clone(), random());
    write(&good, 0o644);
    assert_eq!(
        reason(file.ensure().await),
        "the key file's mode is wider than 0600"
    );
    write(&good[..31], 0o600);
    assert_eq!(
        reason(file.ensure().await),
        "a key is 32 bytes or 64 hexadecimal digits"
    );
    write(&[0; 32], 0o600);
    assert_eq!(reason(file.ensure().await), "a key has at least 8 distinct bytes");
    write(&good, 0o600);
    assert_eq!(file.ensure().await.unwrap(), Ensured::Found);

    let link = folder.path().join("link.key");
    symlink(&path, &link).unwrap();
    assert_eq!(
        reason(FileKeyring::new(link, random()).ensure().await),
        "the key file is a link"
    );
    // Root's own files are not another user's, so root gives one away; anybody else finds root's.
    let foreign = if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
        path.clone()
    } else {
        "/etc/passwd".into()
    };
    assert_eq!(
        reason(FileKeyring::new(foreign, random()).ensure().await),
        "the key file belongs to another user"
    );
}

#[tokio::test]
async fn a_key_file_is_made_once_for_its_owner_alone_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secrets.key");
    let file = FileKeyring::new(path.clone(), random());
    assert_eq!(file.ensure().await.unwrap(), Ensured::Made);
    let made = std::fs::read(&path).unwrap();
    assert_eq!(made.len(), 65);
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    assert_eq!(file.ensure().await.unwrap(), Ensured::Found);
    assert_eq!(std::fs::read(&path).unwrap(), made);
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing lies beside it"
    );
}

#[tokio::test]
async fn a_passphrase_opens_the_vault_whose_key_it_derived() {
    let house = House::in_memory().await;
    let params = Argon2Params {
        memory_kib: 19 * 1024,
        passes: 2,
        lanes: 1,
    };
    let words = |text: &str| PassphraseKeyring::new(text.as_bytes(), params, random()).unwrap();
    house
        .vault
        .enable(&house.call(0), &words("correct horse battery"))
        .await
        .unwrap();
    house.put("shared:G", "value of G", SecretCategory::Tool).await;
    let (other, _) = house.another(Vec::new());
    let refused = other
        .unlock(&house.call(0), &words("another horse battery"))
        .await;
    assert!(matches!(refused, Err(KeyError::WrongKey)));
    other
        .unlock(&house.call(0), &words("correct horse battery"))
        .await
        .unwrap();
    assert_eq!(other.state().await.unwrap(), VaultState::Unlocked);
    let short = PassphraseKeyring::new(b"12345678901", params, random());
    assert!(matches!(short, Err(KeyError::Malformed { .. })));
    assert!(!format!("{:?}", words("correct horse battery")).contains("correct"));
}

/// SE-33
#[tokio::test]
async fn lowered_parameters_do_not_open_and_huge_ones_are_refused_before_memory_is_taken() {
    let house = House::in_memory().await;
    let params = Argon2Params {
        memory_kib: 20 * 1024,
        passes: 2,
        lanes: 1,
    };
    let words = PassphraseKeyring::new(b"correct horse battery", params, random()).unwrap();
    house.vault.enable(&house.call(0), &words).await.unwrap();
    house.vault.lock(&house.call(0)).await.unwrap();
    let key = "s/r/secret_vault/one";
    house
        .edit(key, |text| {
            text.replace("\"memory_kib\":20480", "\"memory_kib\":19456")
        })
        .await;
    assert!(matches!(
        house.vault.unlock(&house.call(0), &words).await,
        Err(KeyError::WrongKey)
    ));
    house
        .edit(key, |text| {
            text.replace("\"memory_kib\":19456", "\"memory_kib\":2097152")
        })
        .await;
    assert!(matches!(
        house.vault.unlock(&house.call(0), &words).await,
        Err(KeyError::Malformed { .. })
    ));
    house
        .edit(key, |text| {
            text.replace("\"memory_kib\":2097152", "\"memory_kib\":20480")
        })
        .await;
    house.vault.unlock(&house.call(0), &words).await.unwrap();
}

#[test]
fn bytes_that_were_not_made_at_random_are_no_key() {
    assert!(matches!(
        FixedKeyring::new(&[7; 32], random()),
        Err(KeyError::Malformed { .. })
    ));
}
