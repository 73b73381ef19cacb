//! Rotations of a key file with others in between, and a key that is given twice.

use dormouse_filesystem::wrapper::{FaultKind, Operation};
use dormouse_secrets::{FileKeyring, KeyError, VaultState};
use tempfile::TempDir;

use super::house::House;
use super::staged;

/// One more slot, of a key file in this folder.
async fn with_file(house: &House) -> (TempDir, FileKeyring, u32) {
    let folder = tempfile::tempdir().unwrap();
    let file = FileKeyring::new(folder.path().join("secrets.key"), house.random.clone());
    file.ensure().await.unwrap();
    let slot = house.vault.add_slot(&house.call(0), &file).await.unwrap();
    house
        .vault
        .confirm_slot(&house.call(0), slot, &file)
        .await
        .unwrap();
    (folder, file, slot)
}

/// A rotation that is killed behind its second commit: both keys open the vault, and the file has the old one.
async fn cut_in_the_gap(house: &House, file: &FileKeyring) {
    let nothing = FaultKind::Delay(std::time::Duration::ZERO);
    house.store.next(Operation::Commit, nothing);
    house.store.next(Operation::Commit, FaultKind::LoseAfter);
    let cut = house.vault.rotate_file(&house.call(1), file).await;
    assert!(matches!(cut, Err(KeyError::Indeterminate)), "{cut:?}");
}

async fn opens(house: &House, file: &FileKeyring) -> bool {
    let (other, _) = house.another(vec![std::sync::Arc::new(file.clone())]);
    other.start(&house.call(9)).await.unwrap() == VaultState::Unlocked
}

#[tokio::test]
async fn while_a_file_may_have_either_key_neither_slot_goes() {
    let house = House::in_memory().await.enabled().await;
    let (_folder, file, old) = with_file(&house).await;
    cut_in_the_gap(&house, &file).await;
    let new = old + 1;
    let begun = house.vault.begin_rekey(&house.call(2), &file).await;
    assert!(matches!(begun, Err(KeyError::Rotating)), "{begun:?}");
    for slot in [old, new] {
        let removed = house.vault.remove_slot(&house.call(2), slot).await;
        assert!(matches!(removed, Err(KeyError::Rotating)), "{slot}: {removed:?}");
    }
    house.vault.remove_slot(&house.call(2), 1).await.unwrap();
    assert_eq!(house.vault.rotate_file(&house.call(3), &file).await.unwrap(), new);
    assert!(opens(&house, &file).await);
    house.vault.begin_rekey(&house.call(4), &file).await.unwrap();
    assert!(opens(&house, &file).await);
}

#[tokio::test]
async fn a_rekey_by_another_key_is_the_way_out_of_a_rotation_whose_file_is_lost() {
    let house = House::in_memory().await.enabled().await;
    let (_folder, file, old) = with_file(&house).await;
    cut_in_the_gap(&house, &file).await;
    let dropped = house.vault.begin_rekey(&house.call(2), &house.key(1)).await;
    assert_eq!(dropped.unwrap(), [old, old + 1]);
    assert!(!opens(&house, &file).await);
}

#[tokio::test]
async fn a_rekey_by_the_new_key_right_behind_the_change_of_files_ends_the_rotation() {
    let (house, store) = staged::stopping().await;
    let (_folder, file, _) = with_file(&house).await;
    let end = store.stop_ahead(3);
    let call = house.call(1);
    let rotates = house.vault.rotate_file(&call, &file);
    let others = async {
        end.reached().await;
        house.vault.begin_rekey(&house.call(2), &file).await.unwrap();
        end.go();
    };
    let (rotated, ()) = tokio::join!(rotates, others);
    rotated.unwrap();
    assert!(opens(&house, &file).await);
}

#[tokio::test]
async fn a_key_that_is_given_twice_has_one_slot() {
    let house = House::in_memory().await.enabled().await;
    let key = house.key(2);
    let first = house.vault.add_slot(&house.call(0), &key).await.unwrap();
    let again = house.vault.add_slot(&house.call(1), &key).await.unwrap();
    assert_eq!(first, again, "while it waits to be confirmed");
    house
        .vault
        .confirm_slot(&house.call(2), first, &key)
        .await
        .unwrap();
    let again = house.vault.add_slot(&house.call(3), &key).await.unwrap();
    assert_eq!(first, again);
    house.vault.remove_slot(&house.call(4), first).await.unwrap();
    let (other, _) = house.another(Vec::new());
    let refused = other.unlock(&house.call(5), &key).await;
    assert!(matches!(refused, Err(KeyError::WrongKey)), "{refused:?}");
}
