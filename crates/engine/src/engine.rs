//! The engine: everything that stands on one store, by tenant.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dormouse_filesystem::{Log, Namespace, Records, System, capability::Reach};
use dormouse_secrets::{
    Formats, NoRegistrar, OnAgentDelete, Registrar, Scrubber, Secrets, Vault, VaultOptions,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::agent::{Agents, Intensity};
use crate::bad::BadRecords;
use crate::budget::{BudgetOptions, Budgets, Freed};
use crate::capability::Capabilities;
use crate::command::ClockSettings;
use crate::core::Core;
use crate::credentials::{Credentials, Living};
use crate::due::DueHint;
use crate::event::Events;
use crate::gate::{Approvers, EveryOperator, GateOptions, Gates, Modes};
use crate::idempotency::{Idempotency, Once};
use crate::lease::LeaseOptions;
use crate::limits::{JANITOR_EVERY, TIMED_WAKES_MAX, WAKES_DUE_MAX};
use crate::relay::Sinks;
use crate::resolve::Settled;
use crate::retention::Retention;
use crate::run::{Beats, Companion, LiveRuns, Runs};
use crate::session::{SessionOptions, SessionService, Unsaved};
use crate::step::{WorkerThreads, Workers};
use crate::task::{Delegations, SettleHint, Tasks};
use crate::tenant::{TenantRow, TenantState};
use crate::thread::Threads;
use crate::wake::{Bell, TimedWakes};
use crate::{Clock, CommandError, HostIdentity, Incarnation, OpId, PrefixedId, Random, TenantId};

/// What the engine has from outside: time, randomness, and who it is.
#[derive(Debug, Clone)]
pub struct Environment {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<Random>,
    /// This process.
    pub host: HostIdentity,
}

/// What is set of an engine.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// The services whose rows follow runs.
    pub companions: Vec<Arc<dyn Companion>>,
    /// Who may decide gates.
    pub approvers: Arc<dyn Approvers>,
    /// How sessions behave.
    pub sessions: SessionOptions,
    /// How leases behave; [`LeaseOptions::fault`] says whether they go together.
    pub lease: LeaseOptions,
    /// How gates behave.
    pub gates: GateOptions,
    /// How budgets behave.
    pub budgets: BudgetOptions,
    /// How long what has ended is kept.
    pub retention: Retention,
    /// `janitor.every`: how often what is old is looked for.
    pub janitor_every: Duration,
    /// How many bad ends pause an agent; none is never.
    pub agent_intensity: Option<Intensity>,
    /// The clocks of runs, where neither their task nor their agent sets them.
    pub clocks: ClockSettings,
    /// Where futures of runs are polled.
    pub worker_threads: WorkerThreads,
    /// `wakes.due_max`: most agents that are to be woken, before asking for one more is refused. What becomes ready wakes its
    /// agent whatever this says.
    pub wakes_due_max: usize,
    /// `wakes.timed_max`: most timed wakes of an agent that wait.
    pub wakes_timed_max: usize,
    /// Where the keys of the vault come from. Without any there is no vault, and no secret can be put.
    pub vault: VaultOptions,
    /// Is told each value that is opened, before anybody has it.
    pub registrar: Arc<dyn Registrar>,
    /// What is done about credentials that nobody registered, where an agent's configuration does not say.
    pub formats: Formats,
    /// `secrets.on_agent_delete`: what becomes of the secrets of an agent that is deleted.
    pub on_agent_delete: OnAgentDelete,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            companions: Vec::new(),
            approvers: Arc::new(EveryOperator),
            sessions: SessionOptions::default(),
            lease: LeaseOptions::default(),
            gates: GateOptions::default(),
            budgets: BudgetOptions::default(),
            retention: Retention::default(),
            janitor_every: JANITOR_EVERY,
            agent_intensity: Some(Intensity::default()),
            clocks: ClockSettings::default(),
            worker_threads: WorkerThreads::default(),
            wakes_due_max: WAKES_DUE_MAX,
            wakes_timed_max: TIMED_WAKES_MAX,
            vault: VaultOptions::default(),
            registrar: Arc::new(NoRegistrar),
            formats: Formats::default(),
            on_agent_delete: OnAgentDelete::Quarantine,
        }
    }
}

