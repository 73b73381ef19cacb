//! The vault: made, opened, locked, given other keys.

use std::sync::Arc;

use dormouse_filesystem::wrapper::{FaultKind, Operation};
use dormouse_secrets::{
    FileKeyring, KeyError, Keyring, SecretCategory, SecretError, SlotState, VaultChange, VaultState,
};

use super::house::{DAY, House, at};
use super::on_every_store;

on_every_store! {
    a_vault_is_opened_by_its_key_and_no_other;
    /// SE-25
    a_lock_outlives_a_restart_and_without_one_the_key_file_opens_it;
    a_lock_in_one_process_is_seen_by_the_next_verb_of_another;
    a_lock_that_is_not_told_wipes_all_the_same;
    beyond_five_keys_a_minute_none_is_tried;
    /// SE-29
    the_last_active_slot_stays_and_a_pending_one_does_not_count;
    a_rotated_file_opens_the_vault_and_the_old_key_no_longer;
    a_rotation_that_was_cut_goes_on;
    of_two_that_make_a_vault_one_wins_and_both_read_what_the_other_put;
    /// SE-30
    a_rekey_skips_a_row_that_does_not_open_and_keeps_its_key;
    a_cut_rekey_goes_on_and_reads_work_throughout;
    what_a_newer_build_wrote_is_refused_and_stays;
}

async fn a_vault_is_opened_by_its_key_and_no_other(house: House) {
    assert_eq!(house.vault.state().await.unwrap(), VaultState::Absent);
    let house = house.enabled().await;
    assert_eq!(house.vault.state().await.unwrap(), VaultState::Unlocked);
    assert!(matches!(
        house.vault.enable(&house.call(0), &house.key(1)).await,
        Err(KeyError::State {
            now: VaultState::Unlocked
        })
    ));
    let (other, _) = house.another(Vec::new());
    assert_eq!(other.state().await.unwrap(), VaultState::Sealed);
    assert!(matches!(
        other.unlock(&house.call(0), &house.key(2)).await,
        Err(KeyError::WrongKey)
    ));
    assert_eq!(other.state().await.unwrap(), VaultState::Sealed);
    other.unlock(&house.call(0), &house.key(1)).await.unwrap();
    assert_eq!(other.state().await.unwrap(), VaultState::Unlocked);
}

async fn a_lock_outlives_a_restart_and_without_one_the_key_file_opens_it(house: House) {
    let folder = tempfile::tempdir().unwrap();
    let file = FileKeyring::new(folder.path().join("secrets.key"), house.random.clone());
    file.ensure().await.unwrap();
    house.vault.enable(&house.call(0), &file).await.unwrap();
    let sources: Vec<Arc<dyn Keyring>> = vec![Arc::new(file.clone())];
    let (restarted, _) = house.another(sources.clone());
    assert_eq!(
        restarted.start(&house.call(1)).await.unwrap(),
        VaultState::Unlocked
    );
    house.vault.lock(&house.call(2)).await.unwrap();
    let (restarted, _) = house.another(sources.clone());
    assert_eq!(restarted.start(&house.call(3)).await.unwrap(), VaultState::Locked);
    restarted.unlock(&house.call(4), &file).await.unwrap();
    let (restarted, _) = house.another(sources);
    assert_eq!(
        restarted.start(&house.call(5)).await.unwrap(),
        VaultState::Unlocked
    );
}

async fn a_lock_in_one_process_is_seen_by_the_next_verb_of_another(house: House) {
    let house = house.enabled().await;
    house.put("shared:G", "value of G", SecretCategory::Tool).await;
    let (other, secrets) = house.another(Vec::new());
    other.unlock(&house.call(0), &house.key(1)).await.unwrap();
    assert!(other.is_locked_in_memory().is_some());
    house.vault.lock(&house.call(1)).await.unwrap();
    let refused = secrets
        .delete(
            &house.call(2),
            &at("shared:G"),
            &dormouse_secrets::Deletion::Force,
        )
        .await;
    assert!(matches!(refused, Err(SecretError::Locked)));
    assert_eq!(other.is_locked_in_memory(), None, "its key is wiped");
}

async fn a_lock_that_is_not_told_wipes_all_the_same(house: House) {
    let house = house.enabled().await;
    house.store.next(Operation::Commit, FaultKind::LoseBefore);
    assert!(matches!(
        house.vault.lock(&house.call(1)).await,
        Err(KeyError::OthersNotTold(_))
    ));
    assert_eq!(house.vault.is_locked_in_memory(), None);
    assert_eq!(house.vault.state().await.unwrap(), VaultState::Sealed);
}

async fn beyond_five_keys_a_minute_none_is_tried(house: House) {
    let house = house.enabled().await;
    house.vault.lock(&house.call(0)).await.unwrap();
    for second in 0..5 {
        let refused = house.vault.unlock(&house.call(second), &house.key(2)).await;
        assert!(matches!(refused, Err(KeyError::WrongKey)));
    }
    let refused = house.vault.unlock(&house.call(59), &house.key(1)).await;
    assert!(
        matches!(refused, Err(KeyError::TooMany { .. })),
        "even the right one"
    );
    house.vault.unlock(&house.call(60), &house.key(1)).await.unwrap();
}

