//! An engine with a supervisor on a store, and hands to give it work.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dormouse_engine::agent::AgentConfig;
use dormouse_engine::command::CommandSpec;
use dormouse_engine::gate::{GateOptions, Modes};
use dormouse_engine::session::SessionOptions;
use dormouse_engine::supervisor::{Supervisor, SupervisorOptions};
use dormouse_engine::task::NewTask;
use dormouse_engine::worker::Boot;
use dormouse_engine::worker::environment::PATH_DEFAULT;
use dormouse_engine::{
    AgentName, Engine, EngineOptions, Environment, HostIdentity, Random, SystemClock, TaskId, Tenant,
};
use dormouse_filesystem::{Deadline, Namespace, Opener, RecordStore, Requirements, System};
use dormouse_secrets::{FixedKeyring, VaultOptions};
use dormouse_state::Mode;

pub(crate) use crate::stores::{by, now, schema, sled};

pub(crate) struct Bed {
    pub(crate) engine: Engine,
    pub(crate) tenant: Tenant,
    pub(crate) supervisor: Supervisor,
    pub(crate) key: Arc<FixedKeyring>,
    store: Arc<dyn RecordStore>,
}

pub(crate) fn agent() -> AgentName {
    "night".parse().expect("it is a name")
}

impl Bed {
    /// On this store; its workers have their folders here.
    pub(crate) async fn over(store: Arc<dyn RecordStore>, folder: &Path) -> Self {
        let random = Arc::new(Random::from_system().expect("the system has random bytes"));
        let opener = Opener::at(now(), random.number());
        let system = Namespace::<System>::open(Arc::clone(&store), &Requirements::embedded(), opener).await;
        let boot = Boot::current().expect("the system says which boot it is");
        let environment = Environment {
            clock: Arc::new(SystemClock),
            host: HostIdentity::new(boot, std::process::id(), now(), &random),
            random: Arc::clone(&random),
        };
        let bytes = std::array::from_fn(|at| at as u8);
        let key = Arc::new(FixedKeyring::new(&bytes, random).expect("its bytes differ"));
        let options = EngineOptions {
            gates: GateOptions {
                modes: Modes::new(Vec::new(), true).expect("there is no rule in it"),
                ..GateOptions::default()
            },
            sessions: SessionOptions {
                mode: Mode::Open,
                ..SessionOptions::default()
            },
            vault: VaultOptions {
                sources: vec![Arc::<FixedKeyring>::clone(&key)],
                first_key: None,
            },
            ..EngineOptions::default()
        };
        let engine = Engine::open(system.expect("the store is durable"), environment, options);
        let tenant = engine.tenant(&"acme".parse().expect("it is a name")).await;
        let tenant = tenant.expect("it is made");
        let supervisor = Supervisor::new(&engine, options_of(folder));
        Self {
            engine,
            tenant,
            supervisor,
            key,
            store,
        }
    }

    /// With its agent, which may run so much at once.
    pub(crate) async fn with_agent(self, concurrency: u32) -> Self {
        let config = AgentConfig {
            concurrency,
            ..AgentConfig::default()
        };
        let made = self.tenant.agents.create(&by(), &agent(), config).await;
        made.expect("it is new");
        self
    }

    /// A task of its agent with this command, or none.
    pub(crate) async fn task(&self, command: Option<CommandSpec>) -> TaskId {
        let new = NewTask {
            command,
            ..NewTask::new(agent(), "one of many")
        };
        let made = self.tenant.tasks.create(&by(), new).await;
        made.expect("its agent is there").id
    }

    pub(crate) async fn close(self) {
        self.supervisor.shutdown().await;
        self.engine.close().await;
        let closed = self.store.close(Deadline::after(Duration::from_secs(60))).await;
        closed.expect("nothing is on the way");
    }
}

fn options_of(folder: &Path) -> SupervisorOptions {
    SupervisorOptions {
        keeper: std::env::current_exe().expect("this program is a file"),
        workspaces: folder.join("workspaces"),
        run_folders: folder.join("runs"),
        path: PATH_DEFAULT.to_owned(),
        user: "bench".to_owned(),
        lang: "C.UTF-8".to_owned(),
        tz: "UTC".to_owned(),
        passed: BTreeMap::new(),
        isolation: None,
        closed: Vec::new(),
        offered: None,
        inbox_max: dormouse_engine::run::INBOX_MAX,
    }
}

/// At this share of values in order.
pub(crate) fn at(values: &mut [f64], share: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share) as usize]
}
