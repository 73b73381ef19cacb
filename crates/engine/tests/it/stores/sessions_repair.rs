//! Sessions that do not agree with their gates, and rows that lack what security stands on.

use std::time::Duration;

use dormouse_engine::gate::{Gate, GateStatus};
use dormouse_engine::session::SessionRow;
use dormouse_engine::task::{NewTask, TaskState};
use dormouse_engine::{CommandError, PrefixedId, SessionId};
use dormouse_filesystem::{Batch, Deadline, Expected, Item, Page, Records, Want};
use dormouse_state::{Evidence, GateId, GateKind, Invalidation, Mode, PendingGate, Position, Row, SourceId};

use super::gates::{Asker, open, status};
use super::house::{House, name};
use super::sessions::{claim_in, completed, row};

super::on_every_store! {
    /// SG-39
    a_session_that_knows_a_gate_without_a_row_forgets_it;
    /// SG-39
    a_session_that_does_not_know_a_pending_gate_waits_for_it;
    /// SG-39
    a_session_that_waits_for_a_gate_that_is_nowhere_waits_no_more_after_a_start;
    a_pending_gate_of_an_ended_session_loses_its_meaning;
    a_parked_task_whose_gate_a_repair_ends_is_ready_again;
    /// SG-37
    an_absent_mode_is_deny_and_an_unknown_one_starts_no_run;
    /// SG-37
    an_absent_blocking_is_true_and_an_absent_decidable_false;
}

/// Writes the session's row as it is not allowed to be written.
async fn rewrite(house: &House, session: SessionId, change: impl FnOnce(&mut SessionRow)) {
    let rows = Records::<SessionRow>::new(house.tenant.space());
    let read = rows.get(&session).await.unwrap().unwrap();
    let mut row = SessionRow::clone(&read);
    change(&mut row);
    rows.replace(&read, &row).await.unwrap();
}

async fn repairs(house: &House) -> usize {
    let kinds = house.event_types().await;
    kinds.iter().filter(|kind| *kind == "session.repaired").count()
}

fn pending() -> PendingGate {
    PendingGate {
        kind: GateKind::Approval,
        call: None,
        blocking: true,
        source: SourceId::new("stream"),
        position: Position { spawn: 1, seq: 1 },
        opened_at: "2026-03-01T12:00:00Z".parse().unwrap(),
        evidence: Evidence::Formal,
    }
}

async fn a_session_that_knows_a_gate_without_a_row_forgets_it(house: House) {
    let asker = Asker::new(&house).await;
    let gate = open(&house, &asker.approval("1", "{}")).await;
    let ghost = dormouse_engine::GateId::make(gate.opened_at, &house.engine.environment().random);
    rewrite(&house, asker.session, |row| {
        let gates = &mut row.state.gates.pending;
        gates.insert(GateId::new(ghost.to_string()), pending());
    })
    .await;
    assert_eq!(row(&house, asker.session).await, Row::WaitingForSeveral);
    let house = house.reopened().await;
    house.recover().await;
    assert_eq!(repairs(&house).await, 1);
    let state = house.tenant.sessions.state(asker.session).await.unwrap();
    // Its run was lost by the restart, and its gate with it.
    assert!(!state.gates.pending.contains_key(ghost.to_string().as_str()));
    house.recover().await;
    assert_eq!(repairs(&house).await, 1);
}

pub(super) async fn a_session_that_waits_for_a_gate_that_is_nowhere_waits_no_more_after_a_start(
    house: House,
) {
    // No gate and no run leads to it.
    let session = completed(&house).await;
    let at = house.tenant.sessions.require(session).await.unwrap().updated_at;
    let ghost = dormouse_engine::GateId::make(at, &house.engine.environment().random);
    rewrite(&house, session, |row| {
        row.state
            .gates
            .pending
            .insert(GateId::new(ghost.to_string()), pending());
        row.state.lifecycle = dormouse_state::Lifecycle::WaitingHuman;
        row.state.turn.phase = dormouse_state::Phase::Running;
        row.state.turn.result = None;
        row.state.turn.ended_at = None;
        row.state.turn.ended_by = None;
    })
    .await;
    assert_eq!(row(&house, session).await, Row::Waiting);
    house.recover().await;
    let state = house.tenant.sessions.state(session).await.unwrap();
    assert_eq!((state.row(), repairs(&house).await), (Row::Queued, 1));
    house.recover().await;
    assert_eq!(repairs(&house).await, 1);
}

