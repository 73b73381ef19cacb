//! The ways out of pending that no decision is: what ends with a run, a turn or a session, and what is told of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use dormouse_engine::CommandError;
use dormouse_engine::gate::{
    Choice, Decide, Gate, GateError, GateFilter, GateStatus, NewGate, Reply, Restart, Scope,
};
use dormouse_engine::run::ClaimOptions;
use dormouse_filesystem::{Position as At, RecordStore};
use dormouse_state::{
    CallId, EndReason, Event as Seen, Evidence, Invalidation, Observed, Position, RunId, SourceId, Step,
};
use futures::StreamExt;

use super::gates::{Asker, approve, events, open, shown, status, try_open, yes};
use super::hooked::Hooked;
use super::house::{House, facts, operator, success};

super::on_every_store! {
    /// SG-59
    what_ends_around_a_gate_ends_it_and_nothing_brings_it_back;
    /// SG-68, with `a_commit_that_failed_tells_nothing` and `each_way_out_of_pending_is_told_once`.
    each_end_is_told_in_the_commit_that_makes_it;
    evidence_of_an_answer_elsewhere_settles_a_gate_and_approves_nothing;
    /// SG-71
    a_grant_lasts_as_long_as_the_life_of_its_session;
    where_a_gate_is_shown_is_kept_apart_from_it;
}

async fn ended(house: &House, gate: &Gate) -> (GateStatus, Option<Invalidation>) {
    let row = house.tenant.gates.get(gate.id).await.unwrap();
    let end = row.end.as_ref().unwrap();
    (end.status, end.cause)
}

async fn what_ends_around_a_gate_ends_it_and_nothing_brings_it_back(house: House) {
    house.agent("alice").await;
    let gates = house.tenant.gates.clone();
    let ends = [
        Invalidation::RunEnded,
        Invalidation::TurnOver,
        Invalidation::SessionEnded,
        Invalidation::Superseded,
    ];
    for cause in ends {
        let asker = Asker::next(&house).await;
        let gate = open(&house, &asker.approval("1", "{}")).await;
        let decide = shown(&house, &gate, yes()).await;
        let waiter = tokio::spawn({
            let (gates, id) = (gates.clone(), gate.id);
            async move { gates.wait(id).await }
        });
        match cause {
            Invalidation::RunEnded => {
                let runs = &house.tenant.runs;
                runs.finish(&asker.claimed, &success(), &facts()).await.unwrap();
            }
            Invalidation::TurnOver => {
                let begin = dormouse_state::Command::BeginTurn { expected_turn: None };
                let sessions = &house.tenant.sessions;
                let begun = sessions.command(&operator(), asker.session, &begin).await;
                assert!(begun.unwrap().applied().is_some());
            }
            Invalidation::SessionEnded => {
                let sessions = &house.tenant.sessions;
                let end = sessions
                    .end(&operator(), asker.session, EndReason::Operator)
                    .await;
                assert!(end.unwrap().applied().is_some());
            }
            Invalidation::Superseded => {
                assert!(gates.invalidate(gate.id, cause).await.unwrap());
            }
            Invalidation::SettledElsewhere | Invalidation::Restart | Invalidation::AgentDeleted => {
                unreachable!()
            }
        }
        assert_eq!(ended(&house, &gate).await, (GateStatus::Invalidated, Some(cause)));
        let waited = waiter.await.unwrap().unwrap();
        assert_eq!(waited.word(), "invalidated", "who waited is denied");
        let dead = gates.decide(&operator(), &decide).await.unwrap_err();
        assert!(
            matches!(
                dead,
                GateError::NotPending {
                    status: "invalidated",
                    ..
                }
            ),
            "{dead}"
        );
        assert!(!gates.invalidate(gate.id, Invalidation::Restart).await.unwrap());
        assert!(!gates.expire(gate.id).await.unwrap());
        assert_eq!(ended(&house, &gate).await, (GateStatus::Invalidated, Some(cause)));
        assert!(house.tenant.capabilities.get(gate.id).await.unwrap().is_none());
    }
}

