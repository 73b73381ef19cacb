//! Gates through their service: opening, finding, waiting, expiring, and losing their meaning.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dormouse_engine::event::Event;
use dormouse_engine::gate::{
    Call, Caller, Canonical, Choice, Decide, Gate, GateError, GateFilter, GateStatus, Input, NewGate,
    OpenedHow, Restart, SeenIn, Timeout,
};
use dormouse_engine::run::{ClaimOptions, Claimed};
use dormouse_engine::task::NewTask;
use dormouse_engine::{PrefixedId, SessionId, session};
use dormouse_secrets::{Redaction, Scrubber, Secret, SecretName};
use dormouse_state::{Display, Evidence, Invalidation, OnTimeout, Position, SourceId};

use super::house::{House, facts, name, operator, success};

/// A run at work in a session, and what it asks.
#[derive(Debug)]
pub(super) struct Asker {
    pub(super) claimed: Claimed,
    pub(super) session: SessionId,
}

impl Asker {
    pub(super) async fn new(house: &House) -> Self {
        house.agent("alice").await;
        Self::next(house).await
    }

    /// The run of one more task.
    pub(super) async fn next(house: &House) -> Self {
        let session = SessionId::make(
            "2026-03-01T12:00:00Z".parse().unwrap(),
            &house.engine.environment().random,
        );
        Self::next_in(house, session).await
    }

    /// The same in a session that may have had runs.
    pub(super) async fn next_in(house: &House, session: SessionId) -> Self {
        let task = house.task(NewTask::new(name("alice"), "count the sheep")).await;
        let options = ClaimOptions {
            session: Some(session),
            ..ClaimOptions::default()
        };
        let claimed = house
            .tenant
            .runs
            .claim(&operator(), task.id, options)
            .await
            .unwrap();
        Self { claimed, session }
    }

    pub(super) fn caller(&self) -> Caller {
        Caller {
            run: self.claimed.run.id,
            spawn: 1,
        }
    }

    /// May this call be made?
    pub(super) fn approval(&self, call: &str, input: &str) -> NewGate {
        self.asks(NewGate::approval(name("alice"), call_of(input), "run it"), call)
    }

    pub(super) fn asks(&self, new: NewGate, call: &str) -> NewGate {
        static SEQ: AtomicU64 = AtomicU64::new(1);
        NewGate {
            task: self.claimed.run.task,
            caller: Some(self.caller()),
            session: Some(SeenIn {
                session: self.session,
                incarnation: 1,
                source: SourceId::new("stream"),
                position: Position {
                    spawn: 1,
                    seq: SEQ.fetch_add(1, Ordering::Relaxed),
                },
                evidence: Evidence::Formal,
            }),
            call_id: Some(call.to_owned()),
            ..new
        }
    }

    pub(super) async fn display(&self, house: &House) -> Display {
        let row = session::get(house.tenant.space(), self.session)
            .await
            .unwrap()
            .unwrap();
        row.display(dormouse_engine::Clock::now(&*house.clock)).unwrap()
    }
}

pub(super) fn call_of(input: &str) -> Call {
    Call::new("Bash", Input::Given(Canonical::parse(input).unwrap()))
}

pub(super) async fn open(house: &House, new: &NewGate) -> Gate {
    let opened = try_open(house, new).await.unwrap();
    opened.gate
}

pub(super) async fn try_open(
    house: &House,
    new: &NewGate,
) -> Result<dormouse_engine::gate::Opened, GateError> {
    house
        .tenant
        .gates
        .open(&operator(), new, &Scrubber::empty())
        .await
}

/// A decision on the gate as it is now.
pub(super) async fn shown(house: &House, gate: &Gate, choice: Choice) -> Decide {
    let read = house.tenant.gates.get(gate.id).await.unwrap();
    Decide {
        gate: gate.id,
        choice,
        shown_version: read.version(),
        shown_digest: read.digest,
        scope: dormouse_engine::gate::Scope::Once,
        comment: None,
    }
}

pub(super) fn yes() -> Choice {
    Choice::Approve { edited: None }
}

pub(super) async fn approve(house: &House, gate: &Gate) -> Gate {
    let decide = shown(house, gate, yes()).await;
    house.tenant.gates.decide(&operator(), &decide).await.unwrap()
}

pub(super) async fn status(house: &House, gate: &Gate) -> String {
    house.tenant.gates.get(gate.id).await.unwrap().word().to_owned()
}

pub(super) async fn events(house: &House, kind: &str) -> Vec<Event> {
    let mut events = house.events().await;
    events.retain(|event| event.kind == kind);
    events
}