async fn the_last_active_slot_stays_and_a_pending_one_does_not_count(house: House) {
    let house = house.enabled().await;
    let vault = &house.vault;
    assert!(matches!(
        vault.remove_slot(&house.call(0), 1).await,
        Err(KeyError::LastSlot)
    ));
    let second = vault.add_slot(&house.call(0), &house.key(2)).await.unwrap();
    assert!(matches!(
        vault.remove_slot(&house.call(0), 1).await,
        Err(KeyError::LastSlot)
    ));
    let (other, _) = house.another(Vec::new());
    let refused = other.unlock(&house.call(0), &house.key(2)).await;
    assert!(
        matches!(refused, Err(KeyError::WrongKey)),
        "a pending slot opens nothing"
    );
    assert!(matches!(
        vault.confirm_slot(&house.call(0), second, &house.key(3)).await,
        Err(KeyError::WrongKey)
    ));
    assert_eq!(
        vault.slots(house.call(DAY - 1).now).await.unwrap()[1].state,
        SlotState::Pending
    );
    assert_eq!(
        vault.slots(house.call(DAY).now).await.unwrap().len(),
        1,
        "it ended"
    );
    assert!(matches!(
        vault.confirm_slot(&house.call(DAY), second, &house.key(2)).await,
        Err(KeyError::UnknownSlot)
    ));
    let third = vault.add_slot(&house.call(DAY), &house.key(3)).await.unwrap();
    assert_eq!(third, 3, "no slot has a number twice");
    vault
        .confirm_slot(&house.call(DAY), third, &house.key(3))
        .await
        .unwrap();
    vault.remove_slot(&house.call(DAY), 1).await.unwrap();
    assert!(matches!(
        vault.remove_slot(&house.call(DAY), 1).await,
        Err(KeyError::UnknownSlot)
    ));
    assert!(matches!(
        vault.remove_slot(&house.call(DAY), third).await,
        Err(KeyError::LastSlot)
    ));
    let (other, _) = house.another(Vec::new());
    other.unlock(&house.call(DAY), &house.key(3)).await.unwrap();
}

/// A vault with a key file, and a copy of the key it began with.
async fn with_file(house: &House, folder: &std::path::Path) -> (FileKeyring, FileKeyring) {
    let file = FileKeyring::new(folder.join("secrets.key"), house.random.clone());
    file.ensure().await.unwrap();
    house.vault.enable(&house.call(0), &file).await.unwrap();
    std::fs::copy(folder.join("secrets.key"), folder.join("old.key")).unwrap();
    (
        file,
        FileKeyring::new(folder.join("old.key"), house.random.clone()),
    )
}

async fn a_rotated_file_opens_the_vault_and_the_old_key_no_longer(house: House) {
    let folder = tempfile::tempdir().unwrap();
    let (file, old) = with_file(&house, folder.path()).await;
    house.put("shared:G", "value of G", SecretCategory::Tool).await;
    house.vault.rotate_file(&house.call(1), &file).await.unwrap();
    let (other, _) = house.another(Vec::new());
    assert!(matches!(
        other.unlock(&house.call(2), &old).await,
        Err(KeyError::WrongKey)
    ));
    other.unlock(&house.call(2), &file).await.unwrap();
    assert!(!folder.path().join("secrets.key.new").exists());
    let (_, changes) = house.journal.take();
    let words: Vec<bool> = changes
        .iter()
        .map(|change| {
            matches!(
                change,
                VaultChange::SlotAdded { .. } | VaultChange::SlotRemoved { .. }
            )
        })
        .collect();
    assert_eq!(words.iter().filter(|is| **is).count(), 2, "{changes:?}");
}

async fn a_rotation_that_was_cut_goes_on(house: House) {
    let folder = tempfile::tempdir().unwrap();
    let (file, old) = with_file(&house, folder.path()).await;
    // Each of its commits is lost, and done or not: the file in place opens the vault, and the same call goes on.
    for (cut, fault) in [
        (0, FaultKind::LoseBefore),
        (0, FaultKind::LoseAfter),
        (1, FaultKind::LoseBefore),
        (1, FaultKind::LoseAfter),
        (2, FaultKind::LoseBefore),
        (2, FaultKind::LoseAfter),
    ] {
        for _ in 0..cut {
            house
                .store
                .next(Operation::Commit, FaultKind::Delay(std::time::Duration::ZERO));
        }
        house.store.next(Operation::Commit, fault);
        let cut_off = house.vault.rotate_file(&house.call(1), &file).await;
        house.store.forget();
        let (other, _) = house.another(vec![Arc::new(file.clone())]);
        assert_eq!(
            other.start(&house.call(2)).await.unwrap(),
            VaultState::Unlocked,
            "{cut} {fault:?} {cut_off:?}"
        );
    }
    house.vault.rotate_file(&house.call(3), &file).await.unwrap();
    let (other, _) = house.another(vec![Arc::new(old)]);
    assert_eq!(other.start(&house.call(4)).await.unwrap(), VaultState::Sealed);
}

