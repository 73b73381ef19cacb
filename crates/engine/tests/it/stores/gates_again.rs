//! Calls that ask again: which gate they find, what becomes of a task and its session meanwhile, and grants that meet.

use std::sync::Arc;
use std::time::Duration;

use dormouse_engine::capability::CapabilityError;
use dormouse_engine::gate::{Caller, Decide, Gate, NewGate, OpenedHow, Reply, Scope};
use dormouse_engine::run::ClaimOptions;
use dormouse_engine::task::TaskState;
use dormouse_engine::{PrefixedId, SessionId};
use dormouse_filesystem::RecordStore;
use dormouse_state::{Command, EndReason, Row};

use super::gates::{Asker, approve, open, shown, status, try_open, yes};
use super::hooked::Hooked;
use super::house::{House, NoOrphans, operator};
use super::on_every_store;

/// The same question by another process of its run.
fn of_spawn(asker: &Asker, call: &str, spawn: u32) -> NewGate {
    NewGate {
        caller: Some(Caller {
            spawn,
            ..asker.caller()
        }),
        ..asker.approval(call, "{}")
    }
}

async fn who_found_a_gate_waits_for_it_and_an_equal_call_beside_it_has_its_own(house: House) {
    let asker = Asker::new(&house).await;
    let gate = open(&house, &of_spawn(&asker, "1", 1)).await;
    approve(&house, &gate).await;
    let found = try_open(&house, &of_spawn(&asker, "1", 2)).await.unwrap();
    assert_eq!((found.gate.id, found.how), (gate.id, OpenedHow::Found));
    let beside = try_open(&house, &of_spawn(&asker, "2", 2)).await.unwrap();
    assert_eq!(
        (beside.gate.word(), beside.how),
        ("pending", OpenedHow::New),
        "one approval is for one call"
    );
}

async fn a_key_whose_gate_another_call_took_over_leads_to_it_no_more(house: House) {
    let asker = Asker::new(&house).await;
    let gate = open(&house, &of_spawn(&asker, "1", 1)).await;
    let adopted = try_open(&house, &of_spawn(&asker, "named", 2)).await.unwrap();
    assert_eq!((adopted.gate.id, adopted.how), (gate.id, OpenedHow::Adopted));
    let own = try_open(&house, &of_spawn(&asker, "1", 2)).await.unwrap();
    assert_eq!(own.how, OpenedHow::New);
    assert_ne!(own.gate.id, gate.id);
    let again = try_open(&house, &of_spawn(&asker, "1", 2)).await.unwrap();
    assert_eq!((again.gate.id, again.how), (own.gate.id, OpenedHow::Found));
}

async fn equal_gates_are_both_approved_for_the_session_and_one_grant_stands(house: House) {
    let asker = Asker::new(&house).await;
    let offered = |call: &str| NewGate {
        reply: Reply::Acp,
        offers_session: true,
        ..asker.approval(call, "{}")
    };
    let (one, other) = (
        open(&house, &offered("1")).await,
        open(&house, &offered("2")).await,
    );
    let gates = &house.tenant.gates;
    for gate in [&one, &other] {
        let decide = Decide {
            scope: Scope::Session,
            ..shown(&house, gate, yes()).await
        };
        assert_eq!(
            gates.decide(&operator(), &decide).await.unwrap().word(),
            "approved"
        );
    }
    let grants = gates.grants(Some(asker.session), None, 10).await.unwrap().0;
    assert_eq!(grants.len(), 1);
    assert_eq!(grants[0].gate, one.id);
}

