//! Opening the store and the engine on it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dormouse_engine::budget::BudgetOptions;
use dormouse_engine::event::EventFilter;
use dormouse_engine::gate::{GateOptions, Modes, Restart, Timeout, mode_of};
use dormouse_engine::lease::LeaseOptions;
use dormouse_engine::recovery::Recovery;
use dormouse_engine::relay::{FileSink, Sink};
use dormouse_engine::retention::Retention;
use dormouse_engine::run::INBOX_MAX;
use dormouse_engine::session::{SessionOptions, Sessions};
use dormouse_engine::supervisor::{Supervisor, SupervisorOptions, SystemOrphans};
use dormouse_engine::worker::Boot;
use dormouse_engine::worker::isolation::Policy;
use dormouse_engine::{Engine, EngineOptions, Environment, HostIdentity, Principal, Random, SystemClock};
use dormouse_filesystem::capability::Reach;
use dormouse_filesystem::{Backend, Namespace, OpenError, OpenOptions, Requirements, StoreUrl, System};
use dormouse_secrets::OnAgentDelete;
use dormouse_state::OnTimeout;

use crate::api::FormatsView;
use crate::config::{Config, detect_rules, rules as rules_of};
use crate::context::Context;
use crate::edge;
use crate::endpoint::RunEndpoints;
use crate::log;
use crate::problem::{Code, Problem};

use super::live;
use super::lock::OwnerLock;
use super::token::ControlToken;
use super::{Keys, Role};

/// Where programs are looked for when nobody says where.
const PATH_DEFAULT: &str = "/usr/local/bin:/usr/bin:/bin";

/// Opens the store of the settings, making it where there is none, and ends what a former owner left running.
pub(super) async fn open(
    context: &Context,
    lock: &OwnerLock,
    token: &ControlToken,
    role: Role,
) -> Result<(Engine, Keys, Recovery), Problem> {
    let options = options(context)?;
    let url = &context.places.url;
    let store = url.open(&options).await.map_err(|error| refused(&error))?;
    let need = needed(context);
    let system = Namespace::<System>::open(store, &need, options.opener())
        .await
        .map_err(|error| lacking(&error, url))?;
    let environment = environment(lock, token)?;
    let keys = Keys::of(context, environment.random.clone());
    let formats = FormatsView::of_word(context.config.text("scrub.formats").unwrap_or_default());
    let options = EngineOptions {
        vault: keys.vault(),
        registrar: Arc::new(log::open_values()),
        formats: formats.into(),
        ..behaviour(context)?
    };
    let engine = Engine::open(system, environment, options);
    let recovery = engine.recover(&SystemOrphans).await?;
    if role == Role::Supervisor {
        engine.start_vault(&Principal::engine()).await?;
    }
    // A question whose time was up while nobody was there is over before anybody is asked it again.
    match role {
        Role::Supervisor => drop(engine.recover_gates(restart(context)).await?),
        Role::Visitor => drop(engine.expire_due().await?),
    }
    Ok((engine, keys, recovery))
}

/// What becomes of pending gates at a start.
fn restart(context: &Context) -> Restart {
    match context.config.text("gates.restart") {
        Some("invalidate") => Restart::Invalidate,
        _ => Restart::Keep,
    }
}

