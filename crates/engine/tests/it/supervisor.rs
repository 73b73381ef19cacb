//! The supervisor over the reference backend, with real processes: every way a run can end.

mod calls;
mod clocks;
mod ends;
mod follow_ups;
mod intensity;
mod orphans;
mod panics;
mod reports;
mod slow;
mod spawns;
mod stops;
mod streams;
mod threads;
mod unwalled;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use dormouse_engine::command::CommandSpec;
use dormouse_engine::gate::{GateOptions, Modes};
use dormouse_engine::outcome::{CancelledBy, ClockKind, Facts, FailReason, Outcome};
use dormouse_engine::run::{ClaimOptions, Claimed, RunRow};
use dormouse_engine::session::{self, SessionOptions, Sessions};
use dormouse_engine::supervisor::{Force, OnGate, Supervisor, SupervisorOptions, SystemOrphans};
use dormouse_engine::task::{NewTask, TaskState};
use dormouse_engine::thread::{Append, NewMessage, NewThread};
use dormouse_engine::transcript::Followed;
use dormouse_engine::worker::Boot;
use dormouse_engine::{
    AgentName, Channel, CommandError, Engine, EngineOptions, Environment, Epoch, HostIdentity, Principal,
    Random, RunId, SystemClock, Tenant,
};
use dormouse_engine::{Clock, TenantId};
use dormouse_filesystem::{Memory, Namespace, Opener, Position, RecordStore, Requirements, System};
use dormouse_secrets::{
    Cause, Expect, FixedKeyring, Keyring, LeaseStatus, PutMeta, Secret, SecretCategory, VaultOptions,
};
use dormouse_state::Mode;
use jiff::{SignedDuration, Timestamp};

use crate::stores::until;

/// The machine's clock, which a test can put forward: the machine was asleep.
#[derive(Debug, Default)]
struct Asleep(AtomicI64);

impl Clock for Asleep {
    fn now(&self) -> Timestamp {
        SystemClock.now() + SignedDuration::from_secs(self.0.load(Ordering::Relaxed))
    }
}

pub(crate) struct Bed {
    clock: Arc<Asleep>,
    store: Arc<dyn RecordStore>,
    folder: tempfile::TempDir,
}

/// One opening of a bed's store.
pub(crate) struct House {
    pub(crate) engine: Engine,
    pub(crate) tenant: Tenant,
    pub(crate) supervisor: Supervisor,
}

pub(crate) fn bed() -> Bed {
    bed_over(Arc::new(Memory::new(SystemClock.now())))
}

pub(crate) fn bed_over(store: Arc<dyn RecordStore>) -> Bed {
    Bed {
        clock: Arc::default(),
        store,
        folder: tempfile::tempdir().unwrap(),
    }
}

pub(crate) fn operator() -> Principal {
    Principal::operator("test", Channel::Cli)
}

pub(crate) fn options(folder: &Path) -> SupervisorOptions {
    SupervisorOptions {
        keeper: env!("CARGO_BIN_EXE_dormouse-keeper").into(),
        workspaces: folder.join("workspaces"),
        run_folders: folder.join("runs"),
        path: "/usr/bin:/bin".into(),
        user: "test".into(),
        lang: "C.UTF-8".into(),
        tz: "UTC".into(),
        passed: BTreeMap::new(),
        isolation: None,
        closed: Vec::new(),
        offered: None,
        inbox_max: dormouse_engine::run::INBOX_MAX,
    }
}

impl Bed {
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The machine was asleep until so many seconds after the test began.
    pub(crate) fn slept(&self, seconds: i64) {
        self.clock.0.store(seconds, Ordering::Relaxed);
    }

    /// Its workers have no endpoint and make their calls as they like, so its sessions are open.
    async fn open(&self) -> House {
        self.open_and(open_to_all()).await
    }

