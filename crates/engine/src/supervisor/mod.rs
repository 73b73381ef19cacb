//! Supervision: claims a task, runs its command under a clock, and ends the run with exactly one outcome.
//!
//! ```text
//! start ──claim──▶ one owner task per run
//!                    ├─ keeper up → process row durable → go          (launch, work)
//!                    ├─ output → scrubber → transcript                (work)
//!                    ├─ clocks, stops, kills                          (work)
//!                    ├─ heartbeat; fenced: kill, write nothing        (heart)
//!                    └─ outcome, run, task, lease, events: one commit (finish) → whoever waits
//! ```
//!
//! The owner task ends its run on every exit: it returns, its work panics, it is told to stop. When the whole process
//! dies, [`Engine::recover`](crate::Engine::recover) does it at the next start.

mod anew;
mod asking;
mod asks;
mod attempt;
mod blocking;
mod calls;
mod claimer;
mod deferring;
mod endpoint;
mod finish;
mod giving;
mod hearing;
mod heart;
mod inbox;
mod launch;
mod message;
mod opening;
mod orphans;
mod question;
mod reports;
mod rollouts;
mod saved;
mod silence;
mod spawn;
mod start;
mod stopping;
mod streams;
mod talking;
mod tell;
mod threads_used;
mod usage;
mod work;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use dormouse_secrets::{Scrubbed, Scrubber};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::task::TaskTracker;

pub use asking::{AskError, Asking};
pub use claimer::Beginning;
pub use endpoint::{Endpoint, Endpoints};
pub use giving::GivenResult;
pub use orphans::SystemOrphans;
pub use question::{OnGate, Question};

use self::inbox::Letter;
use crate::run::{Finished, Parked, Run, RunRow, StopReason};
use crate::transcript::{Follower, Transcript, TranscriptLogs};
use crate::worker::environment::former_run;
use crate::worker::isolation::{self, Level, Offered, Policy};
use crate::{CommandError, Engine, Principal, RunId, Tenant};

/// What workers are started with.
#[derive(Debug, Clone)]
pub struct SupervisorOptions {
    /// The executable that becomes the keeper: its `main` begins with
    /// [`keeper::enter`](crate::worker::keeper::enter).
    pub keeper: PathBuf,
    /// Below it each agent has its workspace, `<tenant>/<agent>`.
    pub workspaces: PathBuf,
    /// Below it each run has its own folder while it lasts.
    pub run_folders: PathBuf,
    /// Where workers' programs are looked for.
    pub path: String,
    /// The name of the user, for workers.
    pub user: String,
    /// The language of workers, for example `C.UTF-8`.
    pub lang: String,
    /// The time zone of workers, for example `UTC`.
    pub tz: String,
    /// Variables that every worker gets, beside its own: names passed through, with their values here.
    pub passed: BTreeMap<String, String>,
    /// Whether workers whose command does not say are walled in; none asks for a wall wherever the kernel has one.
    pub isolation: Option<Policy>,
    /// What no wall opens, but for a run's own workspace and folder: store, keys, configuration, state, workspaces.
    pub closed: Vec<PathBuf>,
    /// Most texts that wait to be said to one run ([`Supervisor::send`]), at least 1; [`INBOX_MAX`](crate::run::INBOX_MAX) is usual.
    pub inbox_max: usize,
    /// What the kernel has to wall workers in; it is asked where none is given.
    pub offered: Option<Offered>,
}

impl SupervisorOptions {
    /// What the kernel has.
    #[must_use]
    pub fn offered(&self) -> Offered {
        self.offered.unwrap_or_else(isolation::offered)
    }

    fn warn_of_missing_walls(&self) {
        if isolation::decide(self.isolation, self.offered()) == Ok(Level::Degraded) {
            let exposed = Level::Degraded.exposes().join("; ");
            tracing::warn!(%exposed, "workers are not walled in: this kernel has no Landlock");
        }
    }
}

/// Supervises the runs of this process. Cloning is cheap.
#[derive(Clone)]
pub struct Supervisor(Arc<Shared>);

