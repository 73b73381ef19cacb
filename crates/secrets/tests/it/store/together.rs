//! Everything at once: puts, deletes, uses, locks, rotations, rekeys, imports.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use dormouse_secrets::{
    Call, Deletion, Existing, Expect, Filter, Holder, ImportError, ImportKey, KeyError, LeaseError,
    LeaseOptions, Purpose, PutMeta, SecretCategory, SecretError,
};

use super::house::{House, at, secret};
use super::staged;

/// Uses that are tried; all else goes on until they are done.
const USES: u64 = 1_500;

/// Names that are put and used.
const NAMES: u64 = 6;

/// A house that several tasks share, and its clock: each unlock is a minute after the one before.
struct Together {
    house: House,
    minutes: AtomicI64,
    is_over: AtomicBool,
    counts: std::sync::Mutex<BTreeMap<&'static str, u64>>,
}

impl Together {
    async fn new() -> Arc<Self> {
        Arc::new(Self {
            house: House::in_memory().await.enabled().await,
            minutes: AtomicI64::new(0),
            is_over: AtomicBool::new(false),
            counts: std::sync::Mutex::default(),
        })
    }

    fn call(&self) -> Call {
        self.house.call(60 * self.minutes.load(Ordering::SeqCst))
    }

    fn later(&self) -> Call {
        self.house
            .call(60 * (self.minutes.fetch_add(1, Ordering::SeqCst) + 1))
    }

    fn is_on(&self) -> bool {
        !self.is_over.load(Ordering::SeqCst)
    }

    fn met(&self, what: &'static str) {
        *self.counts.lock().unwrap().entry(what).or_default() += 1;
    }

    /// What a verb may answer beside having been done.
    fn may(&self, error: &SecretError) {
        match error {
            SecretError::Sealed => self.met("sealed"),
            SecretError::Locked => self.met("locked"),
            SecretError::NotFound { .. } => self.met("not found"),
            SecretError::ImportOpen => self.met("import open"),
            SecretError::Conflict { .. } => self.met("conflict"),
            SecretError::Key(error) => self.may_key(error),
            other => panic!("{other}"),
        }
    }

    fn may_key(&self, error: &KeyError) {
        match error {
            KeyError::State { .. } | KeyError::Conflict | KeyError::Rekeying => self.met("conflict"),
            KeyError::WrongKey | KeyError::UnknownSlot | KeyError::LastSlot => self.met("slot"),
            other => panic!("{other}"),
        }
    }

    /// Leases and uses one secret, which gives a true value or a reason.
    async fn use_one(&self, number: u64) {
        let reference = at(&format!("shared:KEY_{}", number % NAMES));
        let holder = Holder::Service(format!("user-{number}"));
        let call = self.call();
        let options = LeaseOptions::default();
        let granted = self
            .house
            .secrets
            .lease(&call, &reference, &Purpose::Reference, &holder, options)
            .await;
        let used = match granted {
            Ok(granted) => self.house.secrets.use_lease(&call, granted.id(), &holder).await,
            Err(error) => Err(error),
        };
        match used {
            Ok(lease) => {
                let value = lease.expose(call.now).unwrap().expose_text().unwrap().to_owned();
                assert!(
                    value.starts_with(&format!("true KEY_{} ", number % NAMES)),
                    "{value}"
                );
                self.met("value");
            }
            Err(LeaseError::Secret(error)) => self.may(&error),
            Err(LeaseError::Revoked { .. }) => self.met("revoked"),
            Err(error) => panic!("{error}"),
        }
    }

    async fn put(&self, name: &str, number: u64) {
        let value = secret(&format!("true {name} {number}"));
        let (call, reference) = (self.call(), at(&format!("shared:{name}")));
        let (meta, category) = (PutMeta::default(), SecretCategory::Tool);
        let done = self
            .house
            .secrets
            .put(&call, &reference, &value, category, &meta, Expect::Any)
            .await;
        match done {
            Ok(_) => self.met("put"),
            Err(error) => self.may(&error),
        }
    }

    /// Locks, and unlocks again a moment later.
    async fn lock(&self) {
        match self.house.vault.lock(&self.call()).await {
            Ok(()) => self.met("lock"),
            Err(error) => self.may_key(&error),
        }
        tokio::task::yield_now().await;
        for key in [1, 2] {
            match self.house.vault.unlock(&self.later(), &self.house.key(key)).await {
                Ok(()) => self.met("unlock"),
                Err(error) => self.may_key(&error),
            }
        }
    }

    /// A new slot for the other key, confirmed, and the older ones removed.
    async fn rotate(&self, key: u8) {
        let (call, key) = (self.call(), self.house.key(key));
        let slot = match self.house.vault.add_slot(&call, &key).await {
            Ok(slot) => slot,
            Err(error) => return self.may_slot(&error),
        };
        if let Err(error) = self.house.vault.confirm_slot(&call, slot, &key).await {
            return self.may_slot(&error);
        }
        for old in self.house.vault.slots(call.now).await.unwrap() {
            if old.id < slot
                && let Err(error) = self.house.vault.remove_slot(&call, old.id).await
            {
                self.may_slot(&error);
            }
        }
        self.met("rotate");
    }