    async fn open_and(&self, options_of_engine: EngineOptions) -> House {
        let random = Arc::new(Random::from_system().unwrap());
        let system = Namespace::<System>::open(
            Arc::clone(&self.store),
            &Requirements::volatile(),
            Opener::at(Timestamp::UNIX_EPOCH, random.number()),
        )
        .await
        .unwrap();
        let boot = Boot::current().unwrap();
        let epoch = Epoch::make(SystemClock.now(), &random);
        let host = HostIdentity {
            host: boot.host,
            boot_id: boot.boot_id,
            pid: std::process::id(),
            epoch,
            seat: None,
        };
        let environment = Environment {
            clock: Arc::<Asleep>::clone(&self.clock),
            random,
            host,
        };
        let engine = Engine::open(
            system,
            environment,
            EngineOptions {
                companions: vec![Arc::new(Sessions)],
                vault: VaultOptions {
                    sources: vec![key()],
                    first_key: None,
                },
                ..options_of_engine
            },
        );
        let tenant = engine
            .tenant(&"default".parse::<TenantId>().unwrap())
            .await
            .unwrap();
        let supervisor = Supervisor::new(&engine, options(self.folder.path()));
        House {
            engine,
            tenant,
            supervisor,
        }
    }

    async fn open_with_alice(&self) -> House {
        Self::with_alice(self.open().await).await
    }

    pub(crate) async fn open_with_alice_and(&self, options: EngineOptions) -> House {
        Self::with_alice(self.open_and(options).await).await
    }

    async fn with_alice(house: House) -> House {
        let alice = alice();
        house
            .tenant
            .agents
            .create(&operator(), &alice, Default::default())
            .await
            .unwrap();
        house
    }
}

/// Workers make their calls as they like.
pub(crate) fn open_to_all() -> EngineOptions {
    EngineOptions {
        gates: GateOptions {
            modes: Modes::new(Vec::new(), true).unwrap(),
            ..GateOptions::default()
        },
        sessions: SessionOptions {
            mode: Mode::Open,
            ..SessionOptions::default()
        },
        ..EngineOptions::default()
    }
}

fn key() -> Arc<dyn Keyring> {
    let random = Arc::new(Random::seeded(5));
    Arc::new(FixedKeyring::new(&std::array::from_fn(|at| at as u8), random).unwrap())
}

pub(crate) fn alice() -> AgentName {
    "alice".parse().unwrap()
}

pub(crate) fn sh(script: &str) -> CommandSpec {
    CommandSpec {
        grace_ms: Some(500),
        ..CommandSpec::new(vec!["sh".into(), "-c".into(), script.into()])
    }
}

impl House {
    /// A task, claimed by nobody's process: the test does its work.
    async fn claimed(&self, new: NewTask) -> Claimed {
        let by = operator();
        let task = self.tenant.tasks.create(&by, new).await.unwrap();
        let claim = self.tenant.runs.claim(&by, task.id, ClaimOptions::default());
        claim.await.unwrap()
    }

    pub(crate) async fn begin(&self, command: CommandSpec) -> RunId {
        self.begin_with(command, OnGate::Wait).await
    }

    pub(crate) async fn begin_with(&self, command: CommandSpec, on_gate: OnGate) -> RunId {
        let task = NewTask {
            command: Some(command),
            body: "do it".to_owned(),
            ..NewTask::new(alice(), "a task")
        };
        let task = self.tenant.tasks.create(&operator(), task).await.unwrap();
        self.supervisor
            .start_with(&self.tenant, &operator(), task.id, on_gate)
            .await
            .unwrap()
    }

    async fn ended(&self, run: RunId) -> RunRow {
        self.supervisor.wait(run).await;
        self.tenant.runs.get(run).await.unwrap()
    }

    async fn run(&self, command: CommandSpec) -> RunRow {
        let run = self.begin(command).await;
        self.ended(run).await
    }

    async fn task_state(&self, row: &RunRow) -> TaskState {
        self.tenant
            .tasks
            .get(row.run.task.unwrap())
            .await
            .unwrap()
            .state
            .clone()
    }

