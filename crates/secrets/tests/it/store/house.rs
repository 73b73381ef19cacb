//! A store with a vault and a tenant's secrets, and the hands to damage it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use dormouse_filesystem::wrapper::Fault;
use dormouse_filesystem::{
    Batch, Deadline, Entry, Expected, Item, Key, Lane, Namespace, Opener, Page, Prefix, ReadError,
    RecordStore, Requirements, Segment, System, Tenant,
};
use dormouse_secrets::{
    AgentAt, AgentId, Agents, Call, Done, Expect, FixedKeyring, Generator, Incarnation, Keyring, NoRegistrar,
    PutMeta, Random, Recorded, Secret, SecretCategory, SecretError, SecretRef, Secrets, Vault, VaultOptions,
};
use jiff::{SignedDuration, Timestamp};
use rand::TryRng;
use rand::rngs::SysRng;

use super::place::Place;

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
    /// Where it is, gone with the house.
    pub(crate) place: Place,
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
        Self::at(Place::memory()).await
    }

    pub(crate) async fn in_sled() -> Self {
        Self::at(Place::sled()).await
    }

    pub(crate) async fn in_local() -> Self {
        Self::at(Place::local()).await
    }

    /// None where there is no server.
    pub(crate) async fn in_postgres() -> Option<Self> {
        Some(Self::at(Place::postgres()?).await)
    }

    pub(crate) async fn at(place: Place) -> Self {
        let store = place.open().await;
        Self::over(store, place, Generator::seeded(7)).await
    }

    /// Over a store that was opened; what other processes have at the same time is not repeated.
    pub(crate) async fn over(store: Arc<dyn RecordStore>, place: Place, random: Generator) -> Self {
        let need = Requirements::volatile();
        // Of those that open one store, none has the number of another.
        let number = SysRng.try_next_u64().unwrap();
        let store = Arc::new(Fault::scripted(store));
        let system = Namespace::open(store.clone(), &need, Opener::at(start(), number))
            .await
            .unwrap();
        let random: Arc<dyn Random> = Arc::new(random);
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
            place,
        };
        house.live("a", 1);
        house.live("b", 2);
        house
    }

    /// Ends what is open, so that the place can be opened again.
    pub(crate) async fn closed(self) -> Place {
        self.store.close(soon()).await.unwrap();
        self.place
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

    /// The same tenant under another vault of this store.
    pub(crate) fn under(&self, vault: &Vault) -> Secrets {
        let tenant = tenant(&self.system, "acme");
        Secrets::new(vault, &tenant, self.living.clone(), Arc::new(NoRegistrar))
    }

    /// Keys and bytes of all rows below a prefix, as text.
    pub(crate) async fn text_of_rows(&self, prefix: &str) -> String {
        String::from_utf8_lossy(&self.bytes_of_rows(prefix).await).into_owned()
    }

    /// The rows below a prefix, of a store with few.
    pub(crate) async fn rows_of(&self, prefix: &str) -> Vec<Entry> {
        let page = Page::of(Prefix::parse(prefix).unwrap());
        let listed = self.store.list(&page).await.unwrap();
        let entry = |item| match item {
            Item::Entry(entry) => Some(entry),
            Item::Key { .. } | Item::Corrupt { .. } => None,
        };
        listed.items.into_iter().filter_map(entry).collect()
    }

    /// Writes rows as nobody should, all with these bytes.
    pub(crate) async fn write_all(&self, keys: &[String], like: &Entry) {
        let mut batch = Batch::new(Lane::System);
        for key in keys {
            batch.put(
                Key::parse(key).unwrap(),
                Expected::Absent,
                like.kind.clone(),
                like.value.clone(),
            );
        }
        self.store.commit(batch, soon()).await.unwrap();
    }

    /// Keys and bytes of all rows below a prefix.
    pub(crate) async fn bytes_of_rows(&self, prefix: &str) -> Vec<u8> {
        let prefix = Prefix::parse(prefix.trim_end_matches('/')).unwrap();
        let (mut all, mut after) = (Vec::new(), None);
        // Ends with the last page.
        loop {
            let page = Page {
                after,
                ..Page::of(prefix.clone())
            };
            let listed = self.store.list(&page).await.unwrap();
            for item in &listed.items {
                all.extend(format!("{}\t", item.key()).bytes());
                if let Item::Entry(entry) = item {
                    all.extend(&entry.value);
                }
                all.push(b'\n');
            }
            after = listed.next;
            if after.is_none() {
                return all;
            }
        }
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
