//! A store with a vault in a folder, and hands to fill it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use dormouse_filesystem::{
    Deadline, Namespace, Opener, ReadError, RecordStore, Requirements, Segment, Sled, SledOptions, System,
};
use dormouse_secrets::{
    AgentAt, AgentId, Agents, Call, Expect, FixedKeyring, Generator, Holder, Incarnation, LeaseOptions,
    NoJournal, NoRegistrar, PutMeta, Random, Secret, SecretCategory, SecretRef, Secrets, Vault, VaultOptions,
};
use jiff::SignedDuration;
use tokio::task::JoinSet;

/// How many puts are on their way at once.
const AT_ONCE: usize = 64;

/// Every agent lives, in the same life.
#[derive(Debug)]
struct Everybody;

/// That life.
fn life() -> Incarnation {
    Incarnation::from_u128(7)
}

#[async_trait]
impl Agents for Everybody {
    async fn living(&self, _agent: &AgentId) -> Result<Option<Incarnation>, ReadError> {
        Ok(Some(life()))
    }
}

pub(crate) struct House {
    pub(crate) store: Arc<dyn RecordStore>,
    pub(crate) system: Namespace<System>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) vault: Vault,
}

impl House {
    /// A sled store in this folder, with an open vault.
    pub(crate) async fn sled(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).expect("the target folder can be written");
        let opened = Sled::open(folder, SledOptions::new(now())).await;
        let store: Arc<dyn RecordStore> = Arc::new(opened.expect("a store opens in a folder of its own"));
        let opener = Opener::at(now(), 1);
        let system = Namespace::open(store.clone(), &Requirements::embedded(), opener).await;
        let system = system.expect("sled is durable");
        let random: Arc<dyn Random> =
            Arc::new(Generator::from_system().expect("the system has random bytes"));
        let vault = Vault::new(&system, VaultOptions::default(), random.clone());
        let house = Self {
            store,
            system,
            random,
            vault,
        };
        let enabled = house.vault.enable(&call(), &house.key(1)).await;
        enabled.expect("the store is new");
        house
    }

    pub(crate) fn key(&self, number: u8) -> FixedKeyring {
        let bytes = std::array::from_fn(|at| number.wrapping_mul(31).wrapping_add(at as u8));
        FixedKeyring::new(&bytes, self.random.clone()).expect("its bytes differ")
    }

    pub(crate) fn tenant(&self, name: &str) -> Secrets {
        let tenant = self.system.tenant(&Segment::parse(name).expect("a segment"));
        Secrets::new(&self.vault, &tenant, Arc::new(Everybody), Arc::new(NoRegistrar))
    }

    pub(crate) async fn close(self) {
        let closed = self.store.close(Deadline::after(Duration::from_secs(60))).await;
        closed.expect("nothing is on the way");
    }
}

/// Puts them all, many at once.
pub(crate) async fn put_all(puts: impl Iterator<Item = (Secrets, SecretRef)>) {
    let mut tasks = JoinSet::new();
    for (secrets, at) in puts {
        if tasks.len() >= AT_ONCE {
            let done = tasks.join_next().await.expect("some are on their way");
            done.expect("a put does not panic");
        }
        tasks.spawn(async move { put(&secrets, &at).await });
    }
    tasks.join_all().await;
}

/// A value that differs from every other.
pub(crate) async fn put(secrets: &Secrets, at: &SecretRef) {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let value = format!("value-of-36-bytes-{:018}", COUNT.fetch_add(1, Ordering::Relaxed));
    let value = Secret::new(value.into_bytes());
    let meta = PutMeta::default();
    let done = secrets
        .put(&call(), at, &value, SecretCategory::Tool, &meta, Expect::Any)
        .await;
    done.expect("the scope has room");
}

pub(crate) fn agent(number: usize) -> AgentAt {
    AgentAt {
        id: format!("agent-{number}").parse().expect("an agent"),
        incarnation: life(),
    }
}

/// The secret of this number of an agent.
pub(crate) fn own(agent: usize, number: usize) -> SecretRef {
    format!("agent:agent-{agent}:KEY_{number}")
        .parse()
        .expect("a reference")
}

pub(crate) fn shared(number: usize) -> SecretRef {
    format!("shared:SHARED_{number}").parse().expect("a reference")
}

pub(crate) fn holder() -> Holder {
    Holder::Service("bench".to_owned())
}

pub(crate) fn lease_options() -> LeaseOptions {
    LeaseOptions::default()
}

pub(crate) fn call() -> Call {
    call_in_minutes(0)
}

pub(crate) fn call_in_minutes(minutes: i64) -> Call {
    Call::told(now() + SignedDuration::from_mins(minutes), Arc::new(NoJournal))
}

#[expect(clippy::disallowed_methods, reason = "the edge: here the time comes from")]
pub(crate) fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