async fn each_end_is_told_in_the_commit_that_makes_it(house: House) {
    let asker = Asker::new(&house).await;
    let gates = &house.tenant.gates;
    let mut all = Vec::new();
    for nth in 0..6 {
        all.push(open(&house, &asker.approval(&nth.to_string(), "{}")).await);
    }
    approve(&house, &all[0]).await;
    let no = shown(&house, &all[1], Choice::Reject).await;
    gates.decide(&operator(), &no).await.unwrap();
    gates.discard(&operator(), all[2].id).await.unwrap();
    let causes = [
        Invalidation::Superseded,
        Invalidation::AgentDeleted,
        Invalidation::Restart,
    ];
    for (gate, cause) in all[3..].iter().zip(causes) {
        gates.invalidate(gate.id, cause).await.unwrap();
    }
    let runs = &house.tenant.runs;
    runs.finish(&asker.claimed, &success(), &facts()).await.unwrap();
    let again = Asker::next_in(&house, asker.session).await;
    let left = open(&house, &again.approval("left", "{}")).await;
    all.push(left);
    let sessions = &house.tenant.sessions;
    let end = sessions
        .end(&operator(), asker.session, EndReason::Operator)
        .await;
    assert!(end.unwrap().applied().is_some());
    let resolved = events(&house, "gate.resolved").await;
    assert_eq!(resolved.len(), all.len());
    for gate in &all {
        let row = gates.get(gate.id).await.unwrap();
        let about = format!("gate:{}", gate.id);
        let told: Vec<_> = resolved.iter().filter(|event| event.subject == about).collect();
        assert_eq!(told.len(), 1, "{}", row.word());
        assert_eq!(told[0].op, row.op, "in the commit of the row");
        assert_eq!(told[0].data["status"], row.word());
    }
}

