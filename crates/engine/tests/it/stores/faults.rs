//! A fault at each operation of the store that a command makes, of every kind that can be: the command answers with a
//! typed error or does what it is to do, the next call works, and what was done was done once.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dormouse_engine::agent::AgentConfig;
use dormouse_engine::budget::{AccountPath, Chain, Dimension, Reserve, Setting};
use dormouse_engine::run::{ClaimOptions, Claimed, StopReason};
use dormouse_engine::task::{NewTask, Start, Steps, Task, TaskEdit};
use dormouse_engine::thread::{
    Append, Arrival, MessageAt, MessageKind, NewMessage, NewSummary, NewThread, Thread, WhenBusy,
};
use dormouse_engine::wake::NewWake;
use dormouse_engine::{AgentName, CommandError, Engine, HoldId, Tenant, TenantId, WakeId};
use dormouse_filesystem::RecordStore;
use dormouse_filesystem::wrapper::{Fault, FaultKind, Operation};
use futures::future::BoxFuture;

use super::budgets::tokens;
use super::house::{House, facts, failed, name, operator, success};

super::on_every_store! {
    a_fault_at_the_first_read_or_commit_leaves_every_command_working;
}

/// The same at every operation.
#[tokio::test]
async fn a_fault_at_each_operation_leaves_every_command_working() {
    every_command(House::in_memory().await, usize::MAX, COMMANDS).await;
}

async fn a_fault_at_the_first_read_or_commit_leaves_every_command_working(house: House) {
    every_command(house, 1, COMMANDS).await;
}

/// Each command once, with nothing in its way.
pub(super) async fn each_command_once(house: House) {
    each_once(&house, COMMANDS).await;
}

pub(super) async fn each_once<W: Prepared>(house: &House, commands: &[Command<W>]) {
    for (nth, (command, call)) in commands.iter().enumerate() {
        let world = W::new(&house.engine, nth, command).await;
        let answer = call(&world).await;
        answer.unwrap_or_else(|error| panic!("{command}: {error:?}"));
    }
}

/// What there is when one of these commands is asked for.
pub(super) trait Prepared: Sized {
    /// What this one needs, in a tenant of its own.
    async fn new(engine: &Engine, nth: usize, command: &str) -> Self;

    fn tenant(&self) -> &Tenant;

    /// Whether a row was written as none that can be believed, for a command to find it.
    fn is_planted(_id: &str) -> bool {
        false
    }
}

/// What there is when a command is asked for.
struct World {
    tenant: Tenant,
    alice: AgentName,
    bob: AgentName,
    backlog: Task,
    pending: Task,
    ready: Task,
    ended: Task,
    claimed: Claimed,
    thread: Thread,
    accepted: MessageAt,
    said: MessageAt,
    chain: Chain,
    hold: HoldId,
    wake: WakeId,
}

impl Prepared for World {
    fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    async fn new(engine: &Engine, nth: usize, _: &str) -> Self {
        let tenant: TenantId = format!("tenant-{nth}").parse().unwrap();
        let tenant = engine.tenant(&tenant).await.unwrap();
        let (by, alice, bob) = (operator(), name("alice"), name("bob"));
        let config = AgentConfig {
            concurrency: 9,
            delegates_to: vec![bob.clone()],
            ..AgentConfig::default()
        };
        let agent = tenant.agents.create(&by, &alice, config).await.unwrap();
        tenant
            .agents
            .create(&by, &bob, AgentConfig::default())
            .await
            .unwrap();
        let task = async |title: &str, start| {
            let new = NewTask {
                start,
                ..NewTask::new(alice.clone(), title)
            };
            tenant.tasks.create(&by, new).await.unwrap()
        };
        let (backlog, pending) = (
            task("later", Start::Backlog).await,
            task("perhaps", Start::PendingApproval).await,
        );
        let (ready, ended) = (
            task("now", Start::Ready).await,
            task("before", Start::Ready).await,
        );
        let running = task("meanwhile", Start::Ready).await;
        let claim = async |task: &Task| {
            let options = ClaimOptions::default();
            tenant.runs.claim(&by, task.id, options).await.unwrap()
        };
        let over = claim(&ended).await;
        tenant.runs.finish(&over, &failed(true), &facts()).await.unwrap();
        let claimed = claim(&running).await;
        let limit = Setting {
            limits: vec![(Dimension::InputTokens, Some(100))],
            ..Setting::default()
        };
        let path = AccountPath::Agent(alice.clone());
        tenant.budgets.set(&by, &path, &limit).await.unwrap();
        let chain = Chain::of_agent(&alice, agent.incarnation);
        let wanted = reserve(&chain);
        let hold = tenant.budgets.reserve(&by, &wanted).await.unwrap().hold.unwrap();
        let thread = tenant
            .threads
            .create(&by, &NewThread::new(alice.clone()))
            .await
            .unwrap();
        let append = async |append: Append| {
            let appended = tenant.threads.append(&by, thread.id, &append).await.unwrap();
            MessageAt {
                thread: appended.thread,
                sequence: appended.sequence,
            }
        };
        let accepted = append(Append {
            arrival: Arrival::Accept,
            ..Append::submit(NewMessage::user("wait for it"))
        })
        .await;
        let said = append(note()).await;
        let wake = tenant.wakes.add(&by, wake_of(&alice)).await.unwrap().0.id;
        Self {
            tenant,
            alice,
            bob,
            backlog,
            pending,
            ready,
            ended,
            claimed,
            thread,
            accepted,
            said,
            chain,
            hold,
            wake,
        }
    }
}