super::on_every_store! {
    a_blocking_gate_moves_its_session_in_its_commit_and_the_decision_moves_it_on;
    /// SG-52
    two_calls_at_once_have_a_gate_each_and_no_cooldown_swallows_one;
    /// SG-53
    the_same_call_again_finds_its_gate_and_another_input_asks_anew;
    an_equal_call_of_the_next_process_takes_the_gate_over_once;
    /// SG-55
    what_a_run_asked_ends_with_it_when_nobody_tries_again;
    /// SG-57
    a_gate_has_one_waiter_and_dropping_it_decides_nothing;
    /// SG-66
    the_101st_pending_gate_is_refused_and_none_removed;
    the_end_of_a_run_invalidates_what_it_asked_and_releases_who_waits;
    a_gate_outside_a_session_ends_with_its_run;
    what_is_due_expires_by_its_policy_and_never_never_does;
    a_restart_adds_no_time_and_pulls_in_what_is_too_far_away;
    the_pending_ones_are_listed_first_and_discarded_ones_not_at_all;
    /// SG-62
    a_secret_in_the_input_is_shown_scrubbed_and_the_digest_is_of_the_real_one;
    /// SG-72, and `a_row_that_vanishes_under_a_list_is_skipped`.
    a_session_keeps_its_newest_100_ended_gates_whole;
}

super::on_every_store_of_one_process! {
    under_invalidate_a_restart_ends_each_pending_gate_by_one_event;
}

async fn a_blocking_gate_moves_its_session_in_its_commit_and_the_decision_moves_it_on(house: House) {
    let asker = Asker::new(&house).await;
    let gate = open(&house, &asker.approval("1", "{}")).await;
    assert_eq!(asker.display(&house).await, Display::AwaitingHuman);
    assert_eq!(gate.session.unwrap().turn, 1);
    approve(&house, &gate).await;
    assert_eq!(asker.display(&house).await, Display::Working);
    let resolved = events(&house, "gate.resolved").await;
    assert_eq!(resolved.len(), 1);
    assert_eq!(resolved[0].data["by"], "person");
    assert_eq!(resolved[0].subject, format!("gate:{}", gate.id));
}

async fn two_calls_at_once_have_a_gate_each_and_no_cooldown_swallows_one(house: House) {
    let asker = Asker::new(&house).await;
    let (first, second) = (asker.approval("1", "{}"), asker.approval("2", "{}"));
    let (first, second) = tokio::join!(open(&house, &first), open(&house, &second));
    assert_ne!(first.id, second.id);
    approve(&house, &first).await;
    assert_eq!(status(&house, &first).await, "approved");
    assert_eq!(status(&house, &second).await, "pending");
    house.clock.advance(5);
    let third = open(&house, &asker.approval("3", "{}")).await;
    assert!(third.id != first.id && third.id != second.id);
}

