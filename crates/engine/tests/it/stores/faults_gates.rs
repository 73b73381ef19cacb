//! A fault at each operation of the store that a command of gates, capabilities, sessions, sinks, delegations, parking or
//! rows set aside makes: as [`faults`](super::faults) says of the others.

use std::time::Duration;

use dormouse_engine::agent::AgentConfig;
use dormouse_engine::capability::{Action, CapabilityEnd, CapabilityError};
use dormouse_engine::gate::{Call, Caller, Decide, Gate, GateError, NewGate, Reply, Scope, SeenIn, Surface};
use dormouse_engine::relay::{DeadLetter, RelayCursor, SinkState};
use dormouse_engine::run::{ClaimOptions, Claimed, RunWait};
use dormouse_engine::session::NewSession;
use dormouse_engine::task::NewTask;
use dormouse_engine::thread::{Append, NewMessage, NewThread};
use dormouse_engine::{
    CommandError, Engine, GateId, OpId, PrefixedId, SessionId, SinkName, Subject, TaskId, Tenant, TenantId,
    ThreadId,
};
use dormouse_filesystem::{
    BadRowId, BadStore, Class, Digest, IndexEntry, NoIndexes, Position, Record, RecordKind, Records,
};
use dormouse_secrets::{Scrubbed, Scrubber};
use dormouse_state::{
    Command as SessionCommand, EndReason, Evidence, Invalidation, Mode, Position as At, SourceId,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::faults::{Command, OfCommand, Prepared, commands, each_once, every_command};
use super::gates::{call_of, yes};
use super::house::{House, facts, name, operator, success};

super::on_every_store! {
    /// Part of case 14 of the page, with those of the other services in `faults` and all operations in memory.
    a_fault_at_the_first_read_or_commit_leaves_these_working_too;
}

/// The same at every operation.
#[tokio::test]
async fn a_fault_at_each_operation_leaves_these_working_too() {
    every_command(House::in_memory().await, usize::MAX, COMMANDS).await;
}

async fn a_fault_at_the_first_read_or_commit_leaves_these_working_too(house: House) {
    every_command(house, 1, COMMANDS).await;
}

/// Each command once, with nothing in its way.
pub(super) async fn each_command_once(house: House) {
    each_once(&house, COMMANDS).await;
}

impl OfCommand for GateError {
    fn of_command(self) -> CommandError {
        match self {
            Self::Command(error) => error,
            other => panic!("{other:?}"),
        }
    }
}

impl OfCommand for CapabilityError {
    fn of_command(self) -> CommandError {
        match self {
            Self::Command(error) => error,
            other => panic!("{other:?}"),
        }
    }
}

/// Running a command, once it is approved.
#[derive(Debug)]
struct Bash;

impl Action for Bash {
    fn call(&self) -> Call {
        call_of("{}")
    }
}

/// A thread as no build writes one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct NoThread {
    id: ThreadId,
}

impl Record for NoThread {
    type Scope = dormouse_filesystem::Tenant;
    type Id = ThreadId;
    type Index = NoIndexes;
    const KIND: RecordKind = RecordKind::of("thread");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> ThreadId {
        self.id
    }

    fn index_entries(&self) -> Vec<IndexEntry<NoIndexes>> {
        Vec::new()
    }
}

/// What there is when a command is asked for: what that one needs.
struct World {
    tenant: Tenant,
    /// A run at work.
    claimed: Option<Claimed>,
    /// What it asked.
    gate: Option<Gate>,
    /// What is decided of that.
    decide: Option<Decide>,
    /// A session without a run.
    session: Option<SessionId>,
    sink: SinkName,
    /// What the run gave away.
    given: Option<TaskId>,
    /// A row that was set aside.
    aside: Option<BadRowId>,
}

impl World {
    fn claimed(&self) -> &Claimed {
        self.claimed.as_ref().unwrap()
    }

    fn gate(&self) -> GateId {
        self.gate.as_ref().unwrap().id
    }

    fn digest(&self) -> Digest {
        self.gate.as_ref().unwrap().digest
    }

    /// A run at work, which asks.
    async fn asks(&mut self, engine: &Engine, offers_session: bool) {
        let claimed = at_work(&self.tenant, engine).await;
        let mut new = question(&claimed, "asked");
        if offers_session {
            (new.reply, new.offers_session) = (Reply::Acp, true);
            new.session = claimed.run.session.map(seen_in);
        }
        let opened = self
            .tenant
            .gates
            .open(&operator(), &new, &Scrubber::empty())
            .await;
        (self.claimed, self.gate) = (Some(claimed), Some(opened.unwrap().gate));
    }

