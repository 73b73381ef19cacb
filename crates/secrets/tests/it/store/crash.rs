//! What is found after `kill -9` at each commit of each verb that has several, or one that matters.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use dormouse_secrets::{
    Existing, FileKeyring, Filter, Generator, Keyring, LeaseOptions, LeaseStatus, LegacyOwner, Purpose,
    SecretCategory, SecretError, Vault, VaultOptions, VaultState,
};

use super::children::{Ended, killed};
use super::dying::{Dying, Side};
use super::environment::value_or;
use super::house::{House, after, at};
use super::large;
use super::legacy;
use super::place::Place;
use super::staged;

/// How many commits a verb has here at the most.
const COMMITS_MAX: u64 = 200;

/// The key file of a store: beside it, never in it.
fn key_of(place: &Place) -> FileKeyring {
    let told = place.told();
    let folder = PathBuf::from(told.split_once(':').unwrap().1);
    FileKeyring::new(
        folder.join("secrets.key"),
        Arc::new(Generator::from_system().unwrap()),
    )
}

/// The vault of the store, opened by its key file.
fn vault_of(house: &House) -> Vault {
    let key: Arc<dyn Keyring> = Arc::new(key_of(&house.place));
    let options = VaultOptions {
        sources: vec![key],
        first_key: None,
    };
    Vault::new(&house.system, options, house.random.clone())
}

/// In the child that dies: what it does.
pub(super) async fn child(role: &str, house: House) {
    let call = house.call(0);
    match role {
        "enable" => enable(&house).await,
        "rotate" => {
            let vault = vault_of(&house);
            assert_eq!(vault.start(&call).await.unwrap(), VaultState::Unlocked);
            vault
                .rotate_file(&call, &key_of(&house.place))
                .await
                .map(drop)
                .unwrap();
        }
        "rekey" => {
            house.vault.unlock(&call, &house.key(1)).await.unwrap();
            rekey(&house).await;
        }
        "use" => {
            house.vault.unlock(&call, &house.key(1)).await.unwrap();
            let granted = house
                .secrets
                .lease(
                    &call,
                    &at("shared:G"),
                    &Purpose::Reference,
                    &staged::holder(),
                    LeaseOptions::default(),
                )
                .await
                .unwrap();
            let lease = house
                .secrets
                .use_lease(&call, granted.id(), &staged::holder())
                .await
                .unwrap();
            super::children::say(lease.expose(call.now).unwrap().expose_text().unwrap());
        }
        "import" => {
            staged::live_all(&house);
            house.vault.unlock(&call, &house.key(1)).await.unwrap();
            staged::import(&house, staged::FEW, "new", Existing::Overwrite)
                .await
                .unwrap();
        }
        "import_all" => {
            staged::live_all(&house);
            house.vault.unlock(&house.call(0), &house.key(1)).await.unwrap();
            staged::import(&house, large::ALL, "new", Existing::Refuse)
                .await
                .unwrap();
        }
        "migrate" => {
            house.vault.unlock(&call, &house.key(1)).await.unwrap();
            let owner = LegacyOwner::Keys;
            house
                .secrets
                .migrate(&call, &legacy::large(), &owner)
                .await
                .map(drop)
                .unwrap();
        }
        other => panic!("{other}"),
    }
}

/// Makes the key file, if there is none, then the vault.
async fn enable(house: &House) {
    let file = key_of(&house.place);
    file.ensure().await.unwrap();
    vault_of(house).enable(&house.call(0), &file).await.unwrap();
}

async fn rekey(house: &House) {
    let call = house.call(0);
    match house.vault.begin_rekey(&call, &house.key(1)).await {
        Ok(_) | Err(dormouse_secrets::KeyError::Rekeying) => {}
        Err(error) => panic!("{error}"),
    }
    for tenant in house.vault.tenants_to_rekey(&house.system).await.unwrap() {
        house.tenant(tenant.as_str()).rekey(&call).await.unwrap();
    }
    // A minute later no commit under the old root key is in flight.
    let later = house.call(120);
    let has_ended = house.vault.end_rekey(&later, &house.system).await.unwrap();
    assert!(has_ended || !house.vault.is_rekeying().await.unwrap());
}