async fn the_same_call_again_finds_its_gate_and_another_input_asks_anew(house: House) {
    let asker = Asker::new(&house).await;
    let gate = open(&house, &asker.approval("1", r#"{"a":1}"#)).await;
    let again = try_open(&house, &asker.approval("1", r#"{ "a": 1 }"#))
        .await
        .unwrap();
    assert_eq!((again.gate.id, again.how), (gate.id, OpenedHow::Found));
    let house = house.reopened().await;
    let resumed = try_open(&house, &asker.approval("1", r#"{"a":1}"#))
        .await
        .unwrap();
    assert_eq!((resumed.gate.id, resumed.how), (gate.id, OpenedHow::Found));
    let other = open(&house, &asker.approval("1", r#"{"a":2}"#)).await;
    assert_ne!(other.id, gate.id);
    house.recover().await;
    let asker = Asker::next(&house).await;
    let gate = open(&house, &asker.approval("1", r#"{"a":1}"#)).await;
    let runs = &house.tenant.runs;
    runs.started(&asker.claimed, None).await.unwrap();
    runs.park(&asker.claimed, gate.id, Duration::from_secs(1))
        .await
        .unwrap();
    approve(&house, &gate).await;
    let task = house.tenant.tasks.get(asker.claimed.task.id).await.unwrap();
    let asker = Asker {
        claimed: house.claim(&task).await,
        ..asker
    };
    assert_eq!(asker.claimed.run.spawn, 2);
    let decided = try_open(&house, &asker.approval("1", r#"{"a":1}"#))
        .await
        .unwrap();
    assert_eq!((decided.gate.id, decided.gate.word()), (gate.id, "approved"));
    assert_eq!(events(&house, "gate.opened").await.len(), 3);
}

async fn what_a_run_asked_ends_with_it_when_nobody_tries_again(house: House) {
    let mut asker = Asker::new(&house).await;
    let gate = open(&house, &asker.approval("1", "{}")).await;
    let task = asker.claimed.task.id;
    for lost in 1..=4 {
        house
            .successor()
            .await
            .recover(&super::house::NoOrphans)
            .await
            .unwrap();
        if lost < 4 {
            assert_eq!(status(&house, &gate).await, "pending", "it is tried again");
            let options = ClaimOptions {
                session: Some(asker.session),
                ..ClaimOptions::default()
            };
            let runs = &house.tenant.runs;
            asker.claimed = runs.claim(&operator(), task, options).await.unwrap();
        }
    }
    let end = house
        .tenant
        .gates
        .get(gate.id)
        .await
        .unwrap()
        .end
        .clone()
        .unwrap();
    assert_eq!(end.cause, Some(Invalidation::RunEnded));
    let session = house.tenant.sessions.require(asker.session).await.unwrap();
    assert_eq!(session.state.row(), dormouse_state::Row::Error);

    let asker = Asker::next(&house).await;
    let gate = open(&house, &asker.approval("2", "{}")).await;
    let runs = &house.tenant.runs;
    runs.started(&asker.claimed, None).await.unwrap();
    runs.park(&asker.claimed, gate.id, Duration::from_secs(1))
        .await
        .unwrap();
    let waiter = tokio::spawn({
        let (gates, id) = (house.tenant.gates.clone(), gate.id);
        async move { gates.wait(id).await }
    });
    let tasks = &house.tenant.tasks;
    tasks
        .cancel(&operator(), asker.claimed.task.id, None)
        .await
        .unwrap();
    assert_eq!(waiter.await.unwrap().unwrap().word(), "invalidated");
}

pub(super) async fn an_equal_call_of_the_next_process_takes_the_gate_over_once(house: House) {
    let asker = Asker::new(&house).await;
    let gate = open(&house, &asker.approval("1", "{}")).await;
    let of_spawn = |call: &str, spawn| NewGate {
        caller: Some(Caller {
            spawn,
            ..asker.caller()
        }),
        ..asker.approval(call, "{}")
    };
    let adopted = try_open(&house, &of_spawn("2", 2)).await.unwrap();
    assert_eq!((adopted.gate.id, adopted.how), (gate.id, OpenedHow::Adopted));
    let further = try_open(&house, &of_spawn("3", 2)).await.unwrap();
    assert_eq!(further.how, OpenedHow::New);
    assert_ne!(further.gate.id, gate.id);
    assert_eq!(events(&house, "gate.adopted").await.len(), 1);
}

async fn a_gate_has_one_waiter_and_dropping_it_decides_nothing(house: House) {
    let asker = Asker::new(&house).await;
    let gate = open(&house, &asker.approval("1", "{}")).await;
    let gates = &house.tenant.gates;
    {
        let mut dropped = Box::pin(gates.wait(gate.id));
        assert!(futures::poll!(dropped.as_mut()).is_pending());
        assert_eq!(gates.waiting(), 1);
    }
    assert_eq!(
        (gates.waiting(), status(&house, &gate).await.as_str()),
        (0, "pending")
    );

    let waiter = tokio::spawn({
        let (gates, gate) = (gates.clone(), gate.id);
        async move { gates.wait(gate).await }
    });
    while gates.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    let second = gates.wait(gate.id).await.unwrap_err();
    assert!(matches!(second, GateError::AlreadyAwaited { .. }), "{second}");
    approve(&house, &gate).await;
    assert_eq!(waiter.await.unwrap().unwrap().word(), "approved");
    assert_eq!(gates.wait(gate.id).await.unwrap().word(), "approved", "at once");
    assert_eq!(gates.waiting(), 0);
}

pub(super) async fn the_101st_pending_gate_is_refused_and_none_removed(house: House) {
    let asker = Asker::new(&house).await;
    for nth in 0..100 {
        open(&house, &asker.approval(&nth.to_string(), "{}")).await;
    }
    let full = try_open(&house, &asker.approval("100", "{}")).await.unwrap_err();
    assert!(matches!(full, GateError::Full { .. }), "{full}");
    let filter = GateFilter {
        session: Some(asker.session),
        is_pending: true,
        ..GateFilter::default()
    };
    let pending = house.tenant.gates.list(&filter, None, 1000).await.unwrap();
    assert_eq!(pending.rows.len(), 100);
    assert_eq!(events(&house, "limit.reached").await.len(), 1);
}

async fn the_end_of_a_run_invalidates_what_it_asked_and_releases_who_waits(house: House) {
    let asker = Asker::new(&house).await;
    let gate = open(&house, &asker.approval("1", "{}")).await;
    let gates = &house.tenant.gates;
    let (success, facts) = (success(), facts());
    let finish = house.tenant.runs.finish(&asker.claimed, &success, &facts);
    let (waited, finished) = tokio::join!(gates.wait(gate.id), finish);
    finished.unwrap();
    let end = waited.unwrap().end.unwrap();
    assert_eq!(
        (end.status, end.cause),
        (GateStatus::Invalidated, Some(Invalidation::RunEnded))
    );
    let decide = shown(&house, &gate, yes()).await;
    let late = gates.decide(&operator(), &decide).await.unwrap_err();
    assert!(
        matches!(
            late,
            GateError::NotPending {
                status: "invalidated",
                ..
            }
        ),
        "{late}"
    );
    assert_eq!(events(&house, "gate.resolved").await.len(), 1);
}

async fn a_gate_outside_a_session_ends_with_its_run(house: House) {
    let task = house.ready_task().await;
    let claimed = house.claim(&task).await;
    let new = NewGate {
        caller: Some(Caller {
            run: claimed.run.id,
            spawn: 1,
        }),
        ..NewGate::question(name("alice"), "which sheep?")
    };
    let gate = open(&house, &new).await;
    house
        .tenant
        .runs
        .finish(&claimed, &success(), &facts())
        .await
        .unwrap();
    assert_eq!(status(&house, &gate).await, "invalidated");
}

async fn what_is_due_expires_by_its_policy_and_never_never_does(house: House) {
    let asker = Asker::new(&house).await;
    let short = |call: &str, on_timeout| NewGate {
        timeout: Timeout::After(Duration::from_secs(60)),
        on_timeout,
        ..asker.approval(call, "{}")
    };
    let deny = open(&house, &short("1", OnTimeout::Deny)).await;
    let never = NewGate {
        timeout: Timeout::Never,
        ..asker.approval("2", "{}")
    };
    let never = open(&house, &never).await;
    let default = open(&house, &asker.approval("3", "{}")).await;
    house.clock.advance(59);
    assert_eq!(house.engine.expire_due().await.unwrap().gates, 0);
    house.clock.advance(1);
    // Not expired yet by a commit, and yet its time is up.
    let decide = shown(&house, &deny, yes()).await;
    let late = house.tenant.gates.decide(&operator(), &decide).await.unwrap_err();
    assert!(matches!(late, GateError::TooLate { .. }), "{late}");
    assert_eq!(status(&house, &deny).await, "expired");
    assert!(house.tenant.capabilities.get(deny.id).await.unwrap().is_none());

    let pause = open(&house, &short("4", OnTimeout::Pause)).await;
    house.clock.advance(60);
    assert_eq!(house.engine.expire_due().await.unwrap().gates, 1);
    assert_eq!(house.engine.expire_due().await.unwrap().gates, 0);
    assert_eq!(status(&house, &pause).await, "expired");
    assert_eq!(
        asker.claimed.stop.reason().map(|reason| reason.word()),
        Some("cancel")
    );
    house.clock.advance(24 * 3600);
    assert_eq!(house.engine.expire_due().await.unwrap().gates, 1);
    assert_eq!(status(&house, &default).await, "expired");
    assert_eq!(status(&house, &never).await, "pending");
    assert_eq!(events(&house, "gate.resolved").await.len(), 3);
}

async fn a_restart_adds_no_time_and_pulls_in_what_is_too_far_away(house: House) {
    let asker = Asker::new(&house).await;
    let five = NewGate {
        timeout: Timeout::After(Duration::from_secs(300)),
        ..asker.approval("1", "{}")
    };
    let gate = open(&house, &five).await;
    house.clock.advance(180);
    let house = house.reopened().await;
    let recovered = house.engine.recover_gates(Restart::Keep).await.unwrap();
    assert_eq!((recovered.expired, recovered.pulled_in), (0, 0));
    assert_eq!(
        house.tenant.gates.get(gate.id).await.unwrap().expires_at,
        gate.expires_at
    );
    house.clock.advance(-3780);
    let house = house.reopened().await;
    let recovered = house.engine.recover_gates(Restart::Keep).await.unwrap();
    assert_eq!(recovered.pulled_in, 1);
    house.clock.advance(300);
    let house = house.reopened().await;
    let recovered = house.engine.recover_gates(Restart::Keep).await.unwrap();
    assert_eq!(recovered.expired, 1);
    assert_eq!(status(&house, &gate).await, "expired");
}

async fn under_invalidate_a_restart_ends_each_pending_gate_by_one_event(house: House) {
    let asker = Asker::new(&house).await;
    for call in ["1", "2"] {
        open(&house, &asker.approval(call, "{}")).await;
    }
    let house = house.reopened().await;
    let recovered = house.engine.recover_gates(Restart::Invalidate).await.unwrap();
    assert_eq!(recovered.invalidated, 2);
    let again = house.engine.recover_gates(Restart::Invalidate).await.unwrap();
    assert_eq!(again.invalidated, 0);
    let resolved = events(&house, "gate.resolved").await;
    assert_eq!(resolved.len(), 2);
    assert!(
        resolved
            .iter()
            .all(|event| event.data["cause"] == "restart" && event.data["by"] == "restart")
    );
}

async fn the_pending_ones_are_listed_first_and_discarded_ones_not_at_all(house: House) {
    let asker = Asker::new(&house).await;
    let mut gates = Vec::new();
    for nth in 0..6 {
        house.clock.advance(1);
        gates.push(open(&house, &asker.approval(&nth.to_string(), "{}")).await);
    }
    approve(&house, &gates[0]).await;
    house.clock.advance(1);
    approve(&house, &gates[1]).await;
    house
        .tenant
        .gates
        .discard(&operator(), gates[2].id)
        .await
        .unwrap();
    for filter in [
        GateFilter::default(),
        GateFilter {
            agent: Some(name("alice")),
            ..GateFilter::default()
        },
    ] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = house.tenant.gates.list(&filter, after, 2).await.unwrap();
            found.extend(page.rows.iter().map(|gate| gate.id));
            let Some(next) = page.next else { break };
            after = Some(dormouse_engine::gate::GateCursor::from_text(&next.to_text()).unwrap());
        }
        let expected = [3, 4, 5, 1, 0].map(|nth: usize| gates[nth].id);
        assert_eq!(found, expected);
    }
}

async fn a_secret_in_the_input_is_shown_scrubbed_and_the_digest_is_of_the_real_one(house: House) {
    let asker = Asker::new(&house).await;
    let redaction = Redaction::new(
        SecretName::parse("TOKEN").unwrap(),
        Secret::new(b"sk-very-secret-value".to_vec()),
    );
    let scrubber = Scrubber::new(vec![redaction.unwrap()]).unwrap();
    let input = "{\"cmd\":\"curl -H sk-very-secret-value \u{202e}\\u0000\\u001b[2K\"}";
    let new = asker.approval("1", input);
    let opened = house
        .tenant
        .gates
        .open(&operator(), &new, &scrubber)
        .await
        .unwrap();
    let shown = opened.gate.content.as_ref().unwrap().shown_input().unwrap();
    assert!(!shown.contains("sk-very-secret-value"), "{shown}");
    assert!(
        shown.contains("\\u{202e}") && shown.contains("\\u0000") && shown.contains("\\u001b"),
        "{shown}"
    );
    let asked = dormouse_engine::gate::Asker {
        tenant: &super::house::tenant_id(),
        agent: &name("alice"),
        kind: new.kind,
    };
    assert_eq!(opened.gate.digest, new.call.digest(asked));
    let stored = serde_json::to_string(&opened.gate).unwrap();
    assert!(!stored.contains("sk-very-secret-value"));
}

async fn a_session_keeps_its_newest_100_ended_gates_whole(house: House) {
    let asker = Asker::new(&house).await;
    for nth in 0..150 {
        house.clock.advance(1);
        let gate = open(&house, &asker.approval(&nth.to_string(), "{}")).await;
        approve(&house, &gate).await;
    }
    let pending = open(&house, &asker.approval("pending", "{}")).await;
    house.clock.advance(1);
    let gates = &house.tenant.gates;
    let mut janitor = house.engine.janitor();
    assert_eq!(janitor.look().await.unwrap().erased, 50);
    assert_eq!(janitor.look().await.unwrap().erased, 0);
    let page = gates.list(&GateFilter::default(), None, 1000).await.unwrap();
    assert_eq!(page.rows.len(), 151);
    assert_eq!(
        page.rows.iter().filter(|gate| gate.content.is_some()).count(),
        101
    );
    assert!(page.rows[101..].iter().all(|gate| {
        let end = gate.end.as_ref().unwrap();
        gate.content.is_none() && gate.call.is_none() && end.said.is_none()
    }));
    house.clock.advance(90 * 24 * 3600 + 200);
    assert_eq!(janitor.look().await.unwrap().erased, 100);
    house.clock.advance(90 * 24 * 3600);
    assert_eq!(janitor.look().await.unwrap().removed, 150);
    assert_eq!(status(&house, &pending).await, "pending");
}