struct Shared {
    engine: Engine,
    /// What a run is started with from now on; each keeps those of its start.
    options: RwLock<Arc<SupervisorOptions>>,
    endpoints: Option<Arc<dyn Endpoints>>,
    live: Mutex<HashMap<RunId, Live>>,
    /// How many owner tasks there are.
    count: watch::Sender<usize>,
    owners: TaskTracker,
    /// Held to read by who makes tasks and begins them; whoever claims from lanes waits for all of those.
    beginnings: Arc<tokio::sync::RwLock<()>>,
    is_leaving: AtomicBool,
}

/// The entry of a live run, taken out on every exit of its owner task.
struct Books {
    supervisor: Supervisor,
    run: RunId,
}

impl Drop for Books {
    fn drop(&mut self) {
        self.supervisor.lock().remove(&self.run);
        self.supervisor.0.count.send_modify(|count| *count -= 1);
    }
}

/// What others need of a live run.
#[derive(Clone)]
struct Live {
    transcript: Transcript,
    kill: Arc<Notify>,
    /// What is to be said to its worker.
    inbox: mpsc::Sender<Letter>,
    /// What its texts pass, once its worker's secrets are known.
    scrubber: Arc<OnceLock<Scrubber>>,
    end: watch::Receiver<Option<RunEnd>>,
}

/// The end of a live run, as its owner knows it.
#[derive(Debug, Clone, PartialEq)]
pub enum RunEnd {
    /// Its terminal record is durable.
    Recorded(Box<Finished>),
    /// It has not ended: it waits for a person, and nobody holds it.
    Parked(Box<Parked>),
    /// It is not: the lease is another's or has expired, or the store did not take it. Recovery ends the run.
    Unrecorded,
}

/// How a run is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// It is asked to leave, and killed when its grace is over.
    Cooperative,
    /// It is killed at once.
    Kill,
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Supervisor({} live)", self.count())
    }
}

impl Supervisor {
    /// Whether workers whose command does not say are walled in.
    #[must_use]
    pub fn isolation(&self) -> Option<Policy> {
        self.options().isolation
    }

    /// What the kernel has to wall workers in.
    #[must_use]
    pub fn offered(&self) -> Offered {
        self.options().offered()
    }

    /// Changes what workers are started with, from the next run on. Folders stay as they are: what is at work lies in them.
    pub fn adjust(&self, change: impl FnOnce(&mut SupervisorOptions)) {
        let before = self.options();
        let mut options = SupervisorOptions::clone(&before);
        change(&mut options);
        options.keeper.clone_from(&before.keeper);
        options.workspaces.clone_from(&before.workspaces);
        options.run_folders.clone_from(&before.run_folders);
        if options.isolation != before.isolation {
            options.warn_of_missing_walls();
        }
        *self.0.options.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(options);
    }

