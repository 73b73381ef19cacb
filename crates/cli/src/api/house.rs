//! What handlers work with: the engine, what supervises, and who asks.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use dormouse_engine::detect::Rules;
use dormouse_engine::idempotency::Once;
use dormouse_engine::run::{RunRow, RunState};
use dormouse_engine::supervisor::{Force, OnGate, Supervisor, SystemOrphans};
use dormouse_engine::task::NewTask;
use dormouse_engine::transcript::Follower;
use dormouse_engine::wake::WakeOptions;
use dormouse_engine::worker::isolation::{Offered, Policy};
use dormouse_engine::{
    Channel, CommandError, Engine, Principal, PrincipalKind, RunId, Subject, TaskId, Tenant, TenantId,
};
use dormouse_filesystem::{Backend, Capabilities, Health, RecordStore};
use dormouse_secrets::VaultState;
use tokio::sync::{Notify, Semaphore, watch};

use super::once::DoneSoFar;
use crate::owner::phase::Phase;
use crate::owner::settings::Settings;
use crate::owner::{Keys, Role};
use crate::problem::{Code, Problem};

/// The header in which a client says who it is.
pub const WHO: &str = "dormouse-who";

/// The tenant of a request that names none.
pub const TENANT_DEFAULT: &str = "default";

/// Starts of runs that may be under way at once.
const STARTS_MAX: u32 = 512;

/// What a run is started of.
#[derive(Debug)]
pub(super) enum Start {
    /// A task that is there.
    Task(TaskId),
    /// A task that is made first.
    New(Box<NewTask>),
}

/// What handlers work with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct House(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    engine: Engine,
    supervisor: Supervisor,
    role: Role,
    phase: watch::Receiver<Phase>,
    backend: Backend,
    keys: Keys,
    rules: Rules,
    /// What it runs with, where that can be read again.
    settings: Option<Settings>,
    /// A permit is held while a run is being started, so that who leaves can wait until none is; closed once we leave.
    starts: Semaphore,
    wanted: Notify,
}

impl House {
    /// Around an open engine.
    #[must_use]
    pub fn new(
        engine: Engine,
        supervisor: Supervisor,
        role: Role,
        phase: watch::Receiver<Phase>,
        backend: Backend,
        keys: Keys,
        rules: Rules,
    ) -> Self {
        let starts = Semaphore::new(STARTS_MAX as usize);
        Self(Arc::new(Inner {
            engine,
            supervisor,
            role,
            phase,
            backend,
            keys,
            rules,
            settings: None,
            starts,
            wanted: Notify::new(),
        }))
    }

    /// The same, before anybody else has it, with settings that can be read again.
    #[must_use]
    pub(crate) fn with_settings(mut self, settings: Settings) -> Self {
        let inner = Arc::get_mut(&mut self.0).expect("it was just made, and nobody else has it");
        inner.settings = Some(settings);
        self
    }

    /// What it runs with.
    ///
    /// # Errors
    /// `Unavailable` where it cannot be read again.
    pub(super) fn settings(&self) -> Result<&Settings, Problem> {
        let settings = self.0.settings.as_ref();
        settings.ok_or_else(|| Problem::new(Code::Unavailable, "the settings here were given, not read"))
    }

    /// What runs workers.
    pub(super) fn supervisor(&self) -> &Supervisor {
        &self.0.supervisor
    }

    /// Refuses what is asked of a process that runs something, and says that it is in the way of one.
    ///
    /// # Errors
    /// `Unavailable`, for a moment.
    pub(super) fn supervises(&self) -> Result<(), Problem> {
        if self.0.role == Role::Supervisor {
            return Ok(());
        }
        self.0.wanted.notify_one();
        Err(unavailable(
            "the owner of the store runs nothing: it only reads or writes rows, and makes room",
        ))
    }

    /// The engine.
    pub(super) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// What the owner is at the moment.
    pub(super) fn phase(&self) -> watch::Receiver<Phase> {
        self.0.phase.clone()
    }

    /// What the owner is there for.
    pub(super) fn role(&self) -> Role {
        self.0.role
    }