    async fn transcript(&self, run: RunId) -> String {
        let (mut follower, mut text) = (self.supervisor.follow(&self.tenant, run, 0), Vec::new());
        while let Followed::Frames(frames) = follower.next().await.unwrap() {
            frames
                .iter()
                .for_each(|frame| text.extend_from_slice(&frame.bytes));
        }
        String::from_utf8(text).unwrap()
    }

    /// Waits until the run has printed this.
    pub(crate) async fn printed(&self, run: RunId, wanted: &str) {
        let (mut follower, mut text) = (self.supervisor.follow(&self.tenant, run, 0), String::new());
        while !text.contains(wanted) {
            let Followed::Frames(frames) = follower.next().await.unwrap() else {
                panic!("it ended with {text:?}")
            };
            frames
                .iter()
                .for_each(|frame| text.push_str(&String::from_utf8_lossy(&frame.bytes)));
        }
    }

    async fn event_types(&self) -> Vec<String> {
        let page = self
            .tenant
            .events
            .read_after(Position::START, 1000)
            .await
            .unwrap();
        page.events.into_iter().map(|at| at.event.kind).collect()
    }
}

pub(crate) fn outcome(row: &RunRow) -> Outcome {
    row.outcome.as_ref().expect("it has ended").outcome.clone()
}

/// What was seen of a run that has ended.
pub(crate) fn facts(row: &RunRow) -> Facts {
    row.outcome.as_ref().unwrap().facts.clone().unwrap()
}

/// The outcome of a run whose clock of so long ran out.
pub(crate) fn wall_timeout(limit_ms: u64) -> Outcome {
    Outcome::Timeout {
        clock: ClockKind::Wall,
        limit_ms,
    }
}

/// Who cancelled the run; none when nobody did.
fn cancelled_by(row: &RunRow) -> Option<CancelledBy> {
    match outcome(row) {
        Outcome::Cancelled { by, .. } => Some(by),
        _ => None,
    }
}

#[tokio::test]
async fn a_command_that_exits_0_is_done_and_what_it_printed_is_kept() {
    let house = bed().open_with_alice().await;
    let row = house.run(sh("echo hello from alice; echo oops >&2; pwd")).await;
    assert!(matches!(outcome(&row), Outcome::Success { .. }));
    assert!(matches!(house.task_state(&row).await, TaskState::Done { .. }));
    let text = house.transcript(row.run.id).await;
    assert!(
        text.contains("hello from alice\n") && text.contains("oops\n"),
        "{text}"
    );
    assert!(
        text.contains("/workspaces/default/alice\n"),
        "it works in its workspace: {text}"
    );
    let facts = facts(&row);
    assert_eq!((facts.exit.unwrap().code, facts.spawns), (Some(0), 1));
}

#[tokio::test]
async fn the_worker_of_a_turn_reads_its_message_and_its_thread_goes_on_behind_it() {
    let bed = bed();
    let house = bed.open_with_alice().await;
    let threads = &house.tenant.threads;
    let new = NewThread::new(alice());
    let thread = threads.create(&operator(), &new).await.unwrap().id;
    let mut posted = Vec::new();
    for text in ["what is left?", "and then?"] {
        let message = NewMessage {
            command: Some(sh("cat; echo")),
            ..NewMessage::user(text)
        };
        let append = Append::submit(message);
        posted.push(threads.append(&operator(), thread, &append).await.unwrap());
    }
    for (message, text) in posted.iter().zip(["what is left?", "and then?"]) {
        let task = threads.message_of(message.message).await.unwrap().task.unwrap();
        let run = house
            .supervisor
            .start(&house.tenant, &operator(), task)
            .await
            .unwrap();
        assert_eq!(Some(run), message.run, "the run that was told of");
        assert_eq!(outcome(&house.ended(run).await).name(), "success");
        assert_eq!(house.transcript(run).await.trim_end(), text);
    }
    let free = threads.get(thread).await.unwrap();
    assert_eq!((free.active_run, free.turn, free.queued), (None, None, 0));
}