    fn may_slot(&self, error: &KeyError) {
        match error {
            KeyError::SlotsFull => self.met("slot"),
            other => self.may_key(other),
        }
    }

    async fn rekey(&self) {
        for key in [1, 2] {
            match self
                .house
                .vault
                .begin_rekey(&self.call(), &self.house.key(key))
                .await
            {
                Ok(_) => self.met("rekey"),
                Err(error) => self.may_key(&error),
            }
        }
        match self.house.secrets.rekey(&self.call()).await {
            Ok(done) => assert!(done.unreadable.is_empty(), "{done:?}"),
            Err(error) => self.may(&error),
        }
        let later = self.later();
        if let Err(error) = self.house.vault.end_rekey(&later, &self.house.system).await {
            self.may(&error);
        }
    }
}

/// SE-27: by the number of uses, not by the clock; a minute of it is the same again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn only_true_values_and_reasons_are_answered_while_everything_goes_on() {
    let all = Together::new().await;
    for name in 0..NAMES {
        all.put(&format!("KEY_{name}"), 0).await;
    }
    let used = Arc::new(AtomicU64::new(0));
    let mut users = Vec::new();
    for _ in 0..3 {
        let (all, used) = (all.clone(), used.clone());
        users.push(tokio::spawn(async move {
            // Ends with the last use.
            loop {
                let number = used.fetch_add(1, Ordering::SeqCst);
                if number >= USES {
                    return;
                }
                all.use_one(number).await;
                tokio::task::yield_now().await;
            }
        }));
    }
    let others = [0, 1, 2, 3].map(|role| {
        let all = all.clone();
        tokio::spawn(async move {
            let mut round = 0;
            while all.is_on() {
                round += 1;
                match role {
                    0 => all.put(&format!("KEY_{}", round % NAMES), round).await,
                    1 => all.lock().await,
                    2 => all.rotate(1 + u8::try_from(round % 2).unwrap()).await,
                    _ => all.rekey().await,
                }
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        })
    });
    for user in users {
        user.await.unwrap();
    }
    all.is_over.store(true, Ordering::SeqCst);
    for other in others {
        other.await.unwrap();
    }
    let counts = all.counts.lock().unwrap().clone();
    for what in ["value", "put", "lock", "unlock", "rotate", "rekey"] {
        assert!(counts.contains_key(what), "there was no {what}: {counts:?}");
    }
}

/// SE-32
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_deleted_beside_a_rekey_an_import_and_locks_never_reappears() {
    const GONE: usize = 40;
    let all = Together::new().await;
    staged::live_all(&all.house);
    for number in 0..GONE {
        all.put(&format!("GONE_{number}"), 0).await;
    }
    let others = [0, 1, 2].map(|role| {
        let all = all.clone();
        tokio::spawn(async move {
            let mut round = 0;
            while all.is_on() {
                round += 1;
                match role {
                    0 => all.lock().await,
                    1 => all.rekey().await,
                    _ => {
                        let export = staged::export(staged::FEW, &format!("v{round}"));
                        let (call, key) = (all.call(), ImportKey::Clear);
                        match all
                            .house
                            .secrets
                            .import(&call, &export, &key, Existing::Overwrite)
                            .await
                        {
                            Ok(_) => all.met("import"),
                            Err(ImportError::Secret(error)) => all.may(&error),
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        })
    });
    for number in 0..GONE {
        let reference = at(&format!("shared:GONE_{number}"));
        // Ends when it is deleted: locks and imports end too.
        loop {
            match all
                .house
                .secrets
                .delete(&all.call(), &reference, &Deletion::Force)
                .await
            {
                Ok(()) => break,
                Err(error @ SecretError::NotFound { .. }) => panic!("{error}"),
                Err(error) => all.may(&error),
            }
            tokio::task::yield_now().await;
        }
        for gone in 0..=number {
            let gone = at(&format!("shared:GONE_{gone}"));
            assert!(
                matches!(
                    all.house.secrets.info(&gone).await,
                    Err(SecretError::NotFound { .. })
                ),
                "{gone}"
            );
        }
    }
    all.is_over.store(true, Ordering::SeqCst);
    for other in others {
        other.await.unwrap();
    }
    let left = all.house.secrets.list(&Filter::Shared).await.unwrap();
    assert!(
        left.iter().all(|meta| !meta.at.name.as_str().starts_with("GONE")),
        "{left:?}"
    );
    let counts = all.counts.lock().unwrap().clone();
    for what in ["lock", "rekey"] {
        assert!(counts.contains_key(what), "there was no {what}: {counts:?}");
    }
}