async fn a_session_that_does_not_know_a_pending_gate_waits_for_it(house: House) {
    let asker = Asker::new(&house).await;
    let gate = open(&house, &asker.approval("1", "{}")).await;
    rewrite(&house, asker.session, |row| {
        row.state.gates.pending.clear();
        row.state.lifecycle = dormouse_state::Lifecycle::Active;
        row.state.execution = Some(dormouse_state::Execution::Thinking);
    })
    .await;
    house.recover().await;
    let state = house.tenant.sessions.state(asker.session).await.unwrap();
    assert_eq!((state.row(), repairs(&house).await), (Row::Waiting, 1));
    assert!(state.gates.pending.contains_key(gate.id.to_string().as_str()));
    let approved = super::gates::approve(&house, &gate).await;
    assert_eq!(approved.word(), "approved");
    assert_eq!(row(&house, asker.session).await, Row::Working);
}

async fn a_pending_gate_of_an_ended_session_loses_its_meaning(house: House) {
    let asker = Asker::new(&house).await;
    let gate = open(&house, &asker.approval("1", "{}")).await;
    rewrite(&house, asker.session, |row| {
        row.state.gates.pending.clear();
        row.state.lifecycle = dormouse_state::Lifecycle::Ended;
        row.state.turn.phase = dormouse_state::Phase::Over;
    })
    .await;
    house.recover().await;
    let gate: Gate = house.tenant.gates.get(gate.id).await.unwrap().into_inner();
    let end = gate.end.unwrap();
    assert_eq!(
        (end.status, end.cause),
        (GateStatus::Invalidated, Some(Invalidation::SessionEnded))
    );
}

async fn a_parked_task_whose_gate_a_repair_ends_is_ready_again(house: House) {
    let asker = Asker::new(&house).await;
    let gate = open(&house, &asker.approval("1", "{}")).await;
    let runs = &house.tenant.runs;
    runs.started(&asker.claimed, None).await.unwrap();
    let parked = runs.park(&asker.claimed, gate.id, Duration::from_secs(1));
    parked.await.unwrap();
    rewrite(&house, asker.session, |row| {
        row.state.gates.pending.clear();
        row.state.lifecycle = dormouse_state::Lifecycle::Ended;
        row.state.turn.phase = dormouse_state::Phase::Over;
    })
    .await;
    house.recover().await;
    assert_eq!(status(&house, &gate).await, "invalidated");
    let task = house.tenant.tasks.get(asker.claimed.task.id).await.unwrap();
    assert_eq!(task.state, TaskState::Ready, "nobody would ever wake it");
}

/// Replaces a text in the stored rows of a kind.
async fn tamper(house: &House, kind: &str, from: &str, to: &str) {
    let store = house.engine.system().store().underneath();
    let root = house.tenant.space().root().clone();
    let page = Page {
        want: Want::Entries,
        ..Page::of(root)
    };
    let mut changed = 0;
    for item in store.list(&page).await.unwrap().items {
        let Item::Entry(entry) = item else { continue };
        if entry.kind.as_str() != kind {
            continue;
        }
        let text = std::str::from_utf8(&entry.value).unwrap();
        assert!(text.contains(from), "{text}");
        let mut batch = Batch::default();
        let value = text.replace(from, to);
        let expected = Expected::At(entry.version);
        batch.put(entry.key.clone(), expected, entry.kind.clone(), value);
        store
            .commit(batch, Deadline::after(Duration::from_secs(10)))
            .await
            .unwrap();
        changed += 1;
    }
    assert!(changed > 0, "there is no {kind}");
}

async fn an_absent_mode_is_deny_and_an_unknown_one_starts_no_run(house: House) {
    let session = completed(&house).await;
    tamper(&house, "session", r#""mode":"ask","#, "").await;
    let state = house.tenant.sessions.state(session).await.unwrap();
    assert_eq!(state.mode, Mode::Deny);
    tamper(
        &house,
        "session",
        r#""schema":1,"#,
        r#""schema":1,"mode":"yolo","#,
    )
    .await;
    let task = house.task(NewTask::new(name("alice"), "count the owls")).await;
    let refused = claim_in(&house, &task, session).await.unwrap_err();
    assert!(matches!(refused, CommandError::Corrupt(_)), "{refused:?}");
    let read = house.tenant.tasks.get(task.id).await.unwrap();
    assert_eq!(read.state.word(), "ready");
}

async fn an_absent_blocking_is_true_and_an_absent_decidable_false(house: House) {
    let asker = Asker::new(&house).await;
    let gate = open(&house, &asker.approval("1", "{}")).await;
    tamper(&house, "gate", r#""decidable":true,"#, "").await;
    tamper(&house, "gate", r#""blocking":true,"#, "").await;
    let read = house.tenant.gates.get(gate.id).await.unwrap();
    assert!(read.blocking && !read.decidable);
    tamper(&house, "session", r#""blocking":true,"#, "").await;
    let state = house.tenant.sessions.state(asker.session).await.unwrap();
    assert!(state.gates.pending.values().all(|pending| pending.blocking));
    assert_eq!(state.row(), Row::Waiting);
}