/// A commit that was refused left nothing behind, so nothing is told.
#[tokio::test]
async fn a_commit_that_failed_tells_nothing() {
    let store = Hooked::new();
    let house = House::over_shared(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    let asker = Asker::new(&house).await;
    let gate = open(&house, &asker.approval("1", "{}")).await;
    let decide = shown(&house, &gate, yes()).await;
    let before = house.event_count().await;
    store.is_full.store(true, Ordering::SeqCst);
    house.tenant.gates.decide(&operator(), &decide).await.unwrap_err();
    house
        .tenant
        .gates
        .discard(&operator(), gate.id)
        .await
        .unwrap_err();
    house
        .tenant
        .gates
        .invalidate(gate.id, Invalidation::Superseded)
        .await
        .unwrap_err();
    store.is_full.store(false, Ordering::SeqCst);
    assert_eq!(house.event_count().await, before);
    assert_eq!(status(&house, &gate).await, "pending");
    house.tenant.gates.decide(&operator(), &decide).await.unwrap();
    assert_eq!(events(&house, "gate.resolved").await.len(), 1);
}

async fn evidence_of_an_answer_elsewhere_settles_a_gate_and_approves_nothing(house: House) {
    let asker = Asker::new(&house).await;
    let elsewhere = NewGate {
        reply: Reply::Elsewhere {
            place: "in its terminal".to_owned(),
        },
        ..asker.approval("1", "{}")
    };
    let gate = open(&house, &elsewhere).await;
    let decide = shown(&house, &gate, yes()).await;
    let refused = house.tenant.gates.decide(&operator(), &decide).await.unwrap_err();
    assert!(matches!(refused, GateError::NotDecidable { .. }), "{refused}");
    let finished = Observed {
        incarnation: 1,
        run: Some(RunId::new(asker.claimed.run.id.to_string())),
        source: SourceId::new("stream"),
        position: Position {
            spawn: 1,
            seq: 1_000_000,
        },
        subagent: false,
        starts_turn: false,
        evidence: Evidence::Formal,
        at: dormouse_engine::Clock::now(&*house.clock),
        event: Seen::Working {
            call: Some(CallId::new("1")),
            step: Step::Finished,
        },
    };
    let sessions = &house.tenant.sessions;
    let seen = sessions.observe(asker.session, &finished).await;
    assert!(seen.unwrap().answer.applied().is_some());
    let cause = Some(Invalidation::SettledElsewhere);
    assert_eq!(ended(&house, &gate).await, (GateStatus::Invalidated, cause));
    assert!(house.tenant.capabilities.get(gate.id).await.unwrap().is_none());
    let resolved = events(&house, "gate.resolved").await;
    assert_eq!(resolved[0].data["by"], "terminal");
    assert_eq!(resolved[0].data["inferred"], true);
}

async fn a_grant_lasts_as_long_as_the_life_of_its_session(house: House) {
    let asker = Asker::new(&house).await;
    let gates = &house.tenant.gates;
    let offered = |asker: &Asker, call: &str, input: &str, is_offered| NewGate {
        reply: Reply::Acp,
        offers_session: is_offered,
        ..asker.approval(call, input)
    };
    let suppressed = open(&house, &offered(&asker, "0", "{}", false)).await;
    let for_session = async |gate: &Gate| {
        let decide = Decide {
            scope: Scope::Session,
            ..shown(&house, gate, yes()).await
        };
        gates.decide(&operator(), &decide).await
    };
    let refused = for_session(&suppressed).await.unwrap_err();
    assert!(
        matches!(refused, GateError::Invalid { field: "scope", .. }),
        "{refused}"
    );
    let granted = open(&house, &offered(&asker, "1", "{}", true)).await;
    for_session(&granted).await.unwrap();
    let equal = open(&house, &offered(&asker, "2", "{}", true)).await;
    let end = equal.end.as_ref().unwrap();
    assert_eq!((equal.word(), end.by.kind.word()), ("approved", "grant"));
    let resolved = events(&house, "gate.resolved").await;
    assert!(resolved.iter().any(|event| event.data["by"] == "grant"));
    assert_eq!(
        open(&house, &offered(&asker, "3", r#"{"b":1}"#, true))
            .await
            .word(),
        "pending"
    );

    let runs = &house.tenant.runs;
    runs.finish(&asker.claimed, &success(), &facts()).await.unwrap();
    let sessions = &house.tenant.sessions;
    let end = sessions
        .end(&operator(), asker.session, EndReason::Operator)
        .await;
    assert!(end.unwrap().applied().is_some());
    assert!(
        gates
            .grants(Some(asker.session), None, 10)
            .await
            .unwrap()
            .0
            .is_empty()
    );
    assert_eq!(events(&house, "gate.grant_revoked").await.len(), 1);
    assert_eq!(sessions.reopen(&operator(), asker.session).await.unwrap(), 2);
    let next = Asker::next_in(&house, asker.session).await;
    let mut anew = offered(&next, "4", "{}", true);
    let stale = try_open(&house, &anew).await.unwrap_err();
    assert!(
        matches!(stale, GateError::StaleIncarnation { current: 2, .. }),
        "{stale}"
    );
    anew.session.as_mut().unwrap().incarnation = 2;
    assert_eq!(open(&house, &anew).await.word(), "pending");
}

async fn where_a_gate_is_shown_is_kept_apart_from_it(house: House) {
    let asker = Asker::new(&house).await;
    let gate = open(&house, &asker.approval("1", "{}")).await;
    let gates = &house.tenant.gates;
    let before = gates.get(gate.id).await.unwrap().version();
    let reference = dormouse_secrets::Scrubbed::constant("message 17");
    for nth in 0..9 {
        let surface = format!("surface-{nth}").parse().unwrap();
        let shown = gates
            .shown(&operator(), gate.id, &surface, Some(&reference))
            .await;
        assert_eq!(shown.is_ok(), nth < 8, "{shown:?}");
    }
    gates
        .shown(&operator(), gate.id, &"surface-1".parse().unwrap(), None)
        .await
        .unwrap();
    let shown = gates.displays(gate.id).await.unwrap();
    assert_eq!(shown.len(), 8);
    assert_eq!(
        shown.iter().filter(|display| display.reference.is_some()).count(),
        7
    );
    assert_eq!(gates.get(gate.id).await.unwrap().version(), before);
    assert!("Un fit".parse::<dormouse_engine::gate::Surface>().is_err());
}

/// SG-67
#[tokio::test]
async fn subscribers_that_fail_hang_or_panic_change_nothing() {
    let house = House::in_memory().await;
    let asker = Asker::new(&house).await;
    let events = house.tenant.events.clone();
    let mut hangs = Box::pin(events.follow(At::START));
    let _ = hangs.next().await;
    let panics = tokio::spawn({
        let mut follow = Box::pin(events.follow(At::START));
        async move {
            while let Some(event) = follow.next().await {
                assert_ne!(event.unwrap().event.kind, "gate.opened", "as it is meant to");
            }
        }
    });
    let fails = tokio::spawn({
        let mut follow = Box::pin(events.follow(At::START));
        async move {
            let first = follow.next().await.unwrap().unwrap();
            Err::<(), _>(first.event.kind)
        }
    });
    let serves = tokio::spawn({
        let mut follow = Box::pin(events.follow(At::START));
        async move {
            let mut resolved = 0;
            while resolved < 50 {
                let event = follow.next().await.unwrap().unwrap().event;
                resolved += usize::from(event.kind == "gate.resolved");
            }
            resolved
        }
    });
    for nth in 0..50 {
        let gate = open(&house, &asker.approval(&nth.to_string(), "{}")).await;
        assert_eq!(approve(&house, &gate).await.word(), "approved");
    }
    assert_eq!(serves.await.unwrap(), 50);
    assert!(panics.await.unwrap_err().is_panic());
    fails.await.unwrap().unwrap_err();
    drop(hangs);
}

/// Outside of a session nothing but its run sees to a gate.
#[tokio::test]
async fn a_gate_that_would_come_after_the_end_of_its_run_is_not_opened() {
    let store = Hooked::new();
    let house = House::over_shared(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    let asker = Asker::new(&house).await;
    let new = NewGate {
        session: None,
        ..asker.approval("1", "{}")
    };
    let (runs, claimed) = (house.tenant.runs.clone(), asker.claimed);
    store.before_commit(async move {
        runs.finish(&claimed, &success(), &facts()).await.unwrap();
    });
    let refused = try_open(&house, &new).await;
    assert!(
        matches!(refused, Err(GateError::Command(CommandError::Rejected { .. }))),
        "{refused:?}"
    );
    let filter = GateFilter::default();
    let page = house.tenant.gates.list(&filter, None, 10).await.unwrap();
    assert!(page.rows.is_empty(), "{:?}", page.rows);
}

/// Its first run is lost; the next attempt asks the same and waits.
#[tokio::test]
async fn under_invalidate_a_gate_that_a_live_run_took_over_is_left_alone() {
    let house = House::over_shared(Hooked::new()).await;
    let mut asker = Asker::new(&house).await;
    let gate = open(&house, &asker.approval("1", "{}")).await;
    let successor = house.neighbour_on(Some(House::seat())).await;
    successor.recover(&super::house::NoOrphans).await.unwrap();
    let options = ClaimOptions {
        session: Some(asker.session),
        ..ClaimOptions::default()
    };
    let (runs, task) = (&house.tenant.runs, asker.claimed.task.id);
    asker.claimed = runs.claim(&operator(), task, options).await.unwrap();
    assert_eq!(open(&house, &asker.approval("1", "{}")).await.id, gate.id);
    let recovered = successor.recover_gates(Restart::Invalidate).await.unwrap();
    assert_eq!(recovered.invalidated, 0);
    assert_eq!(status(&house, &gate).await, "pending");
}