/// Kills `role` before and after each of its commits, each time on a copy of the store, and lets `look` look at what
/// is left.
async fn at_each_commit(role: &str, base: Place, look: impl AsyncFn(House, Side, u64)) {
    for number in 1..COMMITS_MAX {
        for side in [Side::Before, Side::After] {
            let copy = Place::copy_of_sled(base.folder().unwrap());
            if killed(role, &copy, side, number) == Ended::Done {
                assert!(number > 1, "{role} has a commit");
                return;
            }
            look(House::at(copy).await, side, number).await;
        }
    }
    panic!("{role} has more than {COMMITS_MAX} commits");
}

/// SE-20
#[tokio::test]
async fn an_enable_killed_anywhere_leaves_a_usable_key_file_or_a_vault_that_it_opens() {
    let base = House::in_sled().await.closed().await;
    at_each_commit("enable", base, async |house, side, number| {
        let vault = vault_of(&house);
        let call = house.call(1);
        let before = file_bytes(&house.place);
        match vault.start(&call).await.unwrap() {
            VaultState::Absent => enable(&house).await,
            VaultState::Unlocked => {}
            other => panic!("{side:?} {number}: {other}"),
        }
        assert_eq!(
            file_bytes(&house.place),
            before,
            "a key file that is there is used"
        );
        assert_eq!(vault_of(&house).start(&call).await.unwrap(), VaultState::Unlocked);
    })
    .await;
}

fn file_bytes(place: &Place) -> Vec<u8> {
    let folder = place.folder().unwrap();
    let bytes = std::fs::read(folder.join("secrets.key")).unwrap();
    assert!(!folder.join("store").join("secrets.key").exists());
    bytes
}

/// SE-28, with `a_rotation_has_as_many_commits_whatever_the_number_of_secrets`.
#[tokio::test]
async fn a_rotation_killed_anywhere_leaves_a_key_that_opens_all() {
    let house = House::in_sled().await;
    let vault = vault_of(&house);
    enable(&house).await;
    assert_eq!(vault.start(&house.call(0)).await.unwrap(), VaultState::Unlocked);
    let secrets = house.under(&vault);
    for number in 0..10 {
        staged::put_in(&secrets, &house, &format!("shared:KEY_{number}")).await;
    }
    drop(secrets);
    let base = house.closed().await;
    at_each_commit("rotate", base, async |house, side, number| {
        let vault = vault_of(&house);
        let state = vault.start(&house.call(1)).await.unwrap();
        assert_eq!(state, VaultState::Unlocked, "{side:?} {number}");
        let secrets = house.under(&vault);
        for number in 0..10 {
            let reference = format!("shared:KEY_{number}");
            assert_eq!(
                value_or(&secrets, &house, &reference).await.unwrap(),
                format!("the value of {reference}")
            );
        }
        // And the next rotation is done as if there had been none.
        vault
            .rotate_file(&house.call(2), &key_of(&house.place))
            .await
            .map(drop)
            .unwrap();
        assert_eq!(
            vault_of(&house).start(&house.call(3)).await.unwrap(),
            VaultState::Unlocked
        );
    })
    .await;
}

/// Rows of so many secrets, as bytes that a rotation never opens: 400 scopes of 250.
async fn with_rows(house: &House, count: usize) {
    house
        .put("agent:a:KEY_0", "some value", SecretCategory::Tool)
        .await;
    let one = house.rows_of("t/acme/r/secret/agent/a").await.remove(0);
    let keys =
        (0..count).map(|number| format!("t/acme/r/secret/agent/x{}/{:032x}/key_{number}", number / 250, 1));
    let keys: Vec<String> = keys.collect();
    for some in keys.chunks(250) {
        house.write_all(some, &one).await;
    }
}

