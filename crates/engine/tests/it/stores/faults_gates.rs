//! A fault at each operation of the store that a command of gates, capabilities, sessions, sinks, delegations or parking
//! makes: as [`faults`](super::faults) says of the others.

use std::time::Duration;

use dormouse_engine::agent::AgentConfig;
use dormouse_engine::capability::{Action, CapabilityEnd, CapabilityError};
use dormouse_engine::gate::{
    Call, Caller, Choice, Decide, Gate, GateError, NewGate, Reply, Scope, SeenIn, Surface,
};
use dormouse_engine::relay::{DeadLetter, RelayCursor, SinkState};
use dormouse_engine::run::{ClaimOptions, Claimed, RunWait};
use dormouse_engine::session::NewSession;
use dormouse_engine::task::NewTask;
use dormouse_engine::thread::{Append, NewMessage, NewThread};
use dormouse_engine::{
    CommandError, Engine, OpId, PrefixedId, SessionId, SinkName, Subject, TaskId, Tenant, TenantId,
};
use dormouse_filesystem::{Position, Records};
use dormouse_secrets::{Scrubbed, Scrubber};
use dormouse_state::{
    Command as SessionCommand, EndReason, Evidence, Invalidation, Mode, Position as At, SourceId,
};
use jiff::Timestamp;

use super::faults::{Command, OfCommand, Prepared, commands, every_command};
use super::gates::{call_of, yes};
use super::house::{House, facts, name, operator, success};

super::on_every_store! {
    /// ST-14, with those of the other services in `faults` and all operations in memory.
    a_fault_at_the_first_read_or_commit_leaves_these_working_too;
}

/// ST-14: the same at every operation.
#[tokio::test]
async fn a_fault_at_each_operation_leaves_these_working_too() {
    every_command(House::in_memory().await, usize::MAX, COMMANDS).await;
}