    /// What a run is started with now.
    fn options(&self) -> Arc<SupervisorOptions> {
        Arc::clone(&self.0.options.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A supervisor with no run yet. Its workers make their calls as they like and cannot ask, so it starts one only in a
    /// session whose mode is open.
    #[must_use]
    pub fn new(engine: &Engine, options: SupervisorOptions) -> Self {
        Self::make(engine, options, None)
    }

    /// A supervisor whose runs have endpoints, through which their workers ask people.
    #[must_use]
    pub fn with_endpoints(
        engine: &Engine,
        options: SupervisorOptions,
        endpoints: Arc<dyn Endpoints>,
    ) -> Self {
        Self::make(engine, options, Some(endpoints))
    }

    fn make(engine: &Engine, options: SupervisorOptions, endpoints: Option<Arc<dyn Endpoints>>) -> Self {
        options.warn_of_missing_walls();
        let (count, _) = watch::channel(0);
        Self(Arc::new(Shared {
            engine: engine.clone(),
            options: RwLock::new(Arc::new(options)),
            endpoints,
            live: Mutex::default(),
            count,
            owners: TaskTracker::new(),
            beginnings: Arc::default(),
            is_leaving: AtomicBool::new(false),
        }))
    }

    /// Stops a run: its task is called off and its worker told so. One that has ended stays as it is.
    ///
    /// # Errors
    /// `NotFound` for an unknown run; `Rejected` for a run of another process's.
    pub async fn cancel(
        &self,
        tenant: &Tenant,
        by: &Principal,
        run: RunId,
        force: Force,
        reason: Option<&str>,
    ) -> Result<RunRow, CommandError> {
        let row = tenant.runs.get(run).await?;
        if row.outcome.is_none() {
            let scrubber = self.scrubber_of(tenant, &row.run).await?;
            let reason: Option<Scrubbed> = reason.map(|reason| scrubber.scrub(reason));
            if let Some(task) = row.run.task {
                tenant.tasks.cancel(by, task, reason).await?;
            }
            if force == Force::Kill {
                self.kill(run);
            }
        }
        tenant.runs.get(run).await
    }

    /// Kills the worker of a run of this process at once. Its stop has to be recorded already.
    pub fn kill(&self, run: RunId) {
        if let Some(live) = self.live(run) {
            live.kill.notify_one();
        }
    }

    /// Reads what a run prints from an offset on, and goes on with it while it is live in this process.
    #[must_use]
    pub fn follow(&self, tenant: &Tenant, run: RunId, offset: u64) -> Follower {
        match self.live(run) {
            Some(live) => live.transcript.follow_from(offset),
            None => {
                let logs = TranscriptLogs::of(tenant.space(), &crate::id::segment(&run.to_string()));
                Follower::of_durable(&logs, offset)
            }
        }
    }

    /// Waits until a run of this process has ended; at once for any other.
    pub async fn wait(&self, run: RunId) {
        if let Some(mut live) = self.live(run) {
            // An owner that is gone has ended too.
            let _ = live.end.wait_for(Option::is_some).await;
        }
    }

    /// Whether this process supervises this run.
    #[must_use]
    pub fn is_live(&self, run: RunId) -> bool {
        self.live(run).is_some()
    }

    /// What texts about a run pass: that of its worker while it is live here, else that of its agent.
    ///
    /// # Errors
    /// As [`Credentials::scrubber`](crate::credentials::Credentials::scrubber).
    pub async fn scrubber_of(&self, tenant: &Tenant, run: &Run) -> Result<Scrubber, CommandError> {
        let live = self.live(run.id).and_then(|live| live.scrubber.get().cloned());
        match live {
            Some(scrubber) => Ok(scrubber),
            None => tenant.credentials.scrubber(&run.agent).await,
        }
    }

    /// How many runs this process supervises.
    #[must_use]
    pub fn count(&self) -> usize {
        *self.0.count.borrow()
    }

    /// Waits until it supervises none.
    pub async fn idle(&self) {
        let mut count = self.0.count.subscribe();
        let _ = count.wait_for(|count| *count == 0).await;
    }

    /// Tells every run to stop because the process leaves, and waits until all have ended.
    pub async fn shutdown(&self) {
        // Seen by every run that is adopted from here on; those before are among the ones told.
        self.0.is_leaving.store(true, Ordering::Release);
        for run in self.runs() {
            self.0.engine.live().tell(run, StopReason::Shutdown);
        }
        self.0.owners.close();
        self.0.owners.wait().await;
    }

    /// Kills every worker at once: the second signal of an operator who will not wait.
    pub fn kill_all(&self) {
        self.runs().into_iter().for_each(|run| self.kill(run));
    }

    /// Removes the folders of runs that are not live here: what a former owner left. To be called before the first
    /// start, by whoever owns the store alone. Returns how many went.
    ///
    /// # Errors
    /// The file system's, from listing; a folder that cannot be removed stays and is logged.
    pub async fn sweep_folders(&self) -> std::io::Result<usize> {
        let mut entries = match tokio::fs::read_dir(&self.options().run_folders).await {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error),
        };
        let mut swept = 0;
        while let Some(entry) = entries.next_entry().await? {
            let run = entry
                .file_name()
                .to_str()
                .and_then(|name| former_run(name).parse::<RunId>().ok());
            let Some(run) = run.filter(|run| self.live(*run).is_none()) else {
                continue;
            };
            match tokio::fs::remove_dir_all(entry.path()).await {
                Ok(()) => swept += 1,
                Err(error) => tracing::warn!(%run, %error, "the folder of a former run was not removed"),
            }
        }
        Ok(swept)
    }

    fn runs(&self) -> Vec<RunId> {
        self.lock().keys().copied().collect()
    }

    fn live(&self, run: RunId) -> Option<Live> {
        self.lock().get(&run).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<RunId, Live>> {
        self.0.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