#[tokio::test]
async fn a_rotation_has_as_many_commits_whatever_the_number_of_secrets() {
    let mut counted = Vec::new();
    for count in [10, 100_000] {
        let place = Place::memory();
        let store = Arc::new(Dying::new(place.open().await, Side::Before, u64::MAX));
        let folder = tempfile::tempdir().unwrap();
        let house = House::over(store.clone(), place, Generator::seeded(7)).await;
        let file = FileKeyring::new(folder.path().join("secrets.key"), house.random.clone());
        let sources: Vec<Arc<dyn Keyring>> = vec![Arc::new(FileKeyring::new(
            folder.path().join("secrets.key"),
            house.random.clone(),
        ))];
        let options = VaultOptions {
            sources,
            first_key: None,
        };
        let vault = Vault::new(&house.system, options, house.random.clone());
        file.ensure().await.unwrap();
        vault.enable(&house.call(0), &file).await.unwrap();
        let house = House {
            secrets: house.under(&vault),
            ..house
        };
        with_rows(&house, count).await;
        let before = store.commits();
        vault.rotate_file(&house.call(1), &file).await.map(drop).unwrap();
        counted.push(store.commits() - before);
    }
    assert_eq!(counted[0], counted[1]);
    assert!(counted[0] <= 3, "{counted:?}");
}

/// SE-31
#[tokio::test]
async fn a_rekey_killed_at_each_page_goes_on_and_reads_work_in_between() {
    let house = House::in_sled().await.enabled().await;
    let all: Vec<String> = (0..6).map(|number| format!("shared:KEY_{number}")).collect();
    for reference in &all {
        house
            .put(reference, "the first value", SecretCategory::Tool)
            .await;
        house
            .put(reference, "the second value", SecretCategory::Tool)
            .await;
    }
    let base = house.closed().await;
    at_each_commit("rekey", base, async |house, side, number| {
        house.vault.unlock(&house.call(1), &house.key(1)).await.unwrap();
        let read = async || {
            for reference in &all {
                let value = value_or(&house.secrets, &house, reference).await;
                assert_eq!(
                    value.unwrap(),
                    "the second value",
                    "{side:?} {number} {reference}"
                );
            }
        };
        read().await;
        rekey(&house).await;
        read().await;
        let vault = house.stored("s/r/secret_vault/one").await.unwrap();
        let vault: serde_json::Value = serde_json::from_slice(&vault.value).unwrap();
        assert!(
            !vault.to_string().contains("retiring"),
            "the old root key is forgotten: {vault}"
        );
        let ring = house.stored("t/acme/r/secret_keys/ring").await.unwrap();
        let ring: serde_json::Value = serde_json::from_slice(&ring.value).unwrap();
        let keys = ring["value"]["keys"].as_array().unwrap().len();
        assert_eq!(keys, 1, "no key is left that the old one wrapped: {ring}");
    })
    .await;
}

/// SE-41: a lost answer hands out nothing either, `leases::a_use_whose_answer_is_lost_hands_out_nothing`.
#[tokio::test]
async fn a_use_killed_after_its_commit_is_spent_and_before_it_is_not() {
    let house = House::in_sled().await.enabled().await;
    house
        .put("shared:G", "the value of G", SecretCategory::Tool)
        .await;
    let base = house.closed().await;
    let seen = std::sync::Mutex::new(BTreeSet::new());
    at_each_commit("use", base, async |house, _, number| {
        house.vault.unlock(&house.call(1), &house.key(1)).await.unwrap();
        let leases = house.secrets.leases_of(&staged::holder()).await.unwrap();
        let statuses: Vec<LeaseStatus> = leases.iter().map(|lease| lease.status).collect();
        for lease in leases
            .iter()
            .filter(|lease| lease.status == LeaseStatus::Consumed)
        {
            let used = house
                .secrets
                .use_lease(&house.call(2), lease.id, &staged::holder())
                .await;
            assert!(used.is_err(), "spent is spent");
        }
        seen.lock().unwrap().insert((number, format!("{statuses:?}")));
    })
    .await;
    let seen = seen.into_inner().unwrap();
    let last = seen.iter().next_back().unwrap();
    assert_eq!(last.1, "[Consumed]", "{seen:?}");
    assert!(
        seen.iter().any(|(_, statuses)| statuses == "[Active]"),
        "{seen:?}"
    );
}