async fn of_two_that_make_a_vault_one_wins_and_both_read_what_the_other_put(house: House) {
    let (other, secrets) = house.another(Vec::new());
    let (call, key) = (house.call(0), house.key(1));
    let (first, second) = futures::join!(house.vault.enable(&call, &key), other.enable(&call, &key));
    assert!(
        first.is_ok() && matches!(second, Ok(()) | Err(KeyError::State { .. })),
        "{first:?} {second:?}"
    );
    if second.is_err() {
        other.unlock(&call, &key).await.unwrap();
    }
    house.put("shared:G", "value of G", SecretCategory::Tool).await;
    assert_eq!(
        super::environment::value(&secrets, &house, "a", "G")
            .await
            .as_deref(),
        Some("value of G")
    );
}

async fn a_rekey_skips_a_row_that_does_not_open_and_keeps_its_key(house: House) {
    let house = house.enabled().await;
    for name in ["G", "H", "I"] {
        house
            .put(
                &format!("shared:{name}"),
                &format!("value of {name}"),
                SecretCategory::Tool,
            )
            .await;
    }
    let key = "t/acme/r/secret/shared/h";
    house
        .edit(key, |text| text.replace("\"tool\"", "\"system\""))
        .await;
    house
        .vault
        .begin_rekey(&house.call(1), &house.key(1))
        .await
        .unwrap();
    let done = house.secrets.rekey(&house.call(2)).await.unwrap();
    assert_eq!((done.resealed, done.unreadable), (2, vec![at("shared:H")]));
    let has_ended = house.vault.end_rekey(&house.call(63), &house.system).await;
    assert!(has_ended.unwrap());
    assert!(
        !house.vault.is_rekeying().await.unwrap(),
        "the old root key opens no ring"
    );
    // The key it names is still there: the row as it was opens.
    house
        .edit(key, |text| text.replace("\"system\"", "\"tool\""))
        .await;
    assert_eq!(
        super::environment::value(&house.secrets, &house, "a", "H")
            .await
            .as_deref(),
        Some("value of H")
    );
    house
        .edit(key, |text| text.replace("\"tool\"", "\"system\""))
        .await;
    let ring = || async {
        String::from_utf8(
            house
                .stored("t/acme/r/secret_keys/ring")
                .await
                .unwrap()
                .value
                .to_vec(),
        )
        .unwrap()
    };
    assert!(ring().await.contains("\"id\":1,"));
    house
        .secrets
        .delete(
            &house.call(4),
            &at("shared:H"),
            &dormouse_secrets::Deletion::Force,
        )
        .await
        .unwrap();
    house.secrets.rekey(&house.call(5)).await.unwrap();
    assert!(!ring().await.contains("\"id\":1,"), "nobody names it any more");
}

async fn a_cut_rekey_goes_on_and_reads_work_throughout(house: House) {
    let house = house.enabled().await;
    for at in 0..12 {
        house
            .put(
                &format!("shared:G{at}"),
                &format!("value of G{at}"),
                SecretCategory::Tool,
            )
            .await;
    }
    let all_open = || async {
        for at in 0..12 {
            let value = super::environment::value(&house.secrets, &house, "a", &format!("G{at}")).await;
            assert_eq!(value, Some(format!("value of G{at}")));
        }
    };
    house.vault.add_slot(&house.call(1), &house.key(2)).await.unwrap();
    let dropped = house
        .vault
        .begin_rekey(&house.call(1), &house.key(1))
        .await
        .unwrap();
    assert_eq!(dropped, [2]);
    all_open().await;
    for cut in 0..6 {
        for _ in 0..cut {
            house
                .store
                .next(Operation::Commit, FaultKind::Delay(std::time::Duration::ZERO));
        }
        house.store.next(Operation::Commit, FaultKind::LoseAfter);
        drop(house.secrets.rekey(&house.call(2)).await);
        house.store.forget();
        all_open().await;
    }
    house.secrets.rekey(&house.call(3)).await.unwrap();
    let has_ended = house.vault.end_rekey(&house.call(63), &house.system).await;
    assert!(has_ended.unwrap());
    all_open().await;
    let (other, _) = house.another(vec![Arc::new(house.key(1))]);
    assert_eq!(other.start(&house.call(4)).await.unwrap(), VaultState::Unlocked);
}

async fn what_a_newer_build_wrote_is_refused_and_stays(house: House) {
    let house = house.enabled().await;
    let key = "s/r/secret_vault/one";
    house
        .edit(key, |text| text.replace("\"schema\":1", "\"schema\":2"))
        .await;
    let before = house.stored(key).await;
    assert!(matches!(house.vault.state().await, Err(KeyError::Store(_))));
    assert!(house.vault.lock(&house.call(1)).await.is_err());
    assert_eq!(house.stored(key).await, before);
}
