//! The stored form of every kind of row: what an older build wrote is read for ever, so each schema is written down.

use std::collections::BTreeMap;
use std::path::PathBuf;

use dormouse_engine::adapter::{Tokens, ToolKind};
use dormouse_engine::agent::{Agent, AgentConfig, AgentState};
use dormouse_engine::command::{CommandSpec, Effects};
use dormouse_engine::event::{EventFilter, Glob};
use dormouse_engine::idempotency::IdempotencyRow;
use dormouse_engine::lease::{Heartbeat, Holder, Lease, Progress};
use dormouse_engine::relay::{DeadLetter, RelayCursor, SinkState};
use dormouse_engine::run::{
    CallFate, Checkpoint, OpenCall, OutcomeKind, OutcomeRow, Process, ProcessMark, Run, RunState, StopReason,
};
use dormouse_engine::task::{
    ChildEnd, Delegation, DelegationState, DependencyEnd, OnFailed, Priority, Settlement, Task, TaskState,
    TaskTombstone, Tree,
};
use dormouse_engine::thread::{
    Attachment, KeptText, Message, MessageKind, MessageStatus, Thread, ThreadState, Turn,
};
use dormouse_engine::wake::TimedWake;
use dormouse_engine::{
    Channel, Epoch, Incarnation, PrefixedId, Random, RunId, Subject, TaskId, TenantRow, TenantState,
};
use dormouse_filesystem::{Position, Record, Version};
use dormouse_secrets::Scrubbed;
use jiff::Timestamp;

use super::golden;
use super::house::{facts, failed, name, operator, tenant_id};

/// Writes the row down, reads it back, and refuses it with a field that nobody knows: it may authorise something.
#[track_caller]
pub(super) fn check<R: Record>(row: &R) {
    let file = format!("record_{}_{}.json", R::KIND, R::SCHEMA);
    golden::check(&file, &(serde_json::to_string_pretty(row).unwrap() + "\n"));
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "it", "golden", &file]
        .iter()
        .collect();
    let stored: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(serde_json::from_value::<R>(stored.clone()).unwrap(), *row);

    let mut with_more = stored;
    with_more["unknown_to_us"] = true.into();
    serde_json::from_value::<R>(with_more).unwrap_err();
}

struct Ids {
    random: Random,
    now: Timestamp,
}

impl Ids {
    fn new() -> Self {
        Self {
            random: Random::seeded(7),
            now: "2026-03-01T12:00:00Z".parse().unwrap(),
        }
    }

    fn make<I: PrefixedId>(&self) -> I {
        I::make(self.now, &self.random)
    }
}

#[test]
fn an_agent_is_stored_so() {
    let ids = Ids::new();
    let config = AgentConfig {
        concurrency: 2,
        delegates_to: vec![name("bob")],
        effects: Some(Effects::Repeatable),
        ..AgentConfig::default()
    };
    check(&Agent {
        name: name("alice"),
        incarnation: Incarnation::make(ids.now, &ids.random),
        state: AgentState::Paused,
        config_digest: config.digest(),
        config,
        paused_reason: Some(Scrubbed::constant("too loud")),
        created_at: ids.now,
        updated_at: ids.now,
        op: ids.make(),
        deleted_at: None,
    });
}

#[test]
fn a_tenant_is_stored_so() {
    let ids = Ids::new();
    check(&TenantRow {
        name: tenant_id(),
        incarnation: Incarnation::make(ids.now, &ids.random),
        state: TenantState::Active,
        created_at: ids.now,
        updated_at: ids.now,
        op: ids.make(),
    });
}

#[test]
fn a_task_is_stored_so() {
    let ids = Ids::new();
    let metadata = serde_json::json!({ "ticket": { "id": 7 } });
    check(&Task {
        id: ids.make(),
        number: 7,
        title: Scrubbed::constant("count the sheep"),
        body: "all of them".to_owned(),
        owner: Some(name("bob")),
        owner_incarnation: Some(Incarnation::make(ids.now, &ids.random)),
        assignee: name("alice"),
        agent_incarnation: Incarnation::make(ids.now, &ids.random),
        source: Channel::Cli,
        priority: Priority::High,
        state: TaskState::Failed {
            outcome: OutcomeKind::Timeout,
        },
        failures: 1,
        reclaims: 2,
        step_epoch: 3,
        attempts: 4,
        last_run: Some(ids.make()),
        is_parked: true,
        not_before: Some(ids.now),
        parent: Some(ids.make()),
        open_dependencies: vec![ids.make::<TaskId>()],
        on_failed: OnFailed::Run,
        undone_by: Some(ids.make()),
        has_followers: true,
        metadata: metadata.as_object().unwrap().clone(),
        command: Some(CommandSpec::new(vec!["true".to_owned()])),
        turn: Some(Turn {
            thread: ids.make(),
            message: 7,
            run: ids.make(),
        }),
        approval_required: true,
        approved_at: Some(ids.now),
        approved_by: Some(operator()),
        ended_at: Some(ids.now),
        created_at: ids.now,
        updated_at: ids.now,
        op: ids.make(),
    });
}