fn reserve(chain: &Chain) -> Reserve {
    Reserve {
        hold: None,
        chain: chain.clone(),
        estimate: tokens(3),
        is_in_flight: false,
    }
}

/// One far ahead.
fn wake_of(agent: &AgentName) -> NewWake {
    NewWake {
        agent: agent.clone(),
        due: "2026-03-02T12:00:00Z".parse().unwrap(),
        reason: "look at the mail".to_owned(),
        command: None,
    }
}

fn note() -> Append {
    Append::note(NewMessage {
        kind: MessageKind::System,
        ..NewMessage::user("so it is")
    })
}

pub(super) type Answered<'w> = BoxFuture<'w, Result<(), CommandError>>;
pub(super) type Command<W> = (&'static str, for<'w> fn(&'w W) -> Answered<'w>);

/// The errors of stores and commands among those of a service.
pub(super) trait OfCommand {
    fn of_command(self) -> CommandError;
}

impl OfCommand for CommandError {
    fn of_command(self) -> CommandError {
        self
    }
}

macro_rules! commands {
    ($world:ident: $($name:literal => $call:expr;)*) => {
        &[$(($name, |$world| {
            use $crate::stores::faults::OfCommand as _;
            let asked = async move { $call.await.map(drop).map_err(|error| error.of_command()) };
            futures::FutureExt::boxed(asked)
        })),*]
    };
}
pub(super) use commands;

/// Every command of these services, by its service and name.
const COMMANDS: &[Command<World>] = commands! { w:
    "agent::create" => w.tenant.agents.create(&operator(), &name("carol"), AgentConfig::default());
    "agent::configure" => w.tenant.agents.configure(&operator(), &w.alice, |config| config.concurrency = 3);
    "agent::pause" => w.tenant.agents.pause(&operator(), &w.alice, None);
    "agent::resume" => w.tenant.agents.resume(&operator(), &w.alice);
    "agent::stop_runs" => w.tenant.agents.stop_runs(&operator(), &w.alice);
    "task::create" => w.tenant.tasks.create(&operator(), NewTask::new(w.bob.clone(), "another"));
    "task::cancel" => w.tenant.tasks.cancel(&operator(), w.ready.id, None);
    "task::retry" => w.tenant.tasks.retry(&operator(), w.ended.id, Steps::Kept);
    "task::approve" => w.tenant.tasks.approve(&operator(), w.pending.id);
    "task::refuse" => w.tenant.tasks.refuse(&operator(), w.pending.id);
    "task::shelve" => w.tenant.tasks.shelve(&operator(), w.ready.id);
    "task::enqueue" => w.tenant.tasks.enqueue(&operator(), w.backlog.id);
    "task::due" => w.tenant.tasks.due(&operator(), w.ready.id);
    "task::edit" => w.tenant.tasks.edit(&operator(), w.ready.id, edit());
    "task::assign" => w.tenant.tasks.assign(&operator(), w.ready.id, &w.bob);
    "task::delete" => w.tenant.tasks.delete(&operator(), w.ready.id);
    "delegation::delegate" => w.tenant.delegations.delegate(
        &operator(), w.claimed.run.id, NewTask::new(w.bob.clone(), "yours"));
    "run::claim" => w.tenant.runs.claim(&operator(), w.ready.id, ClaimOptions::default());
    "run::claim_next" => w.tenant.runs.claim_next(&operator(), &w.alice, None);
    "run::started" => w.tenant.runs.started(&w.claimed, None);
    "run::heartbeat" => w.tenant.runs.heartbeat(&w.claimed, None);
    "run::stopping" => w.tenant.runs.stopping(&w.claimed, &StopReason::Cancel { by: operator(), reason: None });
    "run::finish" => w.tenant.runs.finish(&w.claimed, &success(), &facts());
    "thread::create" => w.tenant.threads.create(&operator(), &NewThread::new(w.bob.clone()));
    "thread::append" => append(w);
    "thread::send" => w.tenant.threads.send(&operator(), w.accepted, WhenBusy::Queue);
    "thread::summarise" => summarise(w);
    "thread::supersede" => w.tenant.threads.supersede(&operator(), w.said, w.accepted.sequence);
    "thread::redact" => w.tenant.threads.redact(&operator(), w.said);
    "thread::delete_message" => w.tenant.threads.delete_message(&operator(), w.said);
    "thread::close" => w.tenant.threads.close(&operator(), w.thread.id);
    "thread::delete" => w.tenant.threads.delete(&operator(), w.thread.id);
    "wake::add" => w.tenant.wakes.add(&operator(), wake_of(&w.bob));
    "wake::cancel" => w.tenant.wakes.cancel(&operator(), w.wake);
    "budget::set" => set(w);
    "budget::reserve" => reserved(w);
    "budget::grow" => w.tenant.budgets.grow(&operator(), w.hold, more());
    "budget::meter" => w.tenant.budgets.meter(&operator(), w.hold, more());
    "budget::reconcile" => w.tenant.budgets.reconcile(&operator(), w.hold, more());
    "budget::release" => w.tenant.budgets.release(&operator(), w.hold);
};

/// Those that are proven elsewhere, or not yet.
const ELSEWHERE: &[&str] = &[
    // As `configure`.
    "agent::configure_at",
    // Faulted at each commit by `agents_removal`: what follows goes on in the background.
    "agent::delete",
    // As `append`.
    "thread::append_once",
    // Of the commands of gates.
    "delegation::consume",
    "delegation::abandon",
];

static MORE: std::sync::LazyLock<dormouse_engine::budget::Amounts> = std::sync::LazyLock::new(|| tokens(2));

fn more() -> &'static dormouse_engine::budget::Amounts {
    &MORE
}

