//! An engine on a store, and hands to fill it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dormouse_engine::agent::AgentConfig;
use dormouse_engine::outcome::{Facts, Outcome, ResourceUsage};
use dormouse_engine::run::Claimed;
use dormouse_engine::task::{NewTask, Task};
use dormouse_engine::worker::Boot;
use dormouse_engine::{
    AgentName, Engine, EngineOptions, Environment, HostIdentity, Random, SystemClock, Tenant,
};
use dormouse_filesystem::contract::OwnSchema;
use dormouse_filesystem::{Deadline, Namespace, Opener, RecordStore, Requirements, System};
use futures::stream::{self, StreamExt};

use crate::stores;
pub(crate) use crate::stores::{by, now};

/// How many creations are on their way at once.
const AT_ONCE: usize = 64;

pub(crate) struct House {
    pub(crate) engine: Engine,
    pub(crate) store: Arc<dyn RecordStore>,
    _schema: Option<OwnSchema>,
}

impl House {
    /// On a sled store in this folder.
    pub(crate) async fn sled(folder: &Path) -> Self {
        Self::over(stores::sled(folder).await, None).await
    }

    /// On a schema of its own of the server; none where there is no server.
    pub(crate) async fn postgres() -> Option<Self> {
        let (schema, url, options) = stores::schema(32)?;
        let opened = url.open(&options).await.expect("the server answers");
        Some(Self::over(opened, Some(schema)).await)
    }

    async fn over(store: Arc<dyn RecordStore>, schema: Option<OwnSchema>) -> Self {
        let opener = Opener::at(now(), 1);
        let system = Namespace::<System>::open(Arc::clone(&store), &Requirements::embedded(), opener).await;
        let random = Arc::new(Random::from_system().expect("the system has random bytes"));
        let boot = Boot {
            host: "bench".to_owned(),
            boot_id: "this-boot".to_owned(),
        };
        let environment = Environment {
            clock: Arc::new(SystemClock),
            host: HostIdentity::new(boot, std::process::id(), now(), &random),
            random,
        };
        let system = system.expect("the store is durable");
        Self {
            engine: Engine::open(system, environment, EngineOptions::default()),
            store,
            _schema: schema,
        }
    }

    pub(crate) async fn tenant(&self, name: &str) -> Tenant {
        let name = name.parse().expect("it is a name");
        self.engine.tenant(&name).await.expect("it is made")
    }

    pub(crate) async fn close(self) {
        self.engine.close().await;
        let closed = self.store.close(Deadline::after(Duration::from_secs(60))).await;
        closed.expect("nothing is on the way");
    }
}

/// Agents of a tenant, which may run so much at once.
pub(crate) async fn agents(tenant: &Tenant, count: usize, concurrency: u32) -> Vec<AgentName> {
    let mut agents = Vec::new();
    for nth in 0..count {
        let agent: AgentName = format!("agent-{nth}").parse().expect("it is a name");
        let config = AgentConfig {
            concurrency,
            ..AgentConfig::default()
        };
        let made = tenant.agents.create(&by(), &agent, config).await;
        made.expect("it is new");
        agents.push(agent);
    }
    agents
}

pub(crate) async fn task(tenant: &Tenant, agent: &AgentName) -> Task {
    let new = NewTask::new(agent.clone(), "one of many");
    tenant.tasks.create(&by(), new).await.expect("its agent is there")
}

/// So many tasks, in turn for each of these agents, many at once.
pub(crate) async fn fill(tenant: &Tenant, agents: &[AgentName], count: usize) {
    let mut made = stream::iter(0..count)
        .map(|nth| task(tenant, &agents[nth % agents.len()]))
        .buffer_unordered(AT_ONCE);
    while made.next().await.is_some() {}
}

/// Ends a run well.
pub(crate) async fn finish(tenant: &Tenant, claimed: &Claimed) {
    let outcome = Outcome::Success { text: None };
    let facts = Facts {
        exit: None,
        usage: ResourceUsage::default(),
        clock_ms: 1,
        spawns: 0,
        segments_completed: 0,
        segment_current: None,
        elided_bytes: 0,
        after_stop: false,
        strays: 0,
        alive: 0,
        isolation: String::new(),
        formats: std::collections::BTreeMap::new(),
        stream: None,
        reports: None,
    };
    let finished = tenant.runs.finish(claimed, &outcome, &facts).await;
    finished.expect("it is held");
}