#[tokio::test]
async fn an_import_killed_anywhere_is_all_or_none_and_a_repeat_ends_with_all() {
    let house = House::in_sled().await.enabled().await;
    staged::live_all(&house);
    staged::import(&house, staged::FEW, "old", Existing::Refuse)
        .await
        .unwrap();
    let base = house.closed().await;
    at_each_commit("import", base, async |house, side, number| {
        staged::live_all(&house);
        house.vault.unlock(&house.call(1), &house.key(1)).await.unwrap();
        let version = staged::the_one_version(&house, staged::FEW).await;
        match staged::try_put(&house).await {
            Ok(()) => {}
            Err(SecretError::ImportOpen) => {}
            Err(error) => panic!("{side:?} {number}: {error}"),
        }
        assert!(version == "old" || version == "new", "{side:?} {number}");
        staged::import(&house, staged::FEW, "new", Existing::Overwrite)
            .await
            .unwrap();
        assert_eq!(
            staged::the_one_version(&house, staged::FEW).await,
            "new",
            "{side:?} {number}"
        );
        staged::try_put(&house).await.unwrap();
    })
    .await;
}

/// SE-84
#[tokio::test]
async fn a_migration_killed_at_each_commit_is_completed_by_a_repeat() {
    let base = House::in_sled().await.enabled().await.closed().await;
    let source = legacy::large();
    let bytes = legacy::bytes_of(&source);
    at_each_commit("migrate", base, async |house, side, number| {
        house.vault.unlock(&house.call(1), &house.key(1)).await.unwrap();
        let done = house
            .secrets
            .migrate(&house.call(1), &source, &LegacyOwner::Keys)
            .await
            .unwrap();
        let placed = done.written.len() + done.there.len();
        assert_eq!(
            (placed, done.quarantined.len()),
            legacy::LARGE,
            "{side:?} {number}"
        );
        assert_eq!(
            house.secrets.list(&Filter::All).await.unwrap().len(),
            legacy::LARGE.0,
            "none twice, none lost"
        );
        assert_eq!(house.secrets.quarantined().await.unwrap().len(), legacy::LARGE.1);
        let missing = house
            .secrets
            .not_taken_over(&source, &LegacyOwner::Keys)
            .await
            .unwrap();
        assert_eq!(
            missing.len(),
            legacy::LARGE.1,
            "what is set aside keeps the source"
        );
        let again = house
            .secrets
            .migrate(&house.call(2), &source, &LegacyOwner::Keys)
            .await
            .unwrap();
        assert!(again.written.is_empty());
    })
    .await;
    assert_eq!(legacy::bytes_of(&source), bytes);
}

#[tokio::test]
async fn an_import_that_nobody_repeats_is_ended_after_ten_minutes() {
    let house = House::in_sled().await.enabled().await;
    staged::live_all(&house);
    staged::import(&house, staged::FEW, "old", Existing::Refuse)
        .await
        .unwrap();
    let base = house.closed().await;
    let copy = Place::copy_of_sled(base.folder().unwrap());
    // It begins, and its first page is staged.
    assert_eq!(killed("import", &copy, Side::After, 2), Ended::Killed);
    let house = House::at(copy).await;
    staged::live_all(&house);
    house.vault.unlock(&house.call(1), &house.key(1)).await.unwrap();
    assert!(matches!(
        staged::try_put(&house).await,
        Err(SecretError::ImportOpen)
    ));
    let refused = staged::import(&house, staged::FEW, "other", Existing::Overwrite).await;
    assert!(refused.is_err(), "one at a time");
    let due = |seconds| {
        let system = house.system.clone();
        async move { dormouse_secrets::due(&system, after(seconds), 10).await.unwrap() }
    };
    assert!(
        !due(599)
            .await
            .iter()
            .any(|(_, due)| *due == dormouse_secrets::Due::Import)
    );
    assert!(
        due(601)
            .await
            .iter()
            .any(|(_, due)| *due == dormouse_secrets::Due::Import)
    );
    house
        .secrets
        .retire(&house.call(600), &dormouse_secrets::Due::Import)
        .await
        .unwrap();
    assert_eq!(staged::the_one_version(&house, staged::FEW).await, "old");
    staged::try_put(&house).await.unwrap();
    let rows = house.text_of_rows("t/acme/r/secret/").await;
    assert!(!rows.contains("staged"), "nothing of it is left");
}