    /// What it asked is approved.
    async fn is_approved(&mut self, scope: Scope) {
        let decide = decide(&self.tenant, self.gate.as_ref().unwrap(), scope).await;
        self.gate = Some(self.tenant.gates.decide(&operator(), &decide).await.unwrap());
    }

    /// And the run has it in hand.
    async fn is_in_hand(&self) {
        let (capabilities, claimed) = (&self.tenant.capabilities, self.claimed());
        capabilities
            .claim(self.gate(), self.digest(), claimed)
            .await
            .unwrap();
    }

    /// A turn of a thread that gave a task away.
    async fn gives(&mut self) {
        let (tenant, by) = (&self.tenant, operator());
        let thread = tenant
            .threads
            .create(&by, &NewThread::new(name("alice")))
            .await
            .unwrap();
        let question = Append::submit(NewMessage::user("do it"));
        let turn = tenant.threads.append(&by, thread.id, &question).await.unwrap();
        let options = ClaimOptions::default();
        let parent = tenant.runs.claim(&by, turn.task.unwrap(), options).await.unwrap();
        let new = NewTask::new(name("alice"), "do it");
        let given = tenant
            .delegations
            .delegate(&by, parent.run.id, new)
            .await
            .unwrap();
        (self.claimed, self.given) = (Some(parent), Some(given.task.id));
    }

    /// Which is done, and told to it.
    async fn is_delivered(&self, engine: &Engine) {
        let runs = &self.tenant.runs;
        let options = ClaimOptions::default();
        let child = runs
            .claim(&operator(), self.given.unwrap(), options)
            .await
            .unwrap();
        runs.finish(&child, &success(), &facts()).await.unwrap();
        engine.settle_once().await.unwrap();
    }

    /// A thread that cannot be believed was used.
    async fn has_set_aside(&mut self) {
        let (tenant, id) = (&self.tenant, no_thread());
        let rows = Records::<NoThread>::new(tenant.space());
        rows.create(&NoThread { id }).await.unwrap();
        let append = Append::submit(NewMessage::user("hello"));
        let refused = tenant.threads.append(&operator(), id, &append).await;
        assert_eq!(refused.unwrap_err().code(), "corrupt");
        let kept = tenant.bad.list(BadStore::Quarantine, None, 10).await.unwrap();
        let [row] = &kept.rows[..] else { panic!("{kept:?}") };
        self.aside = Some(row.id.clone());
    }

    async fn has_session(&mut self) -> SessionId {
        let new = NewSession::new(name("alice"));
        let session = self
            .tenant
            .sessions
            .create(&operator(), &new)
            .await
            .unwrap()
            .session;
        self.session = Some(session);
        session
    }
}

/// The id of a thread that cannot be believed.
fn no_thread() -> ThreadId {
    ThreadId::make(Timestamp::UNIX_EPOCH, &dormouse_engine::Random::seeded(7))
}

impl Prepared for World {
    fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// What is thrown away is the copy that was set aside: the thread stays as it is.
    fn is_planted(id: &str) -> bool {
        id == no_thread().to_string()
    }

    async fn new(engine: &Engine, nth: usize, command: &str) -> Self {
        let tenant: TenantId = format!("gates-{nth}").parse().unwrap();
        let tenant = engine.tenant(&tenant).await.unwrap();
        let config = AgentConfig {
            concurrency: 9,
            ..AgentConfig::default()
        };
        tenant
            .agents
            .create(&operator(), &name("alice"), config)
            .await
            .unwrap();
        let mut world = Self {
            tenant,
            claimed: None,
            gate: None,
            decide: None,
            session: None,
            sink: "book".parse().unwrap(),
            given: None,
            aside: None,
        };
        match command {
            "bad::discard" => world.has_set_aside().await,
            "gate::open" | "gate::ask" | "run::park_for" => {
                world.claimed = Some(at_work(&world.tenant, engine).await);
            }
            "gate::revoke" => {
                world.asks(engine, true).await;
                world.is_approved(Scope::Session).await;
            }
            "gate::decide" => {
                world.asks(engine, false).await;
                world.decide = Some(decide(&world.tenant, world.gate.as_ref().unwrap(), Scope::Once).await);
            }
            "capability::redeem" | "capability::claim" | "capability::revoke" => {
                world.asks(engine, false).await;
                world.is_approved(Scope::Once).await;
            }
            "capability::begin_dispatch" | "capability::abort" | "capability::finish" => {
                world.asks(engine, false).await;
                world.is_approved(Scope::Once).await;
                world.is_in_hand().await;
                if command == "capability::finish" {
                    let capabilities = &world.tenant.capabilities;
                    capabilities
                        .begin_dispatch(world.gate(), world.claimed())
                        .await
                        .unwrap();
                }
            }
            "session::create" => {}
            "session::command" | "session::end" => drop(world.has_session().await),
            "session::reopen" => {
                let session = world.has_session().await;
                let sessions = &world.tenant.sessions;
                let ended = sessions
                    .end(&operator(), session, EndReason::Operator)
                    .await
                    .unwrap();
                assert!(ended.applied().is_some());
            }
            "sink::resume" => cursor(&world.tenant, &world.sink, SinkState::Paused).await,
            "sink::pause" | "sink::remove" | "sink::discard" => {
                cursor(&world.tenant, &world.sink, SinkState::Active).await;
            }
            "delegation::abandon" => world.gives().await,
            "delegation::consume" => {
                world.gives().await;
                world.is_delivered(engine).await;
            }
            _ => world.asks(engine, false).await,
        }
        world
    }
}

