//! Every state of gates and capabilities × every command, through the services: the answers of the tables, and what is
//! ignored or refused leaves every byte as it was.

use std::time::Duration;

use dormouse_engine::capability::{Capability, CapabilityEnd, CapabilityError, CapabilityState};
use dormouse_engine::gate::{
    Choice, Decide, Gate, GateCell, GateError, GateEvent, GateIgnored, GateRefused, GateState, GateStatus,
    NewGate, OpenedHow, Timeout, decide,
};
use dormouse_engine::{Channel, Principal};
use dormouse_state::{GateKind, Invalidation};

use super::gates::{Asker, approve, open, shown, try_open, yes};
use super::house::{House, facts, failed, name, operator};

super::on_every_store! {
    /// SG-46, with `gates_move_as_the_table_says` and `the_winner_repeats_and_is_answered_as_the_first_time`.
    every_state_of_a_gate_meets_every_command;
    /// SG-75, with `capabilities_move_as_the_table_says` and `of_two_claimers_one_has_it_and_a_second_use_is_closed`.
    every_state_of_a_capability_meets_every_command;
}

/// What is asked in a state: what its decision can be made of.
fn kind(state: GateState) -> GateKind {
    match state {
        GateState::Pending(kind) => kind,
        GateState::Ended(GateStatus::Answered) => GateKind::Question,
        GateState::Ended(_) => GateKind::Approval,
    }
}

fn new(asker: &Asker, call: &str, kind: GateKind) -> NewGate {
    let new = match kind {
        GateKind::Approval => asker.approval(call, "{}"),
        GateKind::Question => asker.asks(NewGate::question(name("alice"), "which?"), call),
        GateKind::Notification => asker.asks(NewGate::notification(name("alice"), "look"), call),
    };
    NewGate {
        timeout: Timeout::After(Duration::from_secs(10)),
        ..new
    }
}

fn answer() -> Choice {
    Choice::Answer {
        text: Some(dormouse_secrets::Scrubbed::constant("that one")),
        chosen: Vec::new(),
    }
}

/// A gate brought into a state.
async fn in_state(house: &House, asker: &Asker, state: GateState, call: &str) -> Gate {
    let gates = &house.tenant.gates;
    let gate = open(house, &new(asker, call, kind(state))).await;
    let decided = async |choice| {
        let decide = shown(house, &gate, choice).await;
        gates.decide(&operator(), &decide).await.unwrap();
    };
    match state {
        GateState::Pending(_) => {}
        GateState::Ended(GateStatus::Approved) => decided(yes()).await,
        GateState::Ended(GateStatus::Rejected) => decided(Choice::Reject).await,
        GateState::Ended(GateStatus::Answered) => decided(answer()).await,
        GateState::Ended(GateStatus::Expired) => {
            house.live_on(&asker.claimed, 10).await;
            assert!(gates.expire(gate.id).await.unwrap());
        }
        GateState::Ended(GateStatus::Invalidated) => {
            assert!(gates.invalidate(gate.id, Invalidation::Superseded).await.unwrap());
        }
        GateState::Ended(GateStatus::Discarded) => drop(gates.discard(&operator(), gate.id).await.unwrap()),
    }
    gates.get(gate.id).await.unwrap().into_inner()
}

/// What the table says, where its checks come before it: a decision of the wrong type is refused whatever the state.
fn expected(state: GateState, event: GateEvent) -> GateCell {
    let is_decision = match event {
        GateEvent::Approve { .. } => Some(GateKind::Approval),
        GateEvent::Answer { .. } => Some(GateKind::Question),
        GateEvent::Reject { .. } => Some(kind(state)),
        GateEvent::Expire { .. }
        | GateEvent::Invalidate
        | GateEvent::Discard
        | GateEvent::OpenAgain { .. } => None,
    };
    let pending = GateState::Pending(kind(state));
    match is_decision {
        Some(_) if decide(pending, event) == GateCell::Refuse(GateRefused::Type) => {
            GateCell::Refuse(GateRefused::Type)
        }
        _ => decide(state, event),
    }
}

/// Whether the services can get there: the same person repeats only what was decided.
fn is_reachable(state: GateState, event: GateEvent) -> bool {
    let repeated = match event {
        GateEvent::Approve { is_replay } => is_replay.then_some(GateStatus::Approved),
        GateEvent::Reject { is_replay } => is_replay.then_some(GateStatus::Rejected),
        GateEvent::Answer { is_replay } => is_replay.then_some(GateStatus::Answered),
        GateEvent::OpenAgain { is_spent: true } => Some(GateStatus::Approved),
        GateEvent::Expire { .. }
        | GateEvent::Invalidate
        | GateEvent::Discard
        | GateEvent::OpenAgain { is_spent: false } => None,
    };
    repeated.is_none_or(|status| state == GateState::Ended(status))
}

