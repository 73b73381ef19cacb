//! Deadlines and waits, on clocks that tests move.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dormouse_engine::EngineOptions;
use dormouse_engine::capability::{CapabilityEnd, CapabilityState};
use dormouse_engine::gate::{GateError, GateOptions, NewGate, Reply, Timeout};
use dormouse_filesystem::RecordStore;
use dormouse_secrets::Scrubber;
use dormouse_state::{Invalidation, OnTimeout};
use tokio::time::Instant;

use super::gates::{Asker, approve, events, open, shown, status, yes};
use super::hooked::Hooked;
use super::house::{House, name, operator, tenant_id};

super::on_every_store! {
    /// SG-48
    an_approval_that_races_the_expiry_has_one_outcome_everywhere;
    what_nobody_waits_for_and_what_is_not_decided_here_expire_too;
    a_bad_row_keeps_no_other_gate_and_no_capability_from_its_time;
}

async fn an_approval_that_races_the_expiry_has_one_outcome_everywhere(house: House) {
    let asker = Asker::new(&house).await;
    let gates = &house.tenant.gates;
    for nth in 0..20 {
        let new = NewGate {
            timeout: Timeout::After(Duration::from_secs(2)),
            ..asker.approval(&nth.to_string(), "{}")
        };
        let gate = open(&house, &new).await;
        let decide = shown(&house, &gate, yes()).await;
        let waiter = tokio::spawn({
            let (gates, id) = (gates.clone(), gate.id);
            async move { gates.wait(id).await }
        });
        house.clock.advance(1);
        let by = operator();
        let clock = async {
            tokio::task::yield_now().await;
            house.clock.advance(1);
            house.engine.expire_due().await.unwrap()
        };
        let (decided, due) = tokio::join!(gates.decide(&by, &decide), clock);
        let row = gates.get(gate.id).await.unwrap();
        let waited = waiter.await.unwrap().unwrap();
        assert_eq!(waited, *row, "the waiter is told what is stored");
        let capability = house.tenant.capabilities.get(gate.id).await.unwrap();
        match decided {
            Ok(_) => assert_eq!((row.word(), due.gates), ("approved", 0)),
            Err(GateError::TooLate { .. }) => assert_eq!(row.word(), "expired"),
            Err(other) => panic!("{other}"),
        }
        assert_eq!(capability.is_some(), row.word() == "approved");
        let resolved = events(&house, "gate.resolved").await;
        let about = format!("gate:{}", gate.id);
        let told: Vec<_> = resolved.iter().filter(|event| event.subject == about).collect();
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].data["status"], row.word());
        house.live_on(&asker.claimed, 1).await;
    }

    // Exactly then it is too late: that is told, and nothing of it is applied.
    let new = NewGate {
        timeout: Timeout::After(Duration::from_secs(1)),
        ..asker.approval("late", "{}")
    };
    let gate = open(&house, &new).await;
    let decide = shown(&house, &gate, yes()).await;
    house.clock.advance(1);
    let before = events(&house, "gate.refused").await.len();
    let late = gates.decide(&operator(), &decide).await.unwrap_err();
    assert!(matches!(late, GateError::TooLate { .. }), "{late}");
    assert_eq!(status(&house, &gate).await, "expired");
    assert!(house.tenant.capabilities.get(gate.id).await.unwrap().is_none());
    // A flood of them is not told.
    let told = events(&house, "gate.refused").await.len();
    assert_eq!(told, (before + 1).min(10));
}

async fn what_nobody_waits_for_and_what_is_not_decided_here_expire_too(house: House) {
    let asker = Asker::new(&house).await;
    let short = |new: NewGate| NewGate {
        timeout: Timeout::After(Duration::from_secs(30)),
        ..new
    };
    let seen = NewGate::notification(name("alice"), "look");
    let notification = open(&house, &short(asker.asks(seen, "n"))).await;
    let elsewhere = NewGate {
        reply: Reply::Elsewhere {
            place: "in its terminal".to_owned(),
        },
        ..asker.approval("e", "{}")
    };
    let elsewhere = open(&house, &short(elsewhere)).await;
    house.live_on(&asker.claimed, 30).await;
    assert_eq!(house.engine.expire_due().await.unwrap().gates, 2);
    assert_eq!(status(&house, &notification).await, "expired");
    assert_eq!(status(&house, &elsewhere).await, "expired");
}

async fn a_bad_row_keeps_no_other_gate_and_no_capability_from_its_time(house: House) {
    let asker = Asker::new(&house).await;
    let timed = |call: &str, seconds| NewGate {
        timeout: Timeout::After(Duration::from_secs(seconds)),
        ..asker.approval(call, "{}")
    };
    let approved = open(&house, &asker.approval("0", "{}")).await;
    approve(&house, &approved).await;
    // Its time is up before the other's.
    let bad = open(&house, &timed("1", 10)).await;
    let good = open(&house, &timed("2", 20)).await;
    house.spoil("gate", &bad.id).await;
    house.live_on(&asker.claimed, 60 * 60).await;
    let due = house.engine.expire_due().await.unwrap();
    assert_eq!((due.gates, due.capabilities, due.left), (1, 1, 1));
    assert_eq!(status(&house, &good).await, "expired");
    let capability = house.tenant.capabilities.get(approved.id).await.unwrap();
    assert_eq!(
        capability.unwrap().state,
        CapabilityState::Closed {
            end: CapabilityEnd::Expired
        }
    );
}