async fn at_work(tenant: &Tenant, engine: &Engine) -> Claimed {
    let task = tenant
        .tasks
        .create(&operator(), NewTask::new(name("alice"), "ask"))
        .await
        .unwrap();
    let options = ClaimOptions {
        session: Some(SessionId::make(task.created_at, &engine.environment().random)),
        ..ClaimOptions::default()
    };
    let claimed = tenant.runs.claim(&operator(), task.id, options).await.unwrap();
    tenant.runs.started(&claimed, None).await.unwrap();
    claimed
}

fn question(claimed: &Claimed, call: &str) -> NewGate {
    NewGate {
        task: claimed.run.task,
        caller: Some(Caller {
            run: claimed.run.id,
            spawn: 1,
        }),
        call_id: Some(call.to_owned()),
        ..NewGate::approval(name("alice"), call_of("{}"), "run it")
    }
}

fn seen_in(session: SessionId) -> SeenIn {
    SeenIn {
        session,
        incarnation: 1,
        source: SourceId::new("stream"),
        position: At { spawn: 1, seq: 1 },
        evidence: Evidence::Formal,
    }
}

async fn decide(tenant: &Tenant, gate: &Gate, scope: Scope) -> Decide {
    let read = tenant.gates.get(gate.id).await.unwrap();
    Decide {
        gate: gate.id,
        choice: yes(),
        shown_version: read.version(),
        shown_digest: read.digest,
        scope,
        comment: None,
    }
}

/// A sink of which there is a row, and an event that it refused.
async fn cursor(tenant: &Tenant, sink: &SinkName, state: SinkState) {
    let (at, random) = (Timestamp::UNIX_EPOCH, dormouse_engine::Random::seeded(7));
    let row = RelayCursor {
        consumer: Subject::Relay(sink.clone()),
        incarnation: None,
        after: Position::START,
        filter: dormouse_engine::event::EventFilter::default(),
        state,
        attempts: 0,
        next_attempt_at: None,
        last_error: None,
        created_at: at,
        updated_at: at,
        op: OpId::make(at, &random),
    };
    Records::<RelayCursor>::new(tenant.space())
        .create(&row)
        .await
        .unwrap();
    let letter = DeadLetter {
        sink: sink.clone(),
        position: Position::new(1),
        event: serde_json::json!({}),
        reason: Scrubbed::constant("no"),
        at,
        op: OpId::make(at, &random),
    };
    Records::<DeadLetter>::new(tenant.space())
        .create(&letter)
        .await
        .unwrap();
}

fn surface() -> Surface {
    "terminal".parse().unwrap()
}