#[tokio::test]
async fn every_change_of_a_run_has_its_event_once_and_in_order() {
    let house = bed().open_with_alice().await;
    house.run(sh("true")).await;
    let expected = [
        "agent.created",
        "task.created",
        "session.created",
        "session.turn_started",
        "run.started",
        "run.ended",
        "session.turn_ended",
        "task.done",
    ];
    assert_eq!(house.event_types().await, expected);
}

#[tokio::test]
async fn the_session_follows_its_run_from_working_to_completed() {
    let house = bed().open_with_alice().await;
    let run = house.begin(sh("echo up; read line")).await;
    house.printed(run, "up").await;
    let row = house.ended(run).await;
    let session = session::get(house.tenant.space(), row.run.session.unwrap())
        .await
        .unwrap()
        .unwrap();
    let display = session.display(row.outcome.as_ref().unwrap().ended_at).unwrap();
    assert_eq!(display.name(), "error", "read at end of file fails: exit 1");
    assert_eq!(session.state.turn.number, 1);
}

#[tokio::test]
async fn an_exit_code_fails_the_run_and_the_task_waits_for_its_next_try() {
    let house = bed().open_with_alice().await;
    let row = house.run(sh("exit 3")).await;
    let Outcome::Failed {
        reason: FailReason::Exit,
        permanent: false,
        message,
        ..
    } = outcome(&row)
    else {
        panic!("{row:?}")
    };
    assert_eq!(message.as_str(), "exited with code 3");
    assert!(matches!(house.task_state(&row).await, TaskState::Waiting { .. }));
}

#[tokio::test]
async fn a_program_that_is_not_there_fails_for_good_with_a_hint() {
    let house = bed().open_with_alice().await;
    let row = house.run(CommandSpec::new(vec!["no-such-program".into()])).await;
    let Outcome::Failed {
        reason: FailReason::Spawn,
        permanent: true,
        message,
        ..
    } = outcome(&row)
    else {
        panic!("{row:?}")
    };
    assert!(
        message.as_str().contains("`no-such-program` was not found"),
        "{message}"
    );
    assert!(matches!(house.task_state(&row).await, TaskState::Failed { .. }));
}

#[tokio::test]
async fn the_wall_clock_ends_the_whole_tree() {
    let house = bed().open_with_alice().await;
    let mark = unique_sleep();
    let command = CommandSpec {
        wall_clock_ms: Some(1000),
        ..sh(&format!("sleep {mark} & setsid sleep {mark} & echo up; wait"))
    };
    let row = house.run(command).await;
    assert_eq!(outcome(&row), wall_timeout(1000));
    assert!(!is_running(&mark), "no sleep survives");
    assert!(matches!(house.task_state(&row).await, TaskState::Failed { .. }));
}

/// An argument of `sleep` that no other process has: five minutes, and a little more that is this one's own.
fn unique_sleep() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("300.{}{count:03}", std::process::id())
}

/// Whether any process has this word among its arguments.
fn is_running(word: &str) -> bool {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .any(|line| {
            line.split(|b| *b == 0)
                .any(|argument| argument == word.as_bytes())
        })
}

#[tokio::test]
async fn a_cancelled_run_ends_cancelled_with_the_reason_and_its_task_too() {
    let house = bed().open_with_alice().await;
    let run = house.begin(sh("echo up; sleep 300")).await;
    house.printed(run, "up").await;
    house
        .supervisor
        .cancel(
            &house.tenant,
            &operator(),
            run,
            Force::Cooperative,
            Some("enough"),
        )
        .await
        .unwrap();
    let row = house.ended(run).await;
    let Outcome::Cancelled {
        by: CancelledBy::Principal,
        reason: Some(reason),
    } = outcome(&row)
    else {
        panic!("{row:?}")
    };
    assert_eq!(reason.as_str(), "enough");
    assert!(matches!(house.task_state(&row).await, TaskState::Cancelled));
}