#[tokio::test]
async fn a_grant_that_is_taken_back_while_a_call_asks_approves_it_no_more() {
    let store = Hooked::new();
    let house = House::over_shared(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    let asker = Asker::new(&house).await;
    let offered = |call: &str| NewGate {
        reply: Reply::Acp,
        offers_session: true,
        ..asker.approval(call, "{}")
    };
    let decide = Decide {
        scope: Scope::Session,
        ..shown(&house, &open(&house, &offered("1")).await, yes()).await
    };
    house.tenant.gates.decide(&operator(), &decide).await.unwrap();
    let entries = house.entries().await;
    let grant = entries
        .into_iter()
        .find(|entry| entry.kind.as_str() == "standing_grant");
    *store.vanishing_at_commit.lock().unwrap() = Some(grant.unwrap().key);
    let asked = try_open(&house, &offered("2")).await.unwrap();
    assert!(
        store.vanishing_at_commit.lock().unwrap().is_none(),
        "it went between its read and the commit"
    );
    assert_eq!((asked.gate.word(), asked.how), ("pending", OpenedHow::New));
}

async fn a_parked_task_goes_on_when_a_new_turn_ends_its_gate(house: House) {
    let asker = Asker::new(&house).await;
    let gate = open(&house, &asker.approval("1", "{}")).await;
    let runs = &house.tenant.runs;
    runs.started(&asker.claimed, None).await.unwrap();
    let parked = runs.park(&asker.claimed, gate.id, Duration::from_secs(1));
    parked.await.unwrap();
    let begins = Command::BeginTurn { expected_turn: None };
    let sessions = &house.tenant.sessions;
    let begun = sessions.command(&operator(), asker.session, &begins).await;
    assert!(begun.unwrap().applied().is_some());
    assert_eq!(status(&house, &gate).await, "invalidated");
    let task = house.tenant.tasks.get(asker.claimed.task.id).await.unwrap();
    assert_eq!(task.state, TaskState::Ready);
}

async fn a_task_called_off_between_two_attempts_leaves_its_session_free(house: House) {
    let asker = Asker::new(&house).await;
    let gate = open(&house, &asker.approval("1", "{}")).await;
    let successor = house.successor().await;
    successor.recover(&NoOrphans).await.unwrap();
    assert_eq!(status(&house, &gate).await, "pending", "it is tried again");
    let task = asker.claimed.task.id;
    house.tenant.tasks.cancel(&operator(), task, None).await.unwrap();
    assert_eq!(status(&house, &gate).await, "invalidated");
    let state = house.tenant.sessions.state(asker.session).await.unwrap();
    assert_eq!((state.row(), state.run.is_some()), (Row::Idle, false));
    let next = Asker::next_in(&house, asker.session).await;
    assert_eq!(next.claimed.run.session, Some(asker.session));
}

on_every_store! {
    /// One approval reached two calls before.
    who_found_a_gate_waits_for_it_and_an_equal_call_beside_it_has_its_own;
    a_key_whose_gate_another_call_took_over_leads_to_it_no_more;
    equal_gates_are_both_approved_for_the_session_and_one_grant_stands;
    a_parked_task_goes_on_when_a_new_turn_ends_its_gate;
    a_task_called_off_between_two_attempts_leaves_its_session_free;
    what_was_approved_in_a_session_that_has_ended_is_asked_anew;
    what_was_approved_in_a_former_life_of_a_session_is_for_nobody_in_the_next;
}

/// The run of the next attempt at a task, in a session.
async fn next_attempt(house: &House, asker: &Asker, session: SessionId) -> Asker {
    let options = ClaimOptions {
        session: Some(session),
        ..ClaimOptions::default()
    };
    let task = asker.claimed.task.id;
    let claimed = house.tenant.runs.claim(&operator(), task, options).await.unwrap();
    Asker { claimed, session }
}

/// A run that is lost after its gate was approved, and whose session has ended since.
async fn approved_and_ended(house: &House) -> (Asker, Gate) {
    let asker = Asker::new(house).await;
    let gate = open(house, &asker.approval("1", "{}")).await;
    approve(house, &gate).await;
    let successor = house.successor().await;
    successor.recover(&NoOrphans).await.unwrap();
    let sessions = &house.tenant.sessions;
    let ended = sessions
        .end(&operator(), asker.session, EndReason::Operator)
        .await;
    assert!(ended.unwrap().applied().is_some());
    (asker, gate)
}

async fn what_was_approved_in_a_session_that_has_ended_is_asked_anew(house: House) {
    let (asker, gate) = approved_and_ended(&house).await;

    let another = SessionId::make(
        "2026-03-02T12:00:00Z".parse().unwrap(),
        &house.engine.environment().random,
    );
    let next = next_attempt(&house, &asker, another).await;
    let asked = try_open(&house, &next.approval("1", "{}")).await.unwrap();
    assert_eq!((asked.how, asked.gate.previous), (OpenedHow::New, Some(gate.id)));
    approve(&house, &asked.gate).await;
    let capabilities = &house.tenant.capabilities;
    let claimed = capabilities
        .claim(asked.gate.id, asked.gate.digest, &next.claimed)
        .await;
    claimed.unwrap();
}

async fn what_was_approved_in_a_former_life_of_a_session_is_for_nobody_in_the_next(house: House) {
    let (asker, gate) = approved_and_ended(&house).await;
    let sessions = &house.tenant.sessions;
    assert_eq!(sessions.reopen(&operator(), asker.session).await.unwrap(), 2);

    let next = next_attempt(&house, &asker, asker.session).await;
    let capabilities = &house.tenant.capabilities;
    let refused = capabilities.claim(gate.id, gate.digest, &next.claimed).await;
    assert!(
        matches!(refused, Err(CapabilityError::Unknown { .. })),
        "{refused:?}"
    );
    let of_life_2 = |call: &str| {
        let mut new = next.approval(call, "{}");
        new.session.as_mut().unwrap().incarnation = 2;
        new
    };
    let asked = try_open(&house, &of_life_2("1")).await.unwrap();
    assert_eq!((asked.how, asked.gate.previous), (OpenedHow::New, Some(gate.id)));
    let other = try_open(&house, &of_life_2("2")).await.unwrap();
    assert_eq!(other.how, OpenedHow::New, "nor is it adopted");
}