/// The word of what the service answered.
fn word(answer: Result<GateCell, GateError>) -> String {
    match answer {
        Ok(cell) => cell.word().to_owned(),
        Err(GateError::WrongType { .. }) => "x:type".to_owned(),
        Err(GateError::TooLate { .. }) => "x:too_late".to_owned(),
        Err(GateError::NotPending { .. }) => "x:not_pending".to_owned(),
        Err(other) => panic!("{other}"),
    }
}

async fn applied(house: &House, asker: &Asker, gate: &Gate, event: GateEvent, call: &str) -> String {
    let gates = &house.tenant.gates;
    let by = |is_replay| match is_replay {
        true => operator(),
        false => Principal::operator("somebody-else", Channel::Http),
    };
    let decided = async |choice, is_replay: bool| -> Result<GateCell, GateError> {
        let was_pending = gate.is_pending();
        let decide: Decide = shown(house, gate, choice).await;
        let after = gates.decide(&by(is_replay), &decide).await?;
        Ok(if was_pending {
            GateCell::End(after.end.unwrap().status)
        } else {
            GateCell::Ignore(GateIgnored::Replay)
        })
    };
    let answer = match event {
        GateEvent::Approve { is_replay } => decided(yes(), is_replay).await,
        GateEvent::Reject { is_replay } => decided(Choice::Reject, is_replay).await,
        GateEvent::Answer { is_replay } => decided(answer(), is_replay).await,
        GateEvent::Expire { is_due } => {
            if is_due {
                house.live_on(&asker.claimed, 10).await;
            }
            Ok(match (gates.expire(gate.id).await.unwrap(), gate.is_pending()) {
                (true, _) => GateCell::End(GateStatus::Expired),
                (false, true) => GateCell::Ignore(GateIgnored::NotDue),
                (false, false) => GateCell::Ignore(GateIgnored::Late),
            })
        }
        GateEvent::Invalidate => Ok(
            match gates.invalidate(gate.id, Invalidation::Restart).await.unwrap() {
                true => GateCell::End(GateStatus::Invalidated),
                false => GateCell::Ignore(GateIgnored::Late),
            },
        ),
        GateEvent::Discard => gates.discard(&operator(), gate.id).await.map(|_| {
            if gate.is_pending() {
                GateCell::End(GateStatus::Discarded)
            } else {
                GateCell::Ignore(GateIgnored::Same)
            }
        }),
        GateEvent::OpenAgain { .. } => {
            let opened = try_open(house, &new(asker, call, gate.kind)).await.unwrap();
            if opened.how == OpenedHow::New {
                assert_eq!(opened.gate.previous, Some(gate.id));
            }
            let status = opened.gate.end.as_ref().map(|end| end.status);
            Ok(match (opened.how, status) {
                (OpenedHow::New, _) => GateCell::OpenNew,
                (_, None) => GateCell::Ignore(GateIgnored::SameGate),
                (_, Some(GateStatus::Discarded)) => GateCell::Ignore(GateIgnored::SameNo),
                (_, Some(_)) => GateCell::Ignore(GateIgnored::SameDecision),
            })
        }
    };
    word(answer)
}

async fn every_state_of_a_gate_meets_every_command(house: House) {
    house.agent("alice").await;
    for state in GateState::ALL {
        let asker = Asker::next(&house).await;
        for event in GateEvent::ALL
            .into_iter()
            .filter(|event| is_reachable(state, *event))
        {
            let (call, what) = (event.word(), format!("{state:?} × {}", event.word()));
            let gate = in_state(&house, &asker, state, call).await;
            if event == (GateEvent::OpenAgain { is_spent: true }) {
                house
                    .tenant
                    .capabilities
                    .revoke(&operator(), gate.id)
                    .await
                    .unwrap();
            }
            let before = house.tenant.gates.get(gate.id).await.unwrap();
            let events = house.event_count().await;
            let cell = expected(state, event);
            assert_eq!(
                applied(&house, &asker, &gate, event, call).await,
                cell.word(),
                "{what}"
            );
            let after = house.tenant.gates.get(gate.id).await.unwrap();
            match cell {
                GateCell::End(status) => assert_eq!(after.state(), GateState::Ended(status), "{what}"),
                GateCell::Ignore(_) => {
                    assert_eq!(
                        (after.version(), house.event_count().await),
                        (before.version(), events),
                        "{what}"
                    );
                }
                GateCell::OpenNew | GateCell::Refuse(_) => {
                    assert_eq!(after.version(), before.version(), "{what}");
                }
            }
            let capability = house.tenant.capabilities.get(gate.id).await.unwrap();
            assert_eq!(capability.is_some(), after.word() == "approved", "{what}");
        }
    }
}