#[tokio::test]
async fn a_worker_that_ignores_the_stop_is_killed_when_its_grace_is_over_or_at_once_by_force() {
    let house = bed().open_with_alice().await;
    let stubborn = "trap '' TERM INT; echo up; while :; do sleep 1; done";
    for (force, grace_ms) in [(Force::Cooperative, 300), (Force::Kill, 60_000)] {
        let run = house
            .begin(CommandSpec {
                grace_ms: Some(grace_ms),
                ..sh(stubborn)
            })
            .await;
        house.printed(run, "up").await;
        house
            .supervisor
            .cancel(&house.tenant, &operator(), run, force, None)
            .await
            .unwrap();
        let row = tokio::time::timeout(Duration::from_secs(20), house.ended(run))
            .await
            .expect("long before its grace");
        assert!(matches!(outcome(&row), Outcome::Cancelled { .. }), "{row:?}");
    }
}

#[tokio::test]
async fn a_shutdown_ends_every_run_as_cancelled_by_it() {
    let house = bed().open_with_alice().await;
    let run = house.begin(sh("echo up; sleep 300")).await;
    house.printed(run, "up").await;
    house.supervisor.shutdown().await;
    let row = house.tenant.runs.get(run).await.unwrap();
    assert_eq!(cancelled_by(&row), Some(CancelledBy::Shutdown), "{row:?}");
}

#[tokio::test]
async fn a_task_that_was_claimed_is_refused_to_a_second_start() {
    let house = bed().open_with_alice().await;
    let run = house.begin(sh("echo up; sleep 300")).await;
    let task = house.tenant.runs.get(run).await.unwrap().run.task.unwrap();
    let refused = house
        .supervisor
        .start(&house.tenant, &operator(), task)
        .await
        .unwrap_err();
    assert!(matches!(refused, CommandError::Rejected { .. }), "{refused}");
    house.supervisor.shutdown().await;
}

#[tokio::test]
async fn a_second_attempt_keeps_the_session_and_begins_its_next_turn() {
    let house = bed().open_with_alice().await;
    let first = house.run(sh("exit 3")).await;
    let task = first.run.task.unwrap();
    house
        .tenant
        .tasks
        .retry(&operator(), task, dormouse_engine::task::Steps::Kept)
        .await
        .unwrap();
    let run = house
        .supervisor
        .start(&house.tenant, &operator(), task)
        .await
        .unwrap();
    let second = house.ended(run).await;
    assert_eq!((second.run.session, second.run.attempt), (first.run.session, 2));
    let session = session::get(house.tenant.space(), second.run.session.unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(session.state.turn.number, 2);
}

/// The owner tasks are dropped where they stand, as the death of their process would; nothing is finished.
fn vanish(bed: &Bed, script: &str) -> RunId {
    vanish_after(bed, script, async || {})
}

/// The same, once this was done.
fn vanish_after(bed: &Bed, script: &str, done: impl AsyncFnOnce()) -> RunId {
    let former = tokio::runtime::Runtime::new().unwrap();
    let run = former.block_on(async {
        let house = bed.open_with_alice().await;
        let run = house.begin(sh(script)).await;
        house.printed(run, "up").await;
        done().await;
        run
    });
    former.shutdown_background();
    run
}

#[test]
fn what_a_vanished_holder_left_is_ended_once_and_its_processes_are_gone() {
    let bed = bed();
    let mark = unique_sleep();
    let run = vanish(&bed, &format!("echo up; sleep {mark}"));
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let house = bed.open().await;
        let recovery = house.engine.recover(&SystemOrphans).await.unwrap();
        assert_eq!(
            (recovery.ended.len(), recovery.left.len()),
            (1, 0),
            "{recovery:?}"
        );
        assert!(!is_running(&mark), "its sleep is dead before its run is lost");
        let row = house.tenant.runs.get(run).await.unwrap();
        assert!(matches!(outcome(&row), Outcome::Lost { .. }), "{row:?}");
        assert!(
            matches!(house.task_state(&row).await, TaskState::Failed { .. }),
            "an opaque command is not run again"
        );
        assert!(house.engine.recover(&SystemOrphans).await.unwrap().is_empty());
    });
}

