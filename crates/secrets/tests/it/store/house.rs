//! A store with a vault and a tenant's secrets, and the hands to damage it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use dormouse_filesystem::wrapper::Fault;
use dormouse_filesystem::{
    Batch, Deadline, Entry, Expected, Key, Lane, Memory, Namespace, Opener, ReadError, RecordStore,
    Requirements, Segment, Sled, SledOptions, System, Tenant,
};
use dormouse_secrets::{
    AgentAt, AgentId, Agents, Call, Done, Expect, FixedKeyring, Generator, Incarnation, Keyring, NoRegistrar,
    PutMeta, Random, Recorded, Secret, SecretCategory, SecretError, SecretRef, Secrets, Vault, VaultOptions,
};
use jiff::{SignedDuration, Timestamp};

/// Which agents live: those that a test says.
#[derive(Debug, Default)]
pub(crate) struct Living(Mutex<BTreeMap<AgentId, Incarnation>>);

#[async_trait]
impl Agents for Living {
    async fn living(&self, agent: &AgentId) -> Result<Option<Incarnation>, ReadError> {
        Ok(self.0.lock().unwrap().get(agent).copied())
    }
}

pub(crate) struct House {
    pub(crate) store: Arc<Fault<Arc<dyn RecordStore>>>,
    pub(crate) system: Namespace<System>,
    pub(crate) vault: Vault,
    pub(crate) secrets: Secrets,
    pub(crate) living: Arc<Living>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) journal: Arc<Recorded>,
    _folder: Option<tempfile::TempDir>,
}

/// The beginning of every test.
pub(crate) fn start() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

/// So many seconds later.
pub(crate) fn after(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

pub(crate) const HOUR: i64 = 3600;
pub(crate) const DAY: i64 = 24 * HOUR;

pub(crate) fn secret(value: &str) -> Secret {
    Secret::new(value.as_bytes().to_vec())
}

pub(crate) fn at(text: &str) -> SecretRef {
    text.parse().unwrap()
}

impl House {
    pub(crate) async fn in_memory() -> Self {
        Self::over(Arc::new(Memory::new(start())), Requirements::volatile(), None).await
    }

    pub(crate) async fn in_sled() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = SledOptions {
            segment_bytes: 1024 * 1024,
            cache_bytes: 1024 * 1024,
            reserve_bytes: 1024 * 1024,
            ..SledOptions::new(start())
        };
        let store = Sled::open(&folder.path().join("store"), options).await.unwrap();
        Self::over(Arc::new(store), Requirements::volatile(), Some(folder)).await
    }

    async fn over(
        store: Arc<dyn RecordStore>,
        need: Requirements,
        folder: Option<tempfile::TempDir>,
    ) -> Self {
        let store = Arc::new(Fault::scripted(store));
        let system = Namespace::open(store.clone(), &need, Opener::at(start(), 1))
            .await
            .unwrap();
        let random: Arc<dyn Random> = Arc::new(Generator::seeded(7));
        let living = Arc::new(Living::default());
        let vault = Vault::new(&system, VaultOptions::default(), random.clone());
        let secrets = Secrets::new(
            &vault,
            &tenant(&system, "acme"),
            living.clone(),
            Arc::new(NoRegistrar),
        );
        let journal = Arc::new(Recorded::default());
        let house = Self {
            store,
            system,
            vault,
            secrets,
            living,
            random,
            journal,
            _folder: folder,
        };
        house.live("a", 1);
        house.live("b", 2);
        house
    }

    /// With a vault that the first key opens.
    pub(crate) async fn enabled(self) -> Self {
        self.vault.enable(&self.call(0), &self.key(1)).await.unwrap();
        self
    }

    /// What a process has that starts now, with these sources.
    pub(crate) fn another(&self, sources: Vec<Arc<dyn Keyring>>) -> (Vault, Secrets) {
        let options = VaultOptions {
            sources,
            first_key: None,
        };
        let vault = Vault::new(&self.system, options, self.random.clone());
        let tenant = tenant(&self.system, "acme");
        let secrets = Secrets::new(&vault, &tenant, self.living.clone(), Arc::new(NoRegistrar));
        (vault, secrets)
    }

    pub(crate) fn tenant(&self, name: &str) -> Secrets {
        Secrets::new(
            &self.vault,
            &tenant(&self.system, name),
            self.living.clone(),
            Arc::new(NoRegistrar),
        )
    }

    pub(crate) fn namespace(&self) -> Namespace<Tenant> {
        tenant(&self.system, "acme")
    }

    /// A key that no other number gives.
    pub(crate) fn key(&self, number: u8) -> FixedKeyring {
        let bytes = std::array::from_fn(|at| number.wrapping_mul(31).wrapping_add(u8::try_from(at).unwrap()));
        FixedKeyring::new(&bytes, self.random.clone()).unwrap()
    }

    /// The agent lives, in this life.
    pub(crate) fn live(&self, agent: &str, life: u128) -> AgentAt {
        let id: AgentId = agent.parse().unwrap();
        let incarnation = Incarnation::from_u128(life);
        self.living.0.lock().unwrap().insert(id.clone(), incarnation);
        AgentAt { id, incarnation }
    }

    pub(crate) fn die(&self, agent: &str) {
        self.living
            .0
            .lock()
            .unwrap()
            .remove(&agent.parse::<AgentId>().unwrap());
    }

    pub(crate) fn call(&self, seconds: i64) -> Call {
        Call::told(after(seconds), self.journal.clone())
    }

    pub(crate) async fn put(&self, reference: &str, value: &str, category: SecretCategory) -> Done {
        self.try_put(reference, value, category).await.unwrap()
    }

    pub(crate) async fn try_put(
        &self,
        reference: &str,
        value: &str,
        category: SecretCategory,
    ) -> Result<Done, SecretError> {
        let meta = PutMeta::default();
        let value = secret(value);
        self.secrets
            .put(
                &self.call(0),
                &at(reference),
                &value,
                category,
                &meta,
                Expect::Any,
            )
            .await
    }

    /// The stored bytes of a row.
    pub(crate) async fn stored(&self, key: &str) -> Option<Entry> {
        self.store.get(&Key::parse(key).unwrap()).await.unwrap()
    }

    /// Writes a row as nobody should.
    pub(crate) async fn write(&self, key: &str, like: &Entry, value: Vec<u8>) {
        let key = Key::parse(key).unwrap();
        let there = self.store.get(&key).await.unwrap();
        let expected = there.map_or(Expected::Absent, |entry| Expected::At(entry.version));
        let mut batch = Batch::new(Lane::System);
        batch.put(key, expected, like.kind.clone(), value);
        self.store.commit(batch, soon()).await.unwrap();
    }

    /// Changes a row's text as nobody should.
    pub(crate) async fn edit(&self, key: &str, change: impl Fn(&str) -> String) {
        let entry = self.stored(key).await.unwrap();
        let text = std::str::from_utf8(&entry.value).unwrap();
        let changed = change(text);
        assert_ne!(text, changed, "the edit found nothing to change");
        self.write(key, &entry, changed.into_bytes()).await;
    }

    pub(crate) async fn remove(&self, key: &str) {
        let entry = self.stored(key).await.unwrap();
        let mut batch = Batch::new(Lane::System);
        batch.delete(entry.key, entry.version);
        self.store.commit(batch, soon()).await.unwrap();
    }
}

fn tenant(system: &Namespace<System>, name: &str) -> Namespace<Tenant> {
    system.tenant(&Segment::parse(name).unwrap())
}

fn soon() -> Deadline {
    Deadline::after(std::time::Duration::from_secs(10))
}