const COMMANDS: &[Command<World>] = commands! { w:
    "gate::open" => w.tenant.gates.open(&operator(), &question(w.claimed(), "new"), &Scrubber::empty());
    "gate::ask" => w.tenant.gates.ask(&operator(), Mode::Ask, &question(w.claimed(), "new"), &Scrubber::empty());
    "gate::decide" => w.tenant.gates.decide(&operator(), w.decide.as_ref().unwrap());
    "gate::discard" => w.tenant.gates.discard(&operator(), w.gate());
    "gate::expire" => w.tenant.gates.expire(w.gate());
    "gate::invalidate" => w.tenant.gates.invalidate(w.gate(), Invalidation::Superseded);
    "gate::shown" => w.tenant.gates.shown(&operator(), w.gate(), &surface(), None);
    "gate::revoke" => w.tenant.gates.revoke(&operator(), w.gate());
    "capability::redeem" => w.tenant.capabilities.redeem(w.gate(), Bash, w.claimed());
    "capability::claim" => w.tenant.capabilities.claim(w.gate(), w.digest(), w.claimed());
    "capability::begin_dispatch" => w.tenant.capabilities.begin_dispatch(w.gate(), w.claimed());
    "capability::abort" => w.tenant.capabilities.abort(w.gate(), w.claimed(), true);
    "capability::finish" => w.tenant.capabilities.finish(w.gate(), w.claimed(), CapabilityEnd::Done);
    "capability::revoke" => w.tenant.capabilities.revoke(&operator(), w.gate());
    "session::create" => w.tenant.sessions.create(&operator(), &keyed());
    "session::command" => w.tenant.sessions.command(&operator(), w.session.unwrap(), &SessionCommand::Pause);
    "session::end" => w.tenant.sessions.end(&operator(), w.session.unwrap(), EndReason::Operator);
    "session::reopen" => w.tenant.sessions.reopen(&operator(), w.session.unwrap());
    "bad::discard" => discarded(w);
    "sink::pause" => w.tenant.sinks.pause(&operator(), &w.sink);
    "sink::resume" => w.tenant.sinks.resume(&operator(), &w.sink);
    "sink::remove" => w.tenant.sinks.remove(&operator(), &w.sink);
    "sink::discard" => w.tenant.sinks.discard(&operator(), &w.sink, Position::new(1));
    "run::park" => w.tenant.runs.park(w.claimed(), w.gate(), Duration::from_secs(1));
    "run::park_for" => w.tenant.runs.park_for(w.claimed(), later(), Duration::from_secs(1));
    "delegation::consume" => w.tenant.delegations.consume(&operator(), w.claimed().run.id, w.given.unwrap());
    "delegation::abandon" => w.tenant.delegations.abandon(&operator(), w.given.unwrap());
};

/// Who asks again for what is thrown away is told that it is not there.
async fn discarded(w: &World) -> Result<(), CommandError> {
    let (bad, id) = (&w.tenant.bad, w.aside.as_ref().unwrap());
    match bad.discard(&operator(), BadStore::Quarantine, id).await {
        Err(CommandError::NotFound { .. }) => {
            assert_eq!(bad.list(BadStore::Quarantine, None, 10).await?.rows, []);
            Ok(())
        }
        answered => answered,
    }
}

/// Those that are proven elsewhere.
const ELSEWHERE: &[&str] = &[
    // As `open`, and a read before it.
    "session::create_with",
    // Its driver gathers what is said and writes it in its own time: `faults_driver`.
    "session::observe",
    // As `end`, for each of a page; what goes wrong is in its answer.
    "session::close_stale",
];

fn keyed() -> NewSession {
    NewSession {
        key: Some("the-morning".to_owned()),
        ..NewSession::new(name("alice"))
    }
}

fn later() -> RunWait {
    RunWait::Until {
        until: "2026-03-02T12:00:00Z".parse().unwrap(),
    }
}

/// A command that is added to one of these services is faulted too, or said to be elsewhere.
#[test]
fn every_command_of_these_is_in_the_table() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let services = [
        (
            "gate",
            "gate/service.rs",
            &["get", "resolve", "list", "displays", "wait", "grants"][..],
        ),
        ("capability", "capability/service.rs", &["get"][..]),
        (
            "session",
            "session/service.rs",
            &[
                "get", "require", "state", "history", "list", "resolve", "list_all", "context",
            ][..],
        ),
        ("sink", "relay/service.rs", &["list", "dead_letters"][..]),
        ("bad", "bad/service.rs", &["list", "get"][..]),
    ];
    let listed: Vec<&str> = COMMANDS
        .iter()
        .map(|(name, _)| *name)
        .chain(ELSEWHERE.iter().copied())
        .collect();
    for (service, file, reads) in services {
        let source = std::fs::read_to_string(root.join(file)).unwrap();
        for part in source.split("    pub async fn ").skip(1) {
            let command = part.split(['(', '<']).next().unwrap();
            let is_known = reads.contains(&command) || listed.contains(&&*format!("{service}::{command}"));
            assert!(is_known, "{service}::{command} is not faulted");
        }
    }
}