fn edit() -> &'static TaskEdit {
    static EDIT: std::sync::LazyLock<TaskEdit> = std::sync::LazyLock::new(|| TaskEdit {
        title: Some("then".to_owned()),
        ..TaskEdit::default()
    });
    &EDIT
}

async fn append(w: &World) -> Result<(), CommandError> {
    let append = Append::submit(NewMessage::user("hello"));
    w.tenant
        .threads
        .append(&operator(), w.thread.id, &append)
        .await
        .map(drop)
}

async fn summarise(w: &World) -> Result<(), CommandError> {
    let new = NewSummary {
        incarnation: w.thread.incarnation,
        covers: vec![w.said.sequence],
        replaces: Vec::new(),
        text: "in short".to_owned(),
    };
    w.tenant
        .threads
        .summarise(&operator(), w.thread.id, &new)
        .await
        .map(drop)
}

async fn set(w: &World) -> Result<(), CommandError> {
    let setting = Setting {
        limits: vec![(Dimension::OutputTokens, Some(7))],
        ..Setting::default()
    };
    let path = AccountPath::Agent(w.alice.clone());
    w.tenant.budgets.set(&operator(), &path, &setting).await.map(drop)
}

async fn reserved(w: &World) -> Result<(), CommandError> {
    w.tenant
        .budgets
        .reserve(&operator(), &reserve(&w.chain))
        .await
        .map(drop)
}

pub(super) const OPERATIONS: [Operation; 7] = [
    Operation::Get,
    Operation::GetMany,
    Operation::List,
    Operation::ListMany,
    Operation::Commit,
    Operation::Tail,
    Operation::Head,
];

pub(super) const FAULTS: [FaultKind; 5] = [
    FaultKind::Refuse,
    FaultKind::Damage,
    FaultKind::Conflict,
    FaultKind::LoseBefore,
    FaultKind::LoseAfter,
];

/// What happens where a commit takes as long as a disk or a server does.
const FEW: [(Operation, FaultKind); 3] = [
    (Operation::Get, FaultKind::Damage),
    (Operation::Commit, FaultKind::Conflict),
    (Operation::Commit, FaultKind::LoseAfter),
];