/// The engine of one store. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Engine(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    system: Namespace<System>,
    environment: Environment,
    options: EngineOptions,
    gate_options: Arc<GateOptions>,
    vault: Vault,
    live: Arc<LiveRuns>,
    due: Arc<DueHint>,
    freed: Freed,
    bell: Arc<Bell>,
    workers: Arc<Workers>,
    /// Loops that panicked too often, by name.
    missing: Mutex<BTreeSet<&'static str>>,
    settling: Arc<SettleHint>,
    /// Counts the tenants that were made here.
    made: watch::Sender<u64>,
    background: TaskTracker,
    leaving: CancellationToken,
    is_exclusive: bool,
    tenants: Mutex<HashMap<TenantId, Tenant>>,
}

/// What an engine left.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Closed {
    /// What sessions were told and could not be saved: their sources tell it again.
    pub unsaved: Vec<Unsaved>,
}

/// One tenant's services. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// Its agents.
    pub agents: Agents,
    /// Its tasks.
    pub tasks: Tasks,
    /// What its tasks gave away.
    pub delegations: Delegations,
    /// Its runs.
    pub runs: Runs,
    /// Its threads.
    pub threads: Threads,
    /// Its gates.
    pub gates: Gates,
    /// What was approved by them.
    pub capabilities: Capabilities,
    /// Its sessions.
    pub sessions: SessionService,
    /// Its budgets.
    pub budgets: Budgets,
    /// When its agents are to be woken.
    pub wakes: TimedWakes,
    /// Its credentials.
    pub credentials: Credentials,
    /// Its events.
    pub events: Events,
    /// Its idempotency keys.
    pub idempotency: Idempotency,
    /// Where its events are sent.
    pub sinks: Sinks,
    /// Its rows that could not be believed.
    pub bad: BadRecords,
    pub(crate) core: Arc<Core>,
}

impl Tenant {
    fn of(core: Arc<Core>) -> Self {
        Self {
            agents: Agents::new(&core),
            tasks: Tasks::new(&core),
            delegations: Delegations::new(&core),
            runs: Runs::new(&core),
            threads: Threads::new(&core),
            gates: Gates::new(&core),
            capabilities: Capabilities::new(&core),
            sessions: SessionService::new(&core),
            budgets: Budgets::new(&core),
            wakes: TimedWakes::new(&core),
            credentials: Credentials::new(&core),
            events: Events::new(&core),
            sinks: Sinks::new(&core),
            bad: BadRecords::new(&core),
            idempotency: Idempotency::new(&core),
            core,
        }
    }

    /// The same services, whose commands are done under the key of this request: once, however often it is made.
    #[must_use]
    pub fn once(&self, once: &Arc<Once>) -> Self {
        Self::of(Arc::new(Core {
            once: Some(Arc::clone(once)),
            ..Core::clone(&self.core)
        }))
    }

    /// The request under whose key its commands are done, if there is one.
    #[must_use]
    pub fn request(&self) -> Option<&Arc<Once>> {
        self.core.once.as_ref()
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> &TenantId {
        &self.core.tenant
    }

    /// What became of a command that answered `Indeterminate`, by its operation. Its batch is sent again, which its
    /// preconditions let apply at most once; where that is refused, the rows and the log say whose write it was. So after
    /// `Done` it was done, once.
    ///
    /// # Errors
    /// `Indeterminate` where it is not known still: ask again. `NotFound` for one of which this process knows nothing and
    /// the last 10,000 events have nothing. As any read.
    pub async fn resolve(&self, op: OpId) -> Result<Settled, CommandError> {
        crate::resolve::resolve(&self.core, op).await
    }

    /// The part of the store that is this tenant's: for services beside the engine's own.
    #[must_use]
    pub fn space(&self) -> &Namespace<dormouse_filesystem::Tenant> {
        &self.core.space
    }
}

impl Engine {
    /// The engine over a proven store. Reads and writes nothing yet: [`recover`](Self::recover) comes first where
    /// the store is this process's alone.
    #[must_use]
    pub fn open(system: Namespace<System>, environment: Environment, options: EngineOptions) -> Self {
        let reach = system.store().capabilities(system.root()).reach;
        let random = Arc::clone(&environment.random);
        let vault = Vault::new(&system, options.vault.clone(), random);
        let workers = Arc::new(Workers::new(options.worker_threads));
        Self(Arc::new(Shared {
            system,
            environment,
            gate_options: Arc::new(options.gates.clone()),
            options,
            vault,
            live: Arc::default(),
            due: Arc::default(),
            freed: Freed::default(),
            bell: Arc::default(),
            workers,
            missing: Mutex::default(),
            settling: Arc::default(),
            made: watch::Sender::new(0),
            background: TaskTracker::new(),
            leaving: CancellationToken::new(),
            is_exclusive: reach < Reach::Cluster,
            tenants: Mutex::default(),
        }))
    }