    /// What keeps the store.
    pub(super) fn backend(&self) -> Backend {
        self.0.backend
    }

    /// Where the key of the secrets is.
    pub(super) fn keys(&self) -> &Keys {
        &self.0.keys
    }

    /// By what pages are judged.
    pub(super) fn rules(&self) -> &Rules {
        &self.0.rules
    }

    /// Before what may make the vault, as a put: its key file's folder is there.
    ///
    /// # Errors
    /// What the system refuses; as any read of the vault.
    pub(super) async fn ready_for_vault(&self) -> Result<(), Problem> {
        if self.engine().vault().state().await? != VaultState::Absent {
            return Ok(());
        }
        let keys = self.keys().clone();
        let made = tokio::task::spawn_blocking(move || keys.ensure_folder()).await;
        made.expect("making a folder does not panic, and nobody cancels it")
    }

    /// What the store promises.
    pub(super) fn capabilities(&self) -> Capabilities {
        let system = self.0.engine.system();
        system.store().capabilities(system.root())
    }

    /// The store itself.
    pub(super) fn store(&self) -> Arc<dyn RecordStore> {
        Arc::clone(self.0.engine.system().store().underneath())
    }

    /// How the store is.
    pub(super) async fn store_health(&self) -> Health {
        self.0.engine.system().store().health().await
    }

    /// The loops of the engine that are missing, a sentence each.
    pub(super) fn missing_loops(&self) -> Vec<String> {
        let sentence = |name| {
            format!(
                "degraded: the loop of {name} panicked again and again and is not begun any more; restart the server, and see its log"
            )
        };
        self.0.engine.degraded().into_iter().map(sentence).collect()
    }

    /// Whether workers whose command does not say are walled in.
    #[must_use]
    pub fn isolation(&self) -> Option<Policy> {
        self.0.supervisor.isolation()
    }

    /// What the kernel has to wall workers in.
    pub(super) fn offered(&self) -> Offered {
        self.0.supervisor.offered()
    }

    /// Runs at work here.
    pub(crate) fn live_count(&self) -> usize {
        self.0.supervisor.count()
    }

    /// Waits until no run is at work here.
    pub(crate) async fn idle(&self) {
        self.0.supervisor.idle().await;
    }

    /// Claims a task and starts its worker, having made the task if it is a new one. It goes on whoever asked: who
    /// leaves waits for it.
    ///
    /// Only who supervises takes runs. Another owner is told that it is in the way.
    pub(super) async fn start(&self, asker: &Asker, start: Start, on_gate: OnGate) -> Result<RunId, Problem> {
        self.supervises()?;
        let (house, asker) = (self.clone(), asker.clone());
        let started = tokio::spawn(async move { house.start_through(&asker, start, on_gate).await }).await;
        // What a panic said is in the log, scrubbed.
        started.map_err(|_| Problem::new(Code::Internal, "the start was not finished: see the log"))?
    }