/// The keepers of this process that own a worker with this word among its arguments.
fn keeper_of(word: &str) -> Option<i32> {
    let parent_of = |pid: i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit(')')
            .next()?
            .split_whitespace()
            .nth(1)?
            .parse::<i32>()
            .ok()
    };
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let worker = pids.into_iter().find(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|b| *b == 0)
            .any(|argument| argument == word.as_bytes())
    })?;
    std::iter::successors(Some(worker), |pid| parent_of(*pid)).find(|pid| {
        std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.ends_with(b"__keeper\0"))
    })
}

/// The keeper of the worker with this word among its arguments, which stands still now.
async fn stopped_keeper(word: &str) -> rustix::process::Pid {
    let mut keeper = None;
    // Its shell has said that it is up a little before its sleep has its name.
    until("its worker has a keeper", async || {
        keeper = keeper_of(word);
        keeper.is_some()
    })
    .await;
    let keeper = rustix::process::Pid::from_raw(keeper.unwrap()).unwrap();
    rustix::process::kill_process(keeper, rustix::process::Signal::STOP).unwrap();
    keeper
}

#[tokio::test]
async fn a_keeper_that_stands_still_is_ended_by_its_row_after_the_stop() {
    let house = bed().open_with_alice().await;
    let mark = unique_sleep();
    let run = house
        .begin(CommandSpec {
            grace_ms: Some(0),
            ..sh(&format!("echo up; exec sleep {mark}"))
        })
        .await;
    house.printed(run, "up").await;
    stopped_keeper(&mark).await;
    house
        .supervisor
        .cancel(&house.tenant, &operator(), run, Force::Cooperative, None)
        .await
        .unwrap();
    let row = tokio::time::timeout(Duration::from_secs(40), house.ended(run))
        .await
        .expect("it does not wait for ever");
    assert!(matches!(outcome(&row), Outcome::Cancelled { .. }), "{row:?}");
    assert!(!is_running(&mark));
}