/// How the engine behaves, by the settings.
///
/// # Errors
/// Settings that do not go together, by the name of one of them.
pub(crate) fn behaviour(context: &Context) -> Result<EngineOptions, Problem> {
    let config = &context.config;
    let time = |path| config.duration(path).unwrap_or_default();
    let timeout = |path| match config.text(path) {
        Some("never") => Timeout::Never,
        _ => Timeout::After(time(path)),
    };
    let rules = config.text("gates.rules").unwrap_or_default();
    let rules = rules_of(rules).expect("values are checked when they are set");
    let modes = Modes::new(rules, config.text("gates.allow_open") == Some("true"));
    let modes = modes.expect("values are checked when they are set");
    let mode = mode_of(config.text("gates.mode").unwrap_or_default());
    let mode = mode.expect("values are checked when they are set");
    let live = live::adjustable(config);
    modes.may_be_set(mode).map_err(|_| {
        Problem::new(Code::Config, "gates.mode: open needs gates.allow_open")
            .hint("set gates.allow_open to true, or gates.mode to another")
    })?;
    Ok(EngineOptions {
        companions: vec![Arc::new(Sessions)],
        gates: GateOptions {
            modes,
            approval_timeout: timeout("gates.timeout.approval"),
            question_timeout: timeout("gates.timeout.question"),
            notification_timeout: timeout("gates.timeout.notification"),
            on_timeout: match config.text("gates.on_timeout") {
                Some("pause") => OnTimeout::Pause,
                _ => OnTimeout::Deny,
            },
            capability_ttl: time("gates.capability_ttl"),
            wait_max: time("gates.wait_max"),
            pending_tenant_max: whole(config.number("gates.pending_tenant_max")),
            kept: time("retention.gates"),
        },
        lease: lease(config)?,
        budgets: budgets(config)?,
        sessions: SessionOptions {
            auto_idle: time("sessions.auto_idle"),
            live_flush: time("sessions.live_flush"),
            linger: time("sessions.linger"),
            mailbox_max: whole(config.number("sessions.mailbox_max")),
            open_max: whole(config.number("sessions.open_max")),
            history_max: whole(config.number("sessions.history_max")),
            stale: time("janitor.session_stale"),
            mode,
        },
        retention: Retention {
            tasks: time("retention.tasks"),
            tombstones: time("retention.tombstones"),
            steps: time("retention.steps"),
            holds: time("retention.holds"),
            usage: time("retention.usage"),
            events: time("retention.events"),
            events_max: config.number("retention.events_max"),
            lag_max: config.duration("relay.lag_max").unwrap_or_default(),
        },
        janitor_every: time("janitor.every"),
        wakes_due_max: whole(config.number("wakes.due_max")),
        wakes_timed_max: live.wakes_timed_max,
        agent_intensity: live.agent_intensity,
        clocks: live.clocks,
        on_agent_delete: match config.text("secrets.on_agent_delete") {
            Some("destroy") => OnAgentDelete::Destroy,
            _ => OnAgentDelete::Quarantine,
        },
        ..EngineOptions::default()
    })
}

/// How leases behave.
fn lease(config: &Config) -> Result<LeaseOptions, Problem> {
    let time = |path| config.duration(path).unwrap_or_default();
    let lease = LeaseOptions {
        ttl: time("lease.ttl"),
        heartbeat: time("lease.heartbeat"),
        skew: time("lease.skew"),
        self_stop: time("lease.self_stop"),
        runway: time("lease.runway"),
        batch_max: whole(config.number("lease.batch_max")),
    };
    match lease.fault(time("store.checkout"), time("store.commit_deadline")) {
        None => Ok(lease),
        Some(fault) => Err(Problem::new(Code::Config, fault)
            .hint("see dormouse help config for every setting, and what it is to be less than")),
    }
}

/// How budgets behave.
fn budgets(config: &Config) -> Result<BudgetOptions, Problem> {
    let share = |path| u8::try_from(config.number(path)).unwrap_or(100);
    let time = |path| config.duration(path).unwrap_or_default();
    let (warn, pause) = (share("budget.warn"), share("budget.pause"));
    if pause < warn {
        return Err(Problem::new(
            Code::Config,
            format!("budget.pause: {pause}% is below budget.warn, {warn}%"),
        )
        .hint("set budget.warn lower, or budget.pause higher; 100% asks nobody"));
    }
    Ok(BudgetOptions {
        warn,
        pause,
        hold_age_max: time("budget.hold_age_max"),
        approval_ttl: time("budget.approval_ttl"),
        ledger_mailbox: whole(config.number("budget.ledger_mailbox")),
        ledger_batch: whole(config.number("budget.ledger_batch")),
    })
}