    /// A tenant's services. Its row is made when it is asked for first.
    ///
    /// # Errors
    /// As any read and any commit.
    pub async fn tenant(&self, id: &TenantId) -> Result<Tenant, CommandError> {
        if let Some(tenant) = self.with_tenants(|tenants| tenants.get(id).cloned()) {
            return Ok(tenant);
        }
        self.ensure_row(id).await?;
        Ok(self.handle(id))
    }

    /// A tenant's services for reading: nothing is made or kept for a name that has no rows.
    #[must_use]
    pub fn tenant_unmade(&self, id: &TenantId) -> Tenant {
        self.with_tenants(|tenants| tenants.get(id).cloned())
            .unwrap_or_else(|| self.made(id))
    }

    /// The services of a tenant that has rows already.
    pub(crate) fn handle(&self, id: &TenantId) -> Tenant {
        self.with_tenants(|tenants| tenants.entry(id.clone()).or_insert_with(|| self.made(id)).clone())
    }

    fn made(&self, id: &TenantId) -> Tenant {
        let shared = &self.0;
        let space = shared.system.tenant(&id.segment());
        let core = Arc::new(Core {
            intensity: shared.options.agent_intensity,
            clocks: shared.options.clocks,
            workers: Arc::clone(&shared.workers),
            budgets: shared.options.budgets,
            ledger: Arc::default(),
            freed: shared.freed.clone(),
            unsettled: Arc::default(),
            tenant: id.clone(),
            events: space.log(&[crate::id::segment("events")]),
            store: Arc::clone(shared.system.store().underneath()),
            environment: shared.environment.clone(),
            companions: shared.options.companions.clone(),
            live: Arc::clone(&shared.live),
            creations: Arc::default(),
            appends: Arc::default(),
            lease: shared.options.lease,
            beats: Arc::new(Beats::new(shared.options.lease)),
            claiming: Arc::default(),
            gates: Arc::new(crate::gate::Shared::new(Arc::clone(&shared.options.approvers))),
            gate_options: Arc::clone(&shared.gate_options),
            sessions: shared.options.sessions,
            drivers: Arc::default(),
            rooms: Arc::default(),
            switches: Arc::default(),
            due: Arc::clone(&shared.due),
            bell: Arc::clone(&shared.bell),
            timed_wakes_max: shared.options.wakes_timed_max,
            settling: Arc::clone(&shared.settling),
            secrets: Secrets::new(
                &shared.vault,
                &space,
                Arc::new(Living::of(&space)),
                Arc::clone(&shared.options.registrar),
            ),
            formats: shared.options.formats,
            scrubber: Scrubber::empty().with_formats(shared.options.formats),
            on_agent_delete: shared.options.on_agent_delete,
            removals: Arc::default(),
            system_events: self.log(),
            space,
            background: shared.background.clone(),
            leaving: shared.leaving.clone(),
            is_exclusive: shared.is_exclusive,
            once: None,
        });
        Tenant::of(core)
    }