    async fn start_through(&self, asker: &Asker, start: Start, on_gate: OnGate) -> Result<RunId, Problem> {
        let permit = self.0.starts.acquire().await;
        let _permit = permit.map_err(|_| unavailable("the owner of the store is leaving"))?;
        let (tasks, by) = (&asker.tenant.tasks, &asker.principal);
        // Or the loop that claims what is ready may be faster, and ask as it does of gates.
        let beginning = match &start {
            Start::New(_) => Some(self.0.supervisor.beginning().await),
            Start::Task(_) => None,
        };
        let (task, is_new) = match start {
            Start::Task(task) => (task, false),
            Start::New(new) => (tasks.create(by, *new).await?.id, true),
        };
        if is_new && asker.tenant.request().is_some_and(|once| once.was_found()) {
            // On another machine the same was asked under the same key: it is that one's to begin.
            let detail = format!("task {task} was made before under the same key");
            return Err(Problem::new(Code::State, detail));
        }
        // Whoever says that every gate is rejected is who rejects them: by the name they have.
        let decider = &asker.decider;
        let started = self
            .0
            .supervisor
            .start_with(&asker.tenant, decider, task, on_gate)
            .await;
        drop(beginning);
        let started = match started {
            // Another process was faster: the run that was asked for is that one's.
            Err(CommandError::Rejected { .. }) if is_new => {
                tasks.get(task).await?.last_run.map_or(started, Ok)
            }
            started => started,
        };
        // Whether it was claimed is not known then, and calling it off would end the run.
        let is_unknown = matches!(started, Err(CommandError::Indeterminate { .. }));
        // It waits for nothing but that somebody unlocks.
        let is_locked = matches!(started, Err(CommandError::SecretsLocked { .. }));
        // Nor for anything but that a person raises a limit.
        let is_asked = matches!(started, Err(CommandError::NeedsApproval(_)));
        if started.is_err() && is_new && !is_unknown && !is_locked && !is_asked {
            // Nobody asked for a task that waits. If this does not succeed either, it is one.
            let is_undone = tasks.cancel(by, task, None).await.is_ok();
            if let (true, Some(once)) = (is_undone, asker.tenant.request()) {
                // Nothing came of the request: under its key the next try is judged afresh.
                let _ = asker.tenant.idempotency.undone(once).await;
            }
        }
        started.map_err(|error| match error {
            CommandError::NeedsApproval(refusal) => {
                let gate = refusal.gate;
                let problem = Problem::from(CommandError::NeedsApproval(refusal));
                match gate {
                    Some(gate) => problem.hint(format!(
                        "{task} stays ready: raise the limit with dormouse gate approve {gate} --limit AMOUNT, then dormouse run {task}"
                    )),
                    None => problem,
                }
            }
            error => error.into(),
        })
    }

    /// Stops a run by calling its task off: an attempt that somebody stopped is not tried again.
    pub(super) async fn cancel(&self, asker: &Asker, run: RunId, force: Force) -> Result<RunRow, Problem> {
        if asker.tenant.runs.get(run).await?.run.state == RunState::Ended {
            let detail = format!("run {run} has ended");
            return Err(Problem::new(Code::State, detail).hint(format!("see dormouse runs show {run}")));
        }
        Ok(self
            .0
            .supervisor
            .cancel(&asker.tenant, &asker.principal, run, force, None)
            .await?)
    }

    /// Says something more to the worker of a run that is at work here.
    pub(super) async fn send(&self, asker: &Asker, run: RunId, text: &str) -> Result<(), Problem> {
        Ok(self.0.supervisor.send(&asker.tenant, run, text).await?)
    }

    /// Kills the worker of a run, if it is at work here.
    pub(super) fn kill(&self, run: RunId) {
        self.0.supervisor.kill(run);
    }

    /// Waits until a run is not at work here any more.
    pub(super) async fn ended(&self, run: RunId) {
        self.0.supervisor.wait(run).await;
    }

    /// What a run prints, on until it ends.
    pub(super) fn follow(&self, asker: &Asker, run: RunId, offset: u64) -> Follower {
        self.0.supervisor.follow(&asker.tenant, run, offset)
    }

    /// Claims what is ready and runs it, so much at once, until it is told to stop claiming; and ends runs of other processes
    /// whose holders vanished.
    pub(crate) async fn claim_until(&self, instance_max: usize, told: watch::Receiver<bool>) {
        let options = WakeOptions {
            instance_max,
            ..WakeOptions::default()
        };
        let engine = self.engine();
        let claiming = engine.keep("wakes", || {
            let (engine, options) = (engine.clone(), options.clone());
            let starter = Arc::new(self.0.supervisor.clone());
            let mut told = told.clone();
            async move {
                let told = async move { drop(told.wait_for(|is_told| *is_told).await) };
                engine.serve_wakes(starter, options, told).await;
            }
        });
        let leases = engine.keep("leases", || {
            let engine = engine.clone();
            async move { engine.serve_leases(&SystemOrphans, std::future::pending()).await }
        });
        let mut claiming = std::pin::pin!(claiming);
        let mut leases = std::pin::pin!(leases);
        // Ends with the claims: a loop of leases that is given up is named, and ends none of them.
        tokio::select! {
            () = &mut claiming => return,
            () = &mut leases => {}
        }
        claiming.await;
    }