#[test]
fn what_is_beside_a_task_is_stored_so() {
    let ids = Ids::new();
    check(&Settlement {
        task: ids.make(),
        end: DependencyEnd::NotDone,
        created_at: ids.now,
        op: ids.make(),
    });
    check(&Delegation {
        child: ids.make(),
        parent: ids.make(),
        root: ids.make(),
        depth: 2,
        agent: name("alice"),
        agent_incarnation: Incarnation::make(ids.now, &ids.random),
        to: name("bob"),
        state: DelegationState::Settled,
        end: Some(ChildEnd::Quarantined),
        created_at: ids.now,
        updated_at: ids.now,
        op: ids.make(),
    });
    check(&Tree {
        root: ids.make(),
        open: 3,
        total: 17,
    });
    check(&TaskTombstone {
        id: ids.make(),
        number: 7,
        state: "done".to_owned(),
        digest: "5b1e".repeat(16),
        deleted_at: ids.now,
        op: ids.make(),
    });
}

#[test]
fn a_timed_wake_is_stored_so() {
    let ids = Ids::new();
    check(&TimedWake {
        id: ids.make(),
        agent: name("alice"),
        agent_incarnation: Incarnation::make(ids.now, &ids.random),
        due: ids.now,
        reason: Scrubbed::constant("look at the mail"),
        command: Some(CommandSpec::new(vec!["true".to_owned()])),
        created_by: operator(),
        created_at: ids.now,
        op: ids.make(),
    });
}

#[test]
fn a_run_is_stored_so() {
    let ids = Ids::new();
    check(&Run {
        id: ids.make(),
        task: Some(ids.make()),
        agent: name("alice"),
        agent_incarnation: Incarnation::make(ids.now, &ids.random),
        attempt: 2,
        session: Some(ids.make()),
        thread: Some(ids.make()),
        state: RunState::Stopping,
        checkpoint: Checkpoint::SideEffect {
            what: Some(Scrubbed::constant("the command's process")),
        },
        stop_reason: Some(StopReason::Cancel {
            by: operator(),
            reason: Some(Scrubbed::constant("no longer wanted")),
        }),
        stop_deadline: Some(ids.now),
        grace_ms: None,
        wait: None,
        spawn: 1,
        clock_ms: 0,
        provider_session: Some(Scrubbed::constant("01a1f9f9-31d8-72f1-8bb5-05d6c8973272")),
        continues: Some(ids.make()),
        calls: vec![OpenCall {
            id: Scrubbed::constant("call_0"),
            kind: ToolKind::Execute,
            title: Scrubbed::constant("rm -rf ./x"),
            fate: CallFate::Cut,
        }],
        shown: BTreeMap::from([("t1".to_owned(), Tokens::default())]),
        step_epoch: 1,
        used_before: None,
        saved: None,
        started_at: ids.now,
        ended_at: Some(ids.now),
        created_at: ids.now,
        updated_at: ids.now,
        op: ids.make(),
    });
}

#[test]
fn an_outcome_is_stored_so() {
    let ids = Ids::new();
    check(&OutcomeRow {
        run: ids.make(),
        agent: name("alice"),
        outcome: failed(false),
        facts: Some(facts()),
        ended_at: ids.now,
        op: ids.make(),
    });
}

#[test]
fn the_processes_of_a_run_are_stored_so() {
    let mark = |pid| ProcessMark { pid, start_time: 17 };
    check(&Process {
        run: Ids::new().make(),
        host: "burrow".to_owned(),
        boot_id: "this-boot".to_owned(),
        keeper: mark(4_242),
        worker: Some(mark(4_243)),
    });
}

