//! Several processes on one server: who enables, who is told of a lock, who gets the last use.

use std::io::BufRead;
use std::sync::Arc;
use std::time::Duration;

use dormouse_secrets::{
    Call, FileKeyring, KeyError, Keyring, Lease, LeaseError, LeaseId, LeaseOptions, LeaseStatus, Purpose,
    SecretCategory, SecretError, Vault, VaultOptions, VaultState,
};
use tokio::time::Instant;

use super::children::{Child, say};
use super::environment::value_or;
use super::house::{House, at};
use super::place::Place;
use super::staged::{holder, put_in};

/// Users of one lease in each of the processes.
const USERS_EACH: usize = 25;

/// In a child: what it is told, line by line.
pub(super) async fn child(role: &str, house: House) {
    let (role, rest) = role.split_once(' ').unwrap_or((role, ""));
    say("ready");
    match role {
        "enable" => enable(&house, rest, &line().await).await,
        "lock" => {
            house.vault.unlock(&house.call(0), &house.key(1)).await.unwrap();
            say(&value_or(&house.secrets, &house, "shared:G").await.unwrap());
            line().await;
            let refused = value_or(&house.secrets, &house, "shared:G").await;
            say(&format!(
                "{} {:?}",
                matches!(refused, Err(SecretError::Locked)),
                house.vault.is_locked_in_memory()
            ));
        }
        "use" => {
            house.vault.unlock(&house.call(0), &house.key(1)).await.unwrap();
            let id: LeaseId = line().await.parse().unwrap();
            let (mut values, mut consumed) = (0, 0);
            let call = house.call(0);
            let all = (0..USERS_EACH).map(|_| used(&house, &call, id));
            for used in futures::future::join_all(all).await {
                match used {
                    Ok(_) => values += 1,
                    Err(LeaseError::Consumed) => consumed += 1,
                    Err(error) => panic!("{error}"),
                }
            }
            say(&format!("{values} {consumed}"));
        }
        other => panic!("{other}"),
    }
}

/// One use. Where a busy machine had no connection in time nothing was done, and it is tried again.
async fn used(house: &House, call: &Call, id: LeaseId) -> Result<Lease, LeaseError> {
    let ends = Instant::now() + Duration::from_secs(60);
    loop {
        match house.secrets.use_lease(call, id, &holder()).await {
            Err(LeaseError::Secret(SecretError::Store(_))) if Instant::now() < ends => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            used => return used,
        }
    }
}

/// The next line that the child is told.
async fn line() -> String {
    let read = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    });
    read.await.unwrap()
}

async fn enable(house: &House, key: &str, own: &str) {
    let file = FileKeyring::new(key.into(), house.random.clone());
    let sources: Vec<Arc<dyn Keyring>> = vec![Arc::new(FileKeyring::new(key.into(), house.random.clone()))];
    let options = VaultOptions {
        sources,
        first_key: None,
    };
    let vault = Vault::new(&house.system, options, house.random.clone());
    let call = house.call(0);
    file.ensure().await.unwrap();
    match vault.enable(&call, &file).await {
        Ok(()) | Err(KeyError::State { .. } | KeyError::Conflict) => {}
        Err(error) => panic!("{error}"),
    }
    assert_eq!(vault.start(&call).await.unwrap(), VaultState::Unlocked);
    let secrets = house.under(&vault);
    put_in(&secrets, house, own).await;
    say("put");
    let other = line().await;
    say(&value_or(&secrets, house, &other).await.unwrap());
}

/// SE-21
#[tokio::test]
async fn of_two_processes_that_enable_at_once_both_have_the_one_vault() {
    let Some(place) = Place::postgres() else { return };
    // The schema is there before they are.
    let house = House::at(place).await;
    let folder = tempfile::tempdir().unwrap();
    let role = format!("enable {}", folder.path().join("secrets.key").display());
    {
        let mut both = [
            Child::start(&role, &house.place),
            Child::start(&role, &house.place),
        ];
        let names = ["shared:ONE", "shared:TWO"];
        for child in &mut both {
            assert_eq!(child.said(), "ready");
        }
        for (child, name) in both.iter_mut().zip(names) {
            child.tell(name);
        }
        for child in &mut both {
            assert_eq!(child.said(), "put");
        }
        for (child, name) in both.iter_mut().zip(["shared:TWO", "shared:ONE"]) {
            child.tell(name);
            assert_eq!(child.said(), format!("the value of {name}"));
        }
        for child in both {
            child.ends();
        }
    }
}

/// SE-26
#[tokio::test]
async fn a_lock_in_one_process_is_met_by_the_next_verb_in_another_whose_keys_are_wiped() {
    let Some(house) = House::in_postgres().await else {
        return;
    };
    let house = house.enabled().await;
    house
        .put("shared:G", "the value of G", SecretCategory::Tool)
        .await;
    let mut child = Child::start("lock", &house.place);
    assert_eq!(child.said(), "ready");
    assert_eq!(child.said(), "the value of G");
    house.vault.lock(&house.call(1)).await.unwrap();
    child.tell("go");
    assert_eq!(child.said(), "true None");
    child.ends();
}

/// SE-37
#[tokio::test]
async fn of_a_hundred_users_in_four_processes_one_gets_the_one_use() {
    let Some(house) = House::in_postgres().await else {
        return;
    };
    let house = house.enabled().await;
    house
        .put("shared:G", "the value of G", SecretCategory::Tool)
        .await;
    let options = LeaseOptions::default();
    let granted = house
        .secrets
        .lease(
            &house.call(0),
            &at("shared:G"),
            &Purpose::Reference,
            &holder(),
            options,
        )
        .await
        .unwrap();
    let mut children: Vec<Child> = (0..4).map(|_| Child::start("use", &house.place)).collect();
    for child in &mut children {
        assert_eq!(child.said(), "ready");
    }
    for child in &mut children {
        child.tell(&granted.id().to_string());
    }
    let (mut values, mut consumed) = (0, 0);
    for child in &mut children {
        let said = child.said();
        let (got, spent) = said.split_once(' ').unwrap();
        values += got.parse::<usize>().unwrap();
        consumed += spent.parse::<usize>().unwrap();
    }
    assert_eq!((values, consumed), (1, 4 * USERS_EACH - 1));
    for child in children {
        child.ends();
    }
    house
        .secrets
        .revoke_lease(&house.call(1), granted.id(), &holder())
        .await
        .unwrap();
    let lease = &house.secrets.leases_of(&holder()).await.unwrap()[0];
    assert_eq!(lease.status, LeaseStatus::Consumed);
}