    /// Waits until no run is at work, and takes none from then on.
    pub(crate) async fn leave_when_idle(&self) {
        // Ends when a look finds nothing: nobody can start a run while it lasts.
        loop {
            self.0.supervisor.idle().await;
            let Ok(_every_start) = self.0.starts.acquire_many(STARTS_MAX).await else {
                return;
            };
            if self.live_count() == 0 {
                return self.0.starts.close();
            }
        }
    }

    /// Takes no more runs and stops those at work: asked first, killed after their grace.
    pub(crate) async fn stop(&self) {
        let every_start = self.0.starts.acquire_many(STARTS_MAX).await;
        self.0.starts.close();
        drop(every_start);
        self.0.supervisor.shutdown().await;
    }

    /// Settles what commands of this process left for those that follow the tasks they ended. What cannot be settled is
    /// found by the next owner.
    pub(crate) async fn settle_rest(&self) {
        if let Err(error) = self.0.engine.settle_rest().await {
            tracing::warn!(%error, "ends of tasks were not settled; the next owner does it");
        }
    }

    /// Waits for what the engine does in the background, once nobody asks it for anything any more.
    pub(crate) async fn rest(&self) {
        for left in self.0.engine.close().await.unsaved {
            tracing::warn!(session = %left.session, inputs = left.inputs, "a session was not saved in time");
        }
    }

    /// Kills every worker at once.
    pub(crate) fn kill_all(&self) {
        self.0.supervisor.kill_all();
    }

    /// Waits until somebody wants to run something that this owner does not.
    pub(crate) async fn is_in_the_way(&self) {
        self.0.wanted.notified().await;
    }
}

fn unavailable(why: &str) -> Problem {
    Problem::new(Code::Unavailable, why)
        .hint("try again: dormouse run becomes the owner itself")
        .retry_after_ms(50)
}

/// Longest name that a client may give itself, in bytes.
const WHO_MAX: usize = 64;

/// Who a client says it is. It holds the control token, and so may be whoever it likes: the name is for people.
fn who(headers: &HeaderMap) -> Option<String> {
    let name = headers.get(WHO)?.to_str().ok()?;
    let is_name =
        (1..=WHO_MAX).contains(&name.len()) && name.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
    is_name.then(|| name.to_owned())
}

/// Who asks, and whose part of the store they ask about.
#[derive(Debug, Clone)]
pub(super) struct Asker {
    pub(super) principal: Principal,
    /// The same as who decides gates: with the name it says it has, so that of many on this host the one that decided is
    /// known.
    pub(super) decider: Principal,
    pub(super) tenant: Tenant,
    /// What came of the request, where it is asked again under its key.
    pub(super) done_so_far: Vec<Subject>,
}

impl FromRequestParts<House> for Asker {
    type Rejection = Problem;

    /// Whoever came through the gate holds the control token, or is this process: role `system`.
    async fn from_request_parts(parts: &mut Parts, house: &House) -> Result<Self, Problem> {
        let named = parts
            .headers
            .get("dormouse-tenant")
            .map(|value| value.to_str().unwrap_or_default());
        let id: TenantId = named
            .unwrap_or(TENANT_DEFAULT)
            .parse()
            .map_err(|error| Problem::new(Code::BadRequest, format!("dormouse-tenant: {error}")))?;
        let principal = Principal {
            kind: PrincipalKind::System,
            name: "control".to_owned(),
            channel: Channel::Cli,
        };
        let decider = Principal {
            name: who(&parts.headers).unwrap_or_else(|| principal.name.clone()),
            ..principal.clone()
        };
        // Reading makes nothing.
        let tenant = if parts.method.is_safe() {
            house.engine().tenant_unmade(&id)
        } else {
            house.engine().tenant(&id).await?
        };
        let tenant = match parts.extensions.get::<Arc<Once>>() {
            Some(once) => tenant.once(once),
            None => tenant,
        };
        let done_so_far = parts.extensions.get::<DoneSoFar>();
        Ok(Self {
            principal,
            decider,
            tenant,
            done_so_far: done_so_far.map(|done| done.0.clone()).unwrap_or_default(),
        })
    }
}