#[tokio::test]
async fn a_start_whose_asker_goes_away_is_claimed_with_an_owner_or_not_at_all() {
    let house = bed().open_with_alice().await;
    for polls in 0..40_u32 {
        let task = NewTask {
            command: Some(sh("true")),
            ..NewTask::new(alice(), "a task")
        };
        let task = house.tenant.tasks.create(&operator(), task).await.unwrap().id;
        {
            let asker = operator();
            let mut start = std::pin::pin!(house.supervisor.start(&house.tenant, &asker, task));
            for _ in 0..polls {
                if futures::poll!(start.as_mut()).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        house.supervisor.shutdown().await;
        let state = house.tenant.tasks.get(task).await.unwrap().state.clone();
        assert_ne!(state, TaskState::Running, "after {polls} polls");
    }
}

#[tokio::test]
async fn a_machine_that_was_asleep_longer_than_a_lease_lives_ends_no_run() {
    let bed = bed();
    let house = bed.open_with_alice().await;
    let run = house.begin(sh("echo up; sleep 0.5")).await;
    house.printed(run, "up").await;
    bed.clock.0.store(3600, Ordering::Relaxed);
    let row = house.ended(run).await;
    assert!(matches!(outcome(&row), Outcome::Success { .. }), "{row:?}");
}

/// Long enough, and with nothing that an id has.
const VALUE: &str = "kR7-wombat-sleeps+9Zx";

impl House {
    /// A vault, and this secret of alice.
    async fn with_secret(&self, name: &str) {
        let call = self.tenant.credentials.call(&operator());
        if self.engine.vault().state().await.unwrap() == dormouse_secrets::VaultState::Absent {
            self.engine.vault().enable(&call, &*key()).await.unwrap();
        }
        let at = format!("agent:alice:{name}").parse().unwrap();
        let value = Secret::new(VALUE.as_bytes().to_vec());
        let secrets = self.tenant.credentials.secrets();
        secrets
            .put(
                &call,
                &at,
                &value,
                SecretCategory::Tool,
                &PutMeta::default(),
                Expect::Any,
            )
            .await
            .unwrap();
    }

    /// How the credential sessions of a run are.
    async fn lent(&self, run: RunId) -> Vec<(LeaseStatus, Option<Cause>)> {
        let secrets = self.tenant.credentials.secrets();
        let sessions = secrets.sessions_of(&run.to_string()).await.unwrap();
        sessions
            .iter()
            .map(|session| (session.status, session.cause))
            .collect()
    }
}

#[tokio::test]
async fn what_a_worker_was_lent_is_taken_back_whichever_way_it_ends() {
    let house = bed().open_with_alice().await;
    house.with_secret("GH_TOKEN").await;
    let taken_back = [(LeaseStatus::Revoked, Some(Cause::Holder))];
    for (script, wall_clock_ms) in [
        ("true", 60_000),
        ("exit 3", 60_000),
        ("kill -9 $$", 60_000),
        ("sleep 60", 1_000),
    ] {
        let command = CommandSpec {
            wall_clock_ms: Some(wall_clock_ms),
            ..sh(script)
        };
        let row = house.run(command).await;
        assert_eq!(house.lent(row.run.id).await, taken_back, "{script}");
    }
    let run = house.begin(sh("echo up; sleep 60")).await;
    house.printed(run, "up").await;
    assert_eq!(house.lent(run).await, [(LeaseStatus::Active, None)]);
    house
        .supervisor
        .cancel(&house.tenant, &operator(), run, Force::Cooperative, Some(VALUE))
        .await
        .unwrap();
    let row = house.ended(run).await;
    assert_eq!(house.lent(run).await, taken_back);
    let Outcome::Cancelled { reason, .. } = outcome(&row) else {
        panic!("{row:?}")
    };
    assert_eq!(reason.unwrap().as_str(), "[redacted:GH_TOKEN]");
    // One that never ran was lent nothing.
    let row = house.run(CommandSpec::new(vec!["no-such-program".into()])).await;
    assert_eq!(house.lent(row.run.id).await, []);
}

#[tokio::test]
async fn a_worker_prints_no_value_and_its_texts_have_none() {
    let house = bed().open_with_alice().await;
    house.with_secret("GH_TOKEN").await;
    let script = "echo $GH_TOKEN; printf %s \"$GH_TOKEN\" | base64 >&2; printf %s \"$GH_TOKEN\"";
    let row = house.run(sh(script)).await;
    let text = house.transcript(row.run.id).await;
    assert_eq!(text.matches("[redacted:GH_TOKEN]").count(), 3, "{text}");
    let program = format!("./{VALUE}");
    let row = house.run(CommandSpec::new(vec![program])).await;
    let Outcome::Failed { message, .. } = outcome(&row) else {
        panic!("{row:?}")
    };
    assert!(message.as_str().contains("[redacted:GH_TOKEN]"), "{message}");
}

#[tokio::test]
async fn a_value_that_was_replaced_between_two_spawns_of_a_task_is_the_new_one() {
    let house = bed().open_with_alice().await;
    house.with_secret("ONE").await;
    let first = house.run(sh("echo ${TWO:-none}")).await;
    assert_eq!(house.transcript(first.run.id).await, "none\n");
    house.with_secret("TWO").await;
    let second = house.run(sh("test -n \"$TWO\" && echo there")).await;
    assert_eq!(house.transcript(second.run.id).await, "there\n");
}