#[test]
fn a_lease_and_its_heartbeat_are_stored_so() {
    let ids = Ids::new();
    let (id, subject) = (ids.make(), Subject::Run(ids.make::<RunId>()));
    check(&Lease {
        id,
        subject: subject.clone(),
        holder: Holder {
            host: "burrow".to_owned(),
            process: 4_211,
            epoch: Epoch::make(ids.now, &ids.random),
            seat: None,
        },
        taken_at: ids.now,
        deadline: ids.now,
        op: ids.make(),
    });
    check(&Heartbeat {
        subject,
        lease: id,
        beat_at: ids.now,
        expires_at: ids.now,
        progress: Some(Progress {
            at: ids.now,
            segments_completed: 3,
            segment_current: Some(Scrubbed::constant("chapter four")),
        }),
    });
}

#[test]
fn a_thread_is_stored_so() {
    let ids = Ids::new();
    check(&Thread {
        id: ids.make(),
        agent: name("alice"),
        agent_incarnation: Incarnation::make(ids.now, &ids.random),
        session: Some(ids.make()),
        incarnation: Incarnation::make(ids.now, &ids.random),
        state: ThreadState::Open,
        next_sequence: 8,
        active_run: Some(ids.make()),
        turn: Some(ids.make()),
        queued: 2,
        last_activity: ids.now,
        is_erasing: true,
        created_at: ids.now,
        updated_at: ids.now,
        op: ids.make(),
    });
}

#[test]
fn a_cursor_of_a_sink_is_stored_so() {
    let ids = Ids::new();
    check(&RelayCursor {
        consumer: Subject::Relay("audit".parse().unwrap()),
        incarnation: Some(Version::new(1_812_000_000)),
        after: Position::new(41),
        filter: EventFilter {
            kind: Some(Glob::new("task.*")),
            agent: Some(name("alice")),
        },
        state: SinkState::BackingOff,
        attempts: 2,
        next_attempt_at: Some(ids.now),
        last_error: Some(Scrubbed::constant("connection reset")),
        created_at: ids.now,
        updated_at: ids.now,
        op: ids.make(),
    });
}

#[test]
fn a_message_is_stored_so() {
    let ids = Ids::new();
    let blob = "blb_0198c0de7f3a7c11a2b3c4d5e6f70819";
    let provider = serde_json::json!({ "finish": "stop" });
    check(&Message {
        id: ids.make(),
        thread: ids.make(),
        incarnation: Incarnation::make(ids.now, &ids.random),
        sequence: 7,
        agent: name("alice"),
        agent_incarnation: Incarnation::make(ids.now, &ids.random),
        kind: MessageKind::User,
        status: MessageStatus::Submitted,
        by: operator(),
        text: Some(KeptText::Here(Scrubbed::constant("count the sheep"))),
        attachments: vec![Attachment {
            id: "a".to_owned(),
            name: Scrubbed::constant("sheep.txt"),
            media_type: Scrubbed::constant("text/plain"),
            text: Some(KeptText::Blob {
                id: dormouse_filesystem::blob::BlobId::parse(blob).unwrap(),
                bytes: 100_000,
            }),
        }],
        provider: provider.as_object().unwrap().clone(),
        command: Some(CommandSpec::new(vec!["true".to_owned()])),
        task: Some(ids.make()),
        run: Some(ids.make()),
        covers: vec![1, 2],
        superseded_by: Some(9),
        created_at: ids.now,
        updated_at: ids.now,
        op: ids.make(),
    });
}

#[test]
fn a_key_is_stored_so() {
    let ids = Ids::new();
    let digest = "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9";
    check(&IdempotencyRow {
        key: digest.parse().unwrap(),
        request: serde_json::from_value(digest.into()).unwrap(),
        operation: "threads.append".to_owned(),
        results: vec![Subject::Message(ids.make()), Subject::Task(ids.make())],
        answer: Some("{}".to_owned()),
        expires_at: ids.now,
        created_at: ids.now,
        op: ids.make(),
    });
}

#[test]
fn an_event_that_a_sink_refused_is_stored_so() {
    let ids = Ids::new();
    check(&DeadLetter {
        sink: "audit".parse().unwrap(),
        position: Position::new(42),
        event: serde_json::json!({ "position": 42, "type": "agent.resumed" }),
        reason: Scrubbed::constant("not of this shape"),
        at: ids.now,
        op: ids.make(),
    });
}