async fn a_fault_at_the_first_read_or_commit_leaves_these_working_too(house: House) {
    every_command(house, 1, COMMANDS).await;
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

/// What there is when a command is asked for.
struct World {
    tenant: Tenant,
    /// A run at work, and what it asked: still open, or approved in several states of its use.
    claimed: Claimed,
    pending: Gate,
    decide: Decide,
    approved: Gate,
    in_hand: Gate,
    under_way: Gate,
    granted: Gate,
    /// Another run, which waits for an answer.
    parking: Claimed,
    awaited: Gate,
    /// Sessions without a run, one of them over.
    session: SessionId,
    ended: SessionId,
    sink: SinkName,
    paused: SinkName,
    /// Given away by a run of a thread, the one done and delivered.
    parent: Claimed,
    delivered: TaskId,
    given: TaskId,
}

impl Prepared for World {
    fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    async fn new(engine: &Engine, nth: usize) -> Self {
        let tenant: TenantId = format!("gates-{nth}").parse().unwrap();
        let tenant = engine.tenant(&tenant).await.unwrap();
        let (by, alice) = (operator(), name("alice"));
        let config = AgentConfig {
            concurrency: 9,
            ..AgentConfig::default()
        };
        tenant.agents.create(&by, &alice, config).await.unwrap();
        let claimed = at_work(&tenant, engine).await;
        let pending = asks(&tenant, &claimed, "pending").await;
        let decide = decide(&tenant, &pending, yes(), Scope::Once).await;
        let approved = approves(&tenant, &claimed, "approved").await;
        let in_hand = approves(&tenant, &claimed, "in hand").await;
        let under_way = approves(&tenant, &claimed, "under way").await;
        let offered = NewGate {
            reply: Reply::Acp,
            offers_session: true,
            session: claimed.run.session.map(seen_in),
            ..question(&claimed, "granted")
        };
        let granted = opened(&tenant, &offered).await;
        let granted = decided(&tenant, &granted, Scope::Session).await;
        for gate in [&in_hand, &under_way] {
            tenant
                .capabilities
                .claim(gate.id, gate.digest, &claimed)
                .await
                .unwrap();
        }
        tenant
            .capabilities
            .begin_dispatch(under_way.id, &claimed)
            .await
            .unwrap();
        let parking = at_work(&tenant, engine).await;
        let awaited = asks(&tenant, &parking, "awaited").await;
        let made = async || {
            tenant
                .sessions
                .create(&by, &NewSession::new(alice.clone()))
                .await
                .unwrap()
                .session
        };
        let (session, ended) = (made().await, made().await);
        tenant
            .sessions
            .end(&by, ended, EndReason::Operator)
            .await
            .unwrap();
        let (sink, paused) = (
            cursor(&tenant, "book", SinkState::Active).await,
            cursor(&tenant, "wall", SinkState::Paused).await,
        );
        let (parent, delivered, given) = gave_away(&tenant, engine).await;
        Self {
            tenant,
            claimed,
            pending,
            decide,
            approved,
            in_hand,
            under_way,
            granted,
            parking,
            awaited,
            session,
            ended,
            sink,
            paused,
            parent,
            delivered,
            given,
        }
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

async fn opened(tenant: &Tenant, new: &NewGate) -> Gate {
    let opened = tenant.gates.open(&operator(), new, &Scrubber::empty()).await;
    opened.unwrap().gate
}

async fn asks(tenant: &Tenant, claimed: &Claimed, call: &str) -> Gate {
    opened(tenant, &question(claimed, call)).await
}

async fn decided(tenant: &Tenant, gate: &Gate, scope: Scope) -> Gate {
    let decide = decide(tenant, gate, yes(), scope).await;
    tenant.gates.decide(&operator(), &decide).await.unwrap()
}

async fn decide(tenant: &Tenant, gate: &Gate, choice: Choice, scope: Scope) -> Decide {
    let read = tenant.gates.get(gate.id).await.unwrap();
    Decide {
        gate: gate.id,
        choice,
        shown_version: read.version(),
        shown_digest: read.digest,
        scope,
        comment: None,
    }
}

async fn approves(tenant: &Tenant, claimed: &Claimed, call: &str) -> Gate {
    let gate = asks(tenant, claimed, call).await;
    decided(tenant, &gate, Scope::Once).await
}

/// A sink of which there is a row, and an event that it refused.
async fn cursor(tenant: &Tenant, sink: &str, state: SinkState) -> SinkName {
    let sink: SinkName = sink.parse().unwrap();
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
    sink
}

/// A turn of a thread that gave two tasks away, of which one is done and told to it.
async fn gave_away(tenant: &Tenant, engine: &Engine) -> (Claimed, TaskId, TaskId) {
    let by = operator();
    let thread = tenant
        .threads
        .create(&by, &NewThread::new(name("alice")))
        .await
        .unwrap();
    let question = Append::submit(NewMessage::user("do both"));
    let turn = tenant.threads.append(&by, thread.id, &question).await.unwrap();
    let options = ClaimOptions::default();
    let parent = tenant.runs.claim(&by, turn.task.unwrap(), options).await.unwrap();
    let give = async |title: &str| {
        let new = NewTask::new(name("alice"), title);
        tenant
            .delegations
            .delegate(&by, parent.run.id, new)
            .await
            .unwrap()
            .task
            .id
    };
    let (delivered, given) = (give("one").await, give("other").await);
    let child = tenant.runs.claim(&by, delivered, options).await.unwrap();
    tenant.runs.finish(&child, &success(), &facts()).await.unwrap();
    engine.settle_once().await.unwrap();
    (parent, delivered, given)
}

fn surface() -> Surface {
    "terminal".parse().unwrap()
}

const COMMANDS: &[Command<World>] = commands! { w:
    "gate::open" => w.tenant.gates.open(&operator(), &question(&w.claimed, "new"), &Scrubber::empty());
    "gate::ask" => w.tenant.gates.ask(&operator(), Mode::Ask, &question(&w.claimed, "asked"), &Scrubber::empty());
    "gate::decide" => w.tenant.gates.decide(&operator(), &w.decide);
    "gate::discard" => w.tenant.gates.discard(&operator(), w.pending.id);
    "gate::expire" => w.tenant.gates.expire(w.pending.id);
    "gate::invalidate" => w.tenant.gates.invalidate(w.pending.id, Invalidation::Superseded);
    "gate::shown" => w.tenant.gates.shown(&operator(), w.pending.id, &surface(), None);
    "gate::revoke" => w.tenant.gates.revoke(&operator(), w.granted.id);
    "capability::redeem" => w.tenant.capabilities.redeem(w.approved.id, Bash, &w.claimed);
    "capability::claim" => w.tenant.capabilities.claim(w.approved.id, w.approved.digest, &w.claimed);
    "capability::begin_dispatch" => w.tenant.capabilities.begin_dispatch(w.in_hand.id, &w.claimed);
    "capability::abort" => w.tenant.capabilities.abort(w.in_hand.id, &w.claimed, true);
    "capability::finish" => w.tenant.capabilities.finish(w.under_way.id, &w.claimed, CapabilityEnd::Done);
    "capability::revoke" => w.tenant.capabilities.revoke(&operator(), w.approved.id);
    "session::create" => w.tenant.sessions.create(&operator(), &keyed());
    "session::command" => w.tenant.sessions.command(&operator(), w.session, &SessionCommand::Pause);
    "session::end" => w.tenant.sessions.end(&operator(), w.session, EndReason::Operator);
    "session::reopen" => w.tenant.sessions.reopen(&operator(), w.ended);
    "sink::pause" => w.tenant.sinks.pause(&operator(), &w.sink);
    "sink::resume" => w.tenant.sinks.resume(&operator(), &w.paused);
    "sink::remove" => w.tenant.sinks.remove(&operator(), &w.sink);
    "sink::discard" => w.tenant.sinks.discard(&operator(), &w.sink, Position::new(1));
    "run::park" => w.tenant.runs.park(&w.parking, w.awaited.id, Duration::from_secs(1));
    "run::park_for" => w.tenant.runs.park_for(&w.parking, later(), Duration::from_secs(1));
    "delegation::consume" => w.tenant.delegations.consume(&operator(), w.parent.run.id, w.delivered);
    "delegation::abandon" => w.tenant.delegations.abandon(&operator(), w.given);
};

/// Those that are proven elsewhere.
const ELSEWHERE: &[&str] = &[
    // As `open`, and a read before it.
    "session::create_with",
    // Its driver gathers what is said and writes it in its own time: `sessions_crash` and `sessions_histories`.
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