/// A capability brought into a phase.
async fn in_phase(house: &House, asker: &Asker, phase: &str, call: &str) -> Gate {
    let gate = open(house, &asker.approval(call, "{}")).await;
    let gate = approve(house, &gate).await;
    let capabilities = &house.tenant.capabilities;
    if phase == "revoked" {
        capabilities.revoke(&operator(), gate.id).await.unwrap();
    }
    if ["claimed", "dispatching", "consumed"].contains(&phase) {
        capabilities
            .claim(gate.id, gate.digest, &asker.claimed)
            .await
            .unwrap();
    }
    if ["dispatching", "consumed"].contains(&phase) {
        capabilities
            .begin_dispatch(gate.id, &asker.claimed)
            .await
            .unwrap();
    }
    if phase == "consumed" {
        let end = CapabilityEnd::Done;
        capabilities.finish(gate.id, &asker.claimed, end).await.unwrap();
    }
    gate
}

fn said(answer: Result<Capability, CapabilityError>) -> String {
    match answer {
        Ok(capability) => match capability.state {
            CapabilityState::Active => "active".to_owned(),
            CapabilityState::Claimed { .. } => "claimed".to_owned(),
            CapabilityState::Dispatching { .. } => "dispatching".to_owned(),
            CapabilityState::Closed { end } => format!("{end:?}").to_lowercase(),
        },
        Err(CapabilityError::Mismatch) => "x:mismatch".to_owned(),
        Err(CapabilityError::Closed { .. }) => "x:closed".to_owned(),
        Err(CapabilityError::Refused { reason }) => format!("x:{reason}"),
        Err(other) => panic!("{other}"),
    }
}

/// Rows as in the contract; what its holder answers. A second holder cannot be while the first one is: it is fenced.
const CAPABILITIES: [(&str, [&str; 8]); 6] = [
    // claim, other call, begin_dispatch, abort, abort maybe done, finish, revoke, holder gone
    (
        "active",
        [
            "claimed",
            "x:mismatch",
            "x:not_claimed",
            "x:not_claimed",
            "x:not_claimed",
            "x:not_claimed",
            "revoked",
            "active",
        ],
    ),
    (
        "claimed",
        [
            "claimed",
            "x:mismatch",
            "dispatching",
            "active",
            "active",
            "x:not_dispatching",
            "revoked",
            "active",
        ],
    ),
    (
        "dispatching",
        [
            "dispatching",
            "x:mismatch",
            "dispatching",
            "claimed",
            "x:under_way",
            "done",
            "x:under_way",
            "unknown",
        ],
    ),
    (
        "consumed",
        [
            "x:closed", "x:closed", "x:closed", "x:closed", "x:closed", "done", "done", "done",
        ],
    ),
    (
        "revoked",
        [
            "x:closed", "x:closed", "x:closed", "x:closed", "x:closed", "x:closed", "revoked", "revoked",
        ],
    ),
    (
        "expired",
        [
            "x:closed", "x:closed", "x:closed", "x:closed", "x:closed", "x:closed", "expired", "expired",
        ],
    ),
];

async fn every_state_of_a_capability_meets_every_command(house: House) {
    house.agent("alice").await;
    let capabilities = &house.tenant.capabilities;
    for (phase, answers) in CAPABILITIES {
        let asker = Asker::next(&house).await;
        let other = open(&house, &asker.approval("other", r#"{"other":1}"#))
            .await
            .digest;
        let mut gates = Vec::new();
        for nth in 0..answers.len() {
            gates.push(in_phase(&house, &asker, phase, &nth.to_string()).await);
        }
        if phase == "expired" {
            house.live_on(&asker.claimed, 3600).await;
            house.engine.expire_due().await.unwrap();
        }
        for (nth, gate) in gates.iter().enumerate().take(answers.len() - 1) {
            let (id, by) = (gate.id, &asker.claimed);
            let before = capabilities.get(id).await.unwrap().unwrap();
            let events = house.event_count().await;
            let answer = match nth {
                0 => capabilities.claim(id, gate.digest, by).await,
                1 => capabilities.claim(id, other, by).await,
                2 => capabilities.begin_dispatch(id, by).await,
                3 => capabilities.abort(id, by, true).await,
                4 => capabilities.abort(id, by, false).await,
                5 => capabilities.finish(id, by, CapabilityEnd::Done).await,
                _ => capabilities.revoke(&operator(), id).await,
            };
            let is_refused = answer.is_err();
            assert_eq!(said(answer), answers[nth], "{phase}, command {nth}");
            let after = capabilities.get(id).await.unwrap().unwrap();
            if is_refused {
                assert_eq!(
                    (after.version(), &*after),
                    (before.version(), &*before),
                    "{phase}, command {nth}"
                );
                assert_eq!(house.event_count().await, events);
            }
        }
        let runs = &house.tenant.runs;
        runs.finish(&asker.claimed, &failed(true), &facts())
            .await
            .unwrap();
        let last = capabilities.get(gates[7].id).await.unwrap().unwrap();
        assert_eq!(
            said(Ok(Capability::clone(&last))),
            answers[7],
            "{phase}, holder gone"
        );
    }
}