/// SG-49, with `what_is_due_expires_by_its_policy_and_never_never_does` and
/// `what_nobody_waits_for_and_what_is_not_decided_here_expire_too`.
#[tokio::test(start_paused = true)]
async fn a_thousand_gates_have_no_timer_of_their_own() {
    let house = House::in_memory().await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let mut opened = Vec::new();
    house.agent("alice").await;
    let before = tasks();
    for _ in 0..100 {
        let asker = Asker::next(&house).await;
        for nth in 0..10 {
            let new = NewGate {
                timeout: Timeout::After(Duration::from_secs(60)),
                on_timeout: OnTimeout::Deny,
                ..asker.approval(&nth.to_string(), "{}")
            };
            opened.push(open(&house, &new).await);
        }
    }
    assert_eq!(tasks(), before, "nothing runs for them");
    let commits = house.event_count().await;
    let began = Instant::now();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(began.elapsed(), Duration::from_secs(3600), "nothing else woke");
    assert_eq!(house.event_count().await, commits);
    house.clock.advance(60);
    assert_eq!(house.engine.expire_due().await.unwrap().gates, 1000);
    for gate in &opened {
        assert_eq!(status(&house, gate).await, "expired");
    }
}

#[tokio::test]
async fn what_is_set_of_gates_holds_for_those_that_do_not_say() {
    let house = House::in_memory().await;
    let asker = Asker::new(&house).await;
    let seconds = |seconds| Timeout::After(Duration::from_secs(seconds));
    let engine = house
        .neighbour_set(EngineOptions {
            gates: GateOptions {
                approval_timeout: seconds(10),
                question_timeout: seconds(20),
                notification_timeout: Timeout::Never,
                capability_ttl: Duration::from_secs(30),
                pending_tenant_max: 3,
                ..GateOptions::default()
            },
            ..EngineOptions::default()
        })
        .await;
    let tenant = engine.tenant(&tenant_id()).await.unwrap();
    let (by, none) = (operator(), Scrubber::empty());
    let ask = async |new: &NewGate| tenant.gates.open(&by, new, &none).await;
    let said = NewGate {
        timeout: seconds(60),
        ..asker.approval("0", "{}")
    };
    let question = asker.asks(NewGate::question(name("alice"), "which?"), "1");
    let notification = asker.asks(NewGate::notification(name("alice"), "look"), "2");
    let mut given = Vec::new();
    for new in [&said, &question, &notification] {
        given.push(ask(new).await.unwrap().gate.timeout_ms);
    }
    assert_eq!(given, [Some(60_000), Some(20_000), None]);
    let full = ask(&asker.approval("3", "{}")).await.unwrap_err();
    assert!(
        matches!(
            full,
            GateError::Full {
                limit: "gates.pending_tenant_max"
            }
        ),
        "{full}"
    );
    tenant
        .gates
        .invalidate(given_id(&house).await, Invalidation::Superseded)
        .await
        .unwrap();
    let asked = ask(&asker.approval("4", "{}")).await.unwrap().gate;
    assert_eq!(asked.timeout_ms, Some(10_000));
    let decide = shown(&house, &asked, yes()).await;
    tenant.gates.decide(&by, &decide).await.unwrap();
    let capability = house.tenant.capabilities.get(asked.id).await.unwrap().unwrap();
    assert_eq!(
        capability.expires_at.duration_since(capability.created_at),
        jiff::SignedDuration::from_secs(30)
    );
}

/// The gate that waits longest.
async fn given_id(house: &House) -> dormouse_engine::GateId {
    let filter = dormouse_engine::gate::GateFilter::default();
    house.tenant.gates.list(&filter, None, 1).await.unwrap().rows[0].id
}

/// SG-58: here two engines share a store; `gates_crash` has two processes on a server.
#[tokio::test(start_paused = true)]
async fn a_decision_of_another_engine_is_seen_at_once_by_hints_and_in_six_seconds_without() {
    for is_deaf in [false, true] {
        let store = Hooked::new();
        store.is_deaf.store(is_deaf, Ordering::SeqCst);
        let house = House::over_shared(Arc::clone(&store) as Arc<dyn RecordStore>).await;
        let asker = Asker::new(&house).await;
        let gate = open(&house, &asker.approval("1", "{}")).await;
        let other = house.neighbour().await.tenant(&tenant_id()).await.unwrap();
        let waiter = tokio::spawn(async move { other.gates.wait(gate.id).await });
        tokio::time::sleep(Duration::from_secs(12)).await;
        assert!(!waiter.is_finished());
        let decided = Instant::now();
        let gate = house.tenant.gates.get(gate.id).await.unwrap().into_inner();
        approve(&house, &gate).await;
        assert_eq!(waiter.await.unwrap().unwrap().word(), "approved");
        let waited = decided.elapsed();
        if is_deaf {
            assert!(waited <= Duration::from_secs(6), "{waited:?}");
        } else {
            assert_eq!(waited, Duration::ZERO);
        }
    }
}

/// SG-72: the row goes between the index and the row itself.
#[tokio::test]
async fn a_row_that_vanishes_under_a_list_is_skipped() {
    let store = Hooked::new();
    let house = House::over_shared(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    let asker = Asker::new(&house).await;
    let stays = open(&house, &asker.approval("1", "{}")).await;
    let goes = open(&house, &asker.approval("2", "{}")).await;
    let key = house
        .entries()
        .await
        .into_iter()
        .map(|entry| entry.key)
        .find(|key| key.to_string().ends_with(&goes.id.to_string()) && key.to_string().contains("/r/gate/"))
        .unwrap();
    *store.vanishing.lock().unwrap() = Some(key);
    let page = house
        .tenant
        .gates
        .list(&dormouse_engine::gate::GateFilter::default(), None, 10)
        .await
        .unwrap();
    assert!(store.vanishing.lock().unwrap().is_none(), "it went meanwhile");
    let ids: Vec<_> = page.rows.iter().map(|gate| gate.id).collect();
    assert_eq!(ids, [stays.id]);
    assert!(page.issues.is_empty(), "{:?}", page.issues);
}