fn whole(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Where events are sent, by the settings.
pub(crate) fn sinks(context: &Context) -> Vec<Arc<dyn Sink>> {
    let file = context.config.text("events.file").map(|path| {
        let name = "file".parse().expect("it is a name");
        let sink: Arc<dyn Sink> = Arc::new(FileSink::new(name, path, EventFilter::default()));
        sink
    });
    file.into_iter().collect()
}

/// What the program needs of its store.
pub(crate) fn needed(context: &Context) -> Requirements {
    let reach = match context.config.text("store.reach") {
        Some("cluster") => Reach::Cluster,
        _ => Reach::Process,
    };
    Requirements {
        reach,
        ..Requirements::embedded()
    }
}

/// How the store is opened, by the settings.
///
/// # Errors
/// Settings that do not go together, by the name of one of them.
pub(crate) fn options(context: &Context) -> Result<OpenOptions, Problem> {
    let config = &context.config;
    let time = |path| config.duration(path).unwrap_or_default();
    let path = |path| config.text(path).map(PathBuf::from);
    let options = OpenOptions {
        program: "dormouse".to_owned(),
        cache_bytes: config.bytes("store.cache"),
        segment_bytes: config.bytes("store.segment"),
        reserve_bytes: config.bytes("store.reserve"),
        cleaner_share: u8::try_from(config.number("store.cleaner_share")).unwrap_or(u8::MAX),
        commit_deadline: time("store.commit_deadline"),
        export_idle: time("store.export_idle"),
        checkout: time("store.checkout"),
        lock_timeout: time("store.lock_timeout"),
        pool: usize::try_from(config.number("store.pool")).unwrap_or(usize::MAX),
        notify_every: time("store.notify_every"),
        tombstones: time("store.tombstones"),
        schema: config.text("store.schema").unwrap_or_default().to_owned(),
        listen_url: config.text("store.listen_url").map(str::to_owned),
        root_certificates: path("store.tls"),
        passfile: passfile(&context.environment),
        ..OpenOptions::new(edge::now(), edge::random_number()?)
    };
    match options.fault() {
        None => Ok(options),
        Some(fault) => Err(Problem::new(Code::Config, format!("store.{fault}"))
            .hint("see dormouse help config for every setting")),
    }
}

/// Where libpq looks for passwords too.
fn passfile(environment: &crate::environment::Environment) -> Option<PathBuf> {
    match environment.get("PGPASSFILE") {
        Some(file) => Some(environment.absolute(Path::new(file))),
        None => Some(environment.folder_of("HOME")?.join(".pgpass")),
    }
}

/// Time, randomness, and who this process is.
fn environment(lock: &OwnerLock, token: &ControlToken) -> Result<Environment, Problem> {
    let random = Random::from_system().map_err(|error| {
        Problem::new(
            Code::Internal,
            format!("the system gives no random bytes: {error}"),
        )
    })?;
    let boot = Boot::current().map_err(|error| {
        Problem::new(
            Code::Internal,
            format!("it is not known which boot this is: {error}"),
        )
    })?;
    let seat = Some(lock.seat(token, &boot)?);
    let host = HostIdentity {
        seat,
        ..HostIdentity::new(boot, std::process::id(), edge::now(), &random)
    };
    Ok(Environment {
        clock: Arc::new(SystemClock),
        random: Arc::new(random),
        host,
    })
}

/// What runs workers. They get of our environment their search path, user, language and zone, what `worker.pass` names, and
/// nothing else.
pub(super) fn supervisor(engine: &Engine, context: &Context) -> Result<Supervisor, Problem> {
    let keeper = this_program()?;
    let text = |name: &str| context.environment.get(name).and_then(|value| value.to_str());
    let or = |names: &[&str], default: &str| {
        names
            .iter()
            .find_map(|name| text(name))
            .unwrap_or(default)
            .to_owned()
    };
    let mut options = SupervisorOptions {
        keeper,
        workspaces: context.places.workspaces.clone(),
        run_folders: context.places.runs.clone(),
        path: or(&["PATH"], PATH_DEFAULT),
        user: or(&["USER", "LOGNAME"], "dormouse"),
        lang: or(&["LC_ALL", "LANG"], "C.UTF-8"),
        tz: or(&["TZ"], "UTC"),
        passed: BTreeMap::new(),
        isolation: None,
        closed: context.closed(),
        offered: None,
        inbox_max: INBOX_MAX,
    };
    live::set_workers(context, &mut options);
    Ok(Supervisor::with_endpoints(
        engine,
        options,
        Arc::new(RunEndpoints::new(detect_rules(&context.config))),
    ))
}

/// Whether workers are walled in, if it was said.
pub(crate) fn isolation(context: &Context) -> Option<Policy> {
    let word = context.config.text("worker.isolation")?;
    Some(word.parse().expect("values are checked when they are set"))
}

/// What starts this very build again. On Linux that is not its path: an upgrade puts another build there, or nothing.
fn this_program() -> Result<PathBuf, Problem> {
    let itself = PathBuf::from("/proc/self/exe");
    if cfg!(target_os = "linux") && itself.exists() {
        return Ok(itself);
    }
    std::env::current_exe().map_err(|error| {
        Problem::new(
            Code::Internal,
            format!("it is not known where dormouse itself is: {error}"),
        )
    })
}

/// A store that promises too little, with what promises enough.
pub(crate) fn lacking(error: &OpenError, url: &StoreUrl) -> Problem {
    match (error, url.backend()) {
        (OpenError::Lacks { .. }, Backend::Memory) => Problem::new(
            Code::Config,
            "memory: forgets every record when the command ends, so nothing could be supervised on it",
        )
        .hint("set store.url to sled:/PATH, file:/PATH or postgres://…, or unset it"),
        (
            OpenError::Lacks {
                capability: "reach", ..
            },
            Backend::File | Backend::Sled,
        ) => Problem::new(
            Code::Config,
            format!("{url} is for one machine, and store.reach asks for several"),
        )
        .hint("set store.url to postgres://…, or store.reach to process"),
        _ => refused(error),
    }
}

/// A store that was not opened, with the one thing to do.
pub(crate) fn refused(error: &OpenError) -> Problem {
    let detail = error.to_string();
    match error {
        OpenError::InUse { .. } => {
            Problem::new(Code::Unavailable, detail).hint("wait for that process, or stop it")
        }
        OpenError::TooNew { .. } => {
            Problem::new(Code::TooNew, detail).hint("upgrade dormouse; nothing was changed")
        }
        OpenError::Importing { .. } => Problem::new(Code::Config, detail)
            .hint("import that file again, or name another place with store.url"),
        OpenError::Url(_) => Problem::new(Code::Config, detail).hint("correct store.url"),
        OpenError::Foreign { .. } => Problem::new(Code::Config, detail)
            .hint("name another place with store.path, or move that folder away"),
        OpenError::Refused { .. } | OpenError::Lacks { .. } => {
            Problem::new(Code::Config, detail).hint("name another place with store.path or store.url")
        }
        OpenError::Damaged { .. } => Problem::new(Code::Corrupt, detail).hint(
            "look with dormouse store check; dormouse store check --repair moves the bytes aside first",
        ),
        OpenError::Broken { .. } => {
            Problem::new(Code::Corrupt, detail).hint("name another place with store.path or store.url")
        }
        OpenError::Unavailable { source, .. } => {
            let cause = source
                .as_ref()
                .map(|source| format!(": {source}"))
                .unwrap_or_default();
            Problem::new(Code::Unavailable, format!("{detail}{cause}"))
                .hint("look at the disk and the folder, or the server and the way to it, then try again")
        }
    }
}
