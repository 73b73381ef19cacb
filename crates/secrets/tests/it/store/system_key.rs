//! A key in a key store of the operating system, for which one in memory stands here. That of Linux's kernel is asked by the
//! tests of the program.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use dormouse_secrets::{Ensured, KeyError, KeySource, Keyring, SecretCategory, SystemKeyring, VaultState};
use keyring_core::api::{Credential, CredentialApi, CredentialStoreApi};
use keyring_core::{Entry, Error};

use super::environment::value_or;
use super::house::House;

super::on_every_store! {
    a_key_of_the_system_opens_the_vault_by_itself_until_it_is_gone;
    no_vault_relies_on_a_key_of_the_system_alone;
}

type Keys = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// A store that keeps what it is given as long as the test goes on, or does not answer.
#[derive(Debug, Default, Clone)]
struct Store {
    keys: Keys,
    is_broken: Arc<Mutex<bool>>,
}

#[derive(Debug)]
struct Named(Store, String);

impl Named {
    fn keys(&self) -> keyring_core::Result<std::sync::MutexGuard<'_, BTreeMap<String, Vec<u8>>>> {
        if *self.0.is_broken.lock().unwrap() {
            return Err(Error::NoStorageAccess("it is locked".into()));
        }
        Ok(self.0.keys.lock().unwrap())
    }
}

impl CredentialApi for Named {
    fn set_secret(&self, secret: &[u8]) -> keyring_core::Result<()> {
        self.keys()?.insert(self.1.clone(), secret.to_vec());
        Ok(())
    }

    fn get_secret(&self) -> keyring_core::Result<Vec<u8>> {
        self.keys()?.get(&self.1).cloned().ok_or(Error::NoEntry)
    }

    fn delete_credential(&self) -> keyring_core::Result<()> {
        self.keys()?.remove(&self.1).map(drop).ok_or(Error::NoEntry)
    }

    fn get_credential(&self) -> keyring_core::Result<Option<Arc<Credential>>> {
        Ok(None)
    }

    fn get_specifiers(&self) -> Option<(String, String)> {
        None
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

impl CredentialStoreApi for Store {
    fn vendor(&self) -> String {
        "a test".to_owned()
    }

    fn id(&self) -> String {
        "1".to_owned()
    }

    fn build(
        &self,
        service: &str,
        user: &str,
        _: Option<&HashMap<&str, &str>>,
    ) -> keyring_core::Result<Entry> {
        let named = Named(self.clone(), format!("{user}@{service}"));
        Ok(Entry::new_with_credential(Arc::new(named)))
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

fn keyring(store: &Store, house: &House) -> SystemKeyring {
    SystemKeyring::new(store, "secrets of a test", house.random.clone()).unwrap()
}

async fn a_key_of_the_system_opens_the_vault_by_itself_until_it_is_gone(house: House) {
    let (house, store) = (house.enabled().await, Store::default());
    house
        .put("shared:G", "the value of G", SecretCategory::Tool)
        .await;
    let key = keyring(&store, &house);
    assert!(matches!(
        house.vault.add_slot(&house.call(1), &key).await,
        Err(KeyError::Unavailable { .. })
    ));
    assert_eq!(key.ensure().await.unwrap(), Ensured::Made);
    let made = store.keys.lock().unwrap().clone();
    assert_eq!(key.ensure().await.unwrap(), Ensured::Found);
    assert_eq!(
        *store.keys.lock().unwrap(),
        made,
        "one that is there is never overwritten"
    );
    assert_eq!(made.keys().collect::<Vec<_>>(), ["secrets of a test@dormouse"]);
    let slot = house.vault.add_slot(&house.call(1), &key).await.unwrap();
    house
        .vault
        .confirm_slot(&house.call(1), slot, &key)
        .await
        .unwrap();
    let info = house
        .vault
        .slot_for(&key, house.call(1).now)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((info.id, info.source), (slot, KeySource::Keyring));

    let starts = async || {
        let sources: Vec<Arc<dyn Keyring>> = vec![Arc::new(keyring(&store, &house))];
        let (vault, secrets) = house.another(sources);
        (vault.start(&house.call(2)).await.unwrap(), secrets)
    };
    let (state, secrets) = starts().await;
    assert_eq!(state, VaultState::Unlocked);
    assert_eq!(
        value_or(&secrets, &house, "shared:G").await.unwrap(),
        "the value of G"
    );

    // A store that does not answer, has no key, no key at all, or another, opens nothing and breaks nothing.
    *store.is_broken.lock().unwrap() = true;
    assert_eq!(starts().await.0, VaultState::Sealed);
    assert!(matches!(key.ensure().await, Err(KeyError::Unavailable { .. })));
    *store.is_broken.lock().unwrap() = false;
    for (bytes, refusal) in [(vec![7; 5], "malformed"), (vec![7; 32], "malformed")] {
        store
            .keys
            .lock()
            .unwrap()
            .insert("secrets of a test@dormouse".to_owned(), bytes);
        assert_eq!(starts().await.0, VaultState::Sealed);
        let refused = key.ensure().await;
        assert!(
            matches!(refused, Err(KeyError::Malformed { .. })),
            "{refusal}: {refused:?}"
        );
    }
    key.forget().await.unwrap();
    key.forget().await.unwrap();
    assert!(store.keys.lock().unwrap().is_empty());
    assert_eq!(starts().await.0, VaultState::Sealed);
    key.ensure().await.unwrap();
    assert_eq!(
        starts().await.0,
        VaultState::Sealed,
        "another key is not the one of the slot"
    );
    // So it gets one of its own, and the store's key is known to be that one's.
    let second = house.vault.add_slot(&house.call(3), &key).await.unwrap();
    assert_ne!(second, slot);
    let found = house.vault.slot_for(&key, house.call(3).now).await.unwrap();
    assert_eq!(found.map(|slot| slot.id), Some(second));
    store.keys.lock().unwrap().extend(made);
    assert_eq!(starts().await.0, VaultState::Unlocked);
}

async fn no_vault_relies_on_a_key_of_the_system_alone(house: House) {
    let store = Store::default();
    let key = keyring(&store, &house);
    key.ensure().await.unwrap();
    let refused = house.vault.enable(&house.call(0), &key).await;
    assert!(matches!(refused, Err(KeyError::MayVanish)), "{refused:?}");
    assert_eq!(house.vault.state().await.unwrap(), VaultState::Absent);

    let house = house.enabled().await;
    let call = house.call(1);
    let slot = house.vault.add_slot(&call, &key).await.unwrap();
    house.vault.confirm_slot(&call, slot, &key).await.unwrap();
    let refused = house.vault.remove_slot(&call, 1).await;
    assert!(matches!(refused, Err(KeyError::LastSlot)), "{refused:?}");
    let refused = house.vault.begin_rekey(&call, &key).await;
    assert!(matches!(refused, Err(KeyError::MayVanish)), "{refused:?}");
    let slots = house.vault.slots(call.now).await.unwrap();
    assert_eq!(slots.iter().map(|slot| slot.id).collect::<Vec<_>>(), [1, slot]);
    // It goes itself, and a vault that is locked is opened with it by hand.
    house.vault.lock(&call).await.unwrap();
    house.vault.unlock(&call, &key).await.unwrap();
    house.vault.remove_slot(&call, slot).await.unwrap();
}