/// The classes of errors that may come of a fault that happens once.
pub(super) fn may_answer(fault: FaultKind, code: &str) -> bool {
    match fault {
        FaultKind::Refuse => matches!(code, "unavailable" | "contended"),
        FaultKind::Damage => code == "corrupt",
        FaultKind::Conflict => code == "contended",
        FaultKind::LoseBefore | FaultKind::LoseAfter => code == "indeterminate",
        FaultKind::Delay(_) | FaultKind::Hang | FaultKind::LoseHints => false,
    }
}

pub(super) type Store = Arc<Fault<Arc<dyn RecordStore>>>;

/// Asks for each command with a fault at each of the first operations of each kind.
pub(super) async fn every_command<W: Prepared>(house: House, most: usize, commands: &[Command<W>]) {
    let (engine, store) = house.faulty().await;
    let mut nth = 0;
    for command in commands {
        let world = W::new(&engine, nth, command.0).await;
        nth += 1;
        (command.1)(&world)
            .await
            .unwrap_or_else(|error| panic!("{}: {error:?}", command.0));
        let wanted = told(&world).await;
        for operation in OPERATIONS {
            let is_few = most == 1;
            let happens = |fault: &FaultKind| {
                fault.applies_to(operation) && (!is_few || FEW.contains(&(operation, *fault)))
            };
            for fault in FAULTS.into_iter().filter(happens) {
                for before in 0..most {
                    let world = W::new(&engine, nth, command.0).await;
                    nth += 1;
                    if !meets(&store, &world, *command, (operation, before, fault), &wanted).await {
                        break;
                    }
                }
            }
        }
    }
    let mut bad = engine.check_records(false).await.unwrap().bad;
    bad.retain(|found| !W::is_planted(&found.id));
    assert_eq!(bad, [], "every row is legal");
    assert!(nth > commands.len() * 3, "faults were met");
}

/// Whether the command met the fault.
async fn meets<W: Prepared>(
    store: &Store,
    world: &W,
    (command, call): Command<W>,
    (operation, before, fault): (Operation, usize, FaultKind),
    wanted: &[String],
) -> bool {
    let met = store.met();
    for _ in 0..before {
        store.next(operation, FaultKind::Delay(Duration::ZERO));
    }
    store.next(operation, fault);
    let answer = call(world).await;
    let is_met = store.met() > met + before as u64;
    store.forget();
    let place = format!("{command}: {fault:?} at {operation:?} {before}");
    if let Err(error) = &answer {
        assert!(is_met && may_answer(fault, error.code()), "{place}: {error:?}");
        let again = call(world).await;
        assert!(again.is_ok(), "{place}, and then again: {again:?}");
    }
    assert_eq!(told(world).await, wanted, "{place}: each once");
    is_met
}

/// The types of a tenant's events.
async fn told<W: Prepared>(world: &W) -> Vec<String> {
    let events = &world.tenant().events;
    let page = events
        .read_after(dormouse_filesystem::Position::START, 1000)
        .await
        .unwrap();
    page.events.into_iter().map(|at| at.event.kind).collect()
}

/// A command that is added to one of these services is faulted too, or said to be elsewhere.
#[test]
fn every_command_is_in_the_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let services = [
        ("agent", "agent/service.rs"),
        ("task", "task/service.rs"),
        ("delegation", "task/delegations.rs"),
        ("thread", "thread/service.rs"),
        ("wake", "wake/timed/service.rs"),
        ("budget", "budget/service.rs"),
    ];
    let mut declared = BTreeSet::new();
    for (service, file) in services {
        let source = std::fs::read_to_string(root.join(file)).unwrap();
        for part in source.split("    pub async fn ").skip(1) {
            let signature = part.split('{').next().unwrap();
            if signature.contains("by: &Principal") {
                let name = signature.split(['(', '<']).next().unwrap();
                declared.insert(format!("{service}::{name}"));
            }
        }
    }
    let listed = COMMANDS
        .iter()
        .map(|(name, _)| *name)
        .chain(ELSEWHERE.iter().copied());
    let listed: BTreeSet<String> = listed.map(str::to_owned).collect();
    let missing: Vec<&String> = declared.difference(&listed).collect();
    assert!(
        declared.len() > 25 && missing.is_empty(),
        "not faulted: {missing:?}"
    );
}