    async fn ensure_row(&self, id: &TenantId) -> Result<(), CommandError> {
        let rows = Records::<TenantRow>::new(&self.0.system);
        if rows.get(id).await?.is_some() {
            return Ok(());
        }
        let (clock, random) = (&self.0.environment.clock, &self.0.environment.random);
        let now = clock.now();
        let row = TenantRow {
            name: id.clone(),
            incarnation: Incarnation::make(now, random),
            state: TenantState::Active,
            created_at: now,
            updated_at: now,
            op: OpId::make(now, random),
        };
        match rows.create(&row).await {
            // Somebody else was as early: the row is there, which is all that is wanted.
            Ok(_) | Err(dormouse_filesystem::RecordError::Exists { .. }) => {
                self.0.made.send_modify(|made| *made += 1);
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn with_tenants<T>(&self, f: impl FnOnce(&mut HashMap<TenantId, Tenant>) -> T) -> T {
        f(&mut self.0.tenants.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The tenants that were asked for in this process.
    pub(crate) fn tenants_here(&self) -> Vec<Tenant> {
        self.with_tenants(|tenants| tenants.values().cloned().collect())
    }

    /// Lets the drivers of sessions save what is unsaved, for 5 s at most, and waits until all that the engine does in
    /// the background has ended. To be called when nobody asks it for anything any more, before its store is closed.
    pub async fn close(&self) -> Closed {
        let tenants = self.tenants_here();
        for tenant in &tenants {
            tenant.core.drivers.close();
        }
        self.0.leaving.cancel();
        self.0.background.close();
        self.0.background.wait().await;
        let unsaved = tenants
            .iter()
            .flat_map(|tenant| tenant.core.drivers.take_unsaved());
        Closed {
            unsaved: unsaved.collect(),
        }
    }

    /// Rings when an account of any tenant has more to give: for whoever claims what waits for that.
    #[must_use]
    pub fn freed(&self) -> &Freed {
        &self.0.freed
    }

    /// Where deadlines are said.
    pub(crate) fn due(&self) -> &DueHint {
        &self.0.due
    }

    /// The loops that panicked too often.
    pub(crate) fn missing(&self) -> &Mutex<BTreeSet<&'static str>> {
        &self.0.missing
    }

    /// `workers_stuck`: futures of runs that were told to end and keep their threads still. Their runs have ended.
    #[must_use]
    pub fn workers_stuck(&self) -> usize {
        self.0.workers.stuck()
    }

    /// Where it is said that an agent has something to do.
    pub(crate) fn bell(&self) -> &Bell {
        &self.0.bell
    }

    /// Says that what kept lanes from being served may be over: secrets were unlocked, say.
    pub fn ring_all(&self) {
        self.0.bell.free_all();
    }

    /// Where it is said that something is to be settled.
    pub(crate) fn settling(&self) -> &SettleHint {
        &self.0.settling
    }

    /// Rings when a tenant was made here.
    pub(crate) fn made_tenants(&self) -> watch::Receiver<u64> {
        self.0.made.subscribe()
    }

    /// The part of the store that belongs to the installation.
    #[must_use]
    pub fn system(&self) -> &Namespace<System> {
        &self.0.system
    }

    /// The vault of the store's secrets.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        &self.0.vault
    }

    /// Takes out of a text what has the shape of a credential, by the engine's own rule: for texts that are no agent's.
    #[must_use]
    pub fn scrubber(&self) -> Scrubber {
        Scrubber::empty().with_formats(self.0.options.formats)
    }

    /// The events of the installation: those of the vault.
    #[must_use]
    pub fn events(&self) -> Events {
        let store = self.0.system.store().underneath();
        Events::of(store, self.log(), None, self.0.options.formats)
    }

    fn log(&self) -> Log {
        self.0.system.log(&[crate::id::segment("events")])
    }

    /// Time, randomness, and who this process is.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.0.environment
    }

    /// The runs this process holds.
    #[must_use]
    pub fn live(&self) -> &LiveRuns {
        &self.0.live
    }

    /// What becomes of calls by the mode they are made under.
    #[must_use]
    pub fn modes(&self) -> &Modes {
        &self.0.gate_options.modes
    }

    /// What is set of it.
    pub(crate) fn options(&self) -> &EngineOptions {
        &self.0.options
    }

    pub(crate) fn is_exclusive(&self) -> bool {
        self.0.is_exclusive
    }
}
