//! Decisions on gates: the order of the checks, the races, and what each way out of pending leaves behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dormouse_engine::gate::{
    Approvers, Choice, Decide, EditedInput, GateError, NewGate, Reply, Scope, Timeout,
};
use dormouse_engine::{AgentName, Channel, Principal, PrincipalKind};
use dormouse_filesystem::Digest;
use dormouse_secrets::Scrubber;
use dormouse_state::Invalidation;

use super::gates::{Asker, approve, events, open, shown, status, try_open, yes};
use super::house::{House, facts, name, operator, success};

super::on_every_store! {
    /// SG-45, with `an_approval_that_races_a_discard_is_never_lost` and two processes in `gates_crash`.
    of_100_deciders_one_wins_and_the_others_are_told_who;
    an_approval_that_races_a_discard_is_never_lost;
    the_winner_repeats_and_is_answered_as_the_first_time;
    /// SG-47
    a_discarded_gate_is_gone_but_for_its_id_and_key;
    /// SG-60
    an_approval_fits_one_digest_and_an_edit_only_its_own;
    /// SG-64
    what_was_shown_otherwise_is_changed_and_an_old_button_is_dead;
    /// SG-65
    all_is_what_was_shown_and_each_has_its_own_answer;
    /// SG-63
    a_run_never_decides_and_a_right_taken_away_is_gone_at_once;
    each_way_out_of_pending_is_told_once;
    what_is_asked_elsewhere_is_not_decided_here;

    an_approval_for_the_session_lets_equal_calls_through_until_it_is_taken_back;
}

/// One of many.
fn decider(nth: usize) -> Principal {
    Principal::operator(format!("decider-{nth}"), Channel::Http)
}

async fn of_100_deciders_one_wins_and_the_others_are_told_who(house: House) {
    let asker = Asker::new(&house).await;
    let gate = open(&house, &asker.approval("1", "{}")).await;
    let approve = shown(&house, &gate, yes()).await;
    let reject = shown(&house, &gate, Choice::Reject).await;
    let other = house
        .neighbour()
        .await
        .tenant(&super::house::tenant_id())
        .await
        .unwrap();
    let deciding = (0..100).map(|nth| {
        // By two engines over the store, and both ways.
        let gates = if nth % 4 < 2 {
            &house.tenant.gates
        } else {
            &other.gates
        };
        let decide = if nth % 2 == 0 { &approve } else { &reject };
        let (gates, decide) = (gates.clone(), decide.clone());
        tokio::spawn(async move { gates.decide(&decider(nth), &decide).await })
    });
    let answers = futures::future::join_all(deciding.collect::<Vec<_>>()).await;
    let mut won = Vec::new();
    let mut named = Vec::new();
    for answer in answers {
        match answer.unwrap() {
            Ok(gate) => won.push(gate.end.unwrap().by.principal.name),
            Err(GateError::NotPending { by, .. }) => named.push(by.principal.name.clone()),
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((won.len(), named.len()), (1, 99));
    assert!(named.iter().all(|name| *name == won[0]));
    assert_eq!(events(&house, "gate.resolved").await.len(), 1);
}

async fn an_approval_that_races_a_discard_is_never_lost(house: House) {
    let asker = Asker::new(&house).await;
    for nth in 0..20 {
        let gate = open(&house, &asker.approval(&nth.to_string(), "{}")).await;
        let decide = shown(&house, &gate, yes()).await;
        let (gates, by) = (&house.tenant.gates, operator());
        let (approved, discarded) = tokio::join!(gates.decide(&by, &decide), gates.discard(&by, gate.id));
        assert_ne!(approved.is_ok(), discarded.is_ok(), "one of them was it");
        let capability = house.tenant.capabilities.get(gate.id).await.unwrap();
        assert_eq!(capability.is_some(), approved.is_ok());
    }
}

async fn the_winner_repeats_and_is_answered_as_the_first_time(house: House) {
    let asker = Asker::new(&house).await;
    let gate = open(&house, &asker.approval("1", "{}")).await;
    let decide = shown(&house, &gate, yes()).await;
    let first = house.tenant.gates.decide(&operator(), &decide).await.unwrap();
    let before = house.event_count().await;
    assert_eq!(
        house.tenant.gates.decide(&operator(), &decide).await.unwrap(),
        first
    );
    assert_eq!(house.event_count().await, before);
    let other = house.tenant.gates.decide(&decider(1), &decide).await.unwrap_err();
    assert!(matches!(
        other,
        GateError::NotPending {
            status: "approved",
            ..
        }
    ));

    let gate = open(&house, &asker.approval("2", "{}")).await;
    let no = shown(&house, &gate, Choice::Reject).await;
    house.tenant.gates.decide(&operator(), &no).await.unwrap();
    assert!(house.tenant.capabilities.get(gate.id).await.unwrap().is_none());
}

async fn a_discarded_gate_is_gone_but_for_its_id_and_key(house: House) {
    let asker = Asker::new(&house).await;
    let new = NewGate {
        detail: Some("in detail".to_owned()),
        ..asker.approval("1", r#"{"pay":"load"}"#)
    };
    let gate = open(&house, &new).await;
    let decide = shown(&house, &gate, yes()).await;
    let gates = &house.tenant.gates;
    gates.discard(&operator(), gate.id).await.unwrap();
    gates.discard(&operator(), gate.id).await.unwrap();
    for scope in [Scope::Once, Scope::Session] {
        let decide = Decide {
            scope,
            ..decide.clone()
        };
        let refused = gates.decide(&operator(), &decide).await.unwrap_err();
        assert!(
            matches!(
                refused,
                GateError::NotPending {
                    status: "discarded",
                    ..
                }
            ),
            "{refused}"
        );
    }
    let again = try_open(&house, &asker.approval("1", r#"{"pay":"load"}"#))
        .await
        .unwrap();
    assert_eq!((again.gate.id, again.gate.word()), (gate.id, "discarded"));
    let stored = serde_json::to_string(&*gates.get(gate.id).await.unwrap()).unwrap();
    assert!(!stored.contains("pay") && !stored.contains("detail"), "{stored}");
    assert!(
        gates
            .list(&Default::default(), None, 10)
            .await
            .unwrap()
            .rows
            .is_empty()
    );
}

async fn an_approval_fits_one_digest_and_an_edit_only_its_own(house: House) {
    let asker = Asker::new(&house).await;
    let gate = open(&house, &asker.approval("1", r#"{"a":1}"#)).await;
    let other = open(&house, &asker.approval("2", r#"{"a":2}"#)).await;
    approve(&house, &gate).await;
    let capabilities = &house.tenant.capabilities;
    let before = capabilities.get(gate.id).await.unwrap().unwrap();
    let mismatch = capabilities
        .claim(gate.id, other.digest, &asker.claimed)
        .await
        .unwrap_err();
    assert_eq!(mismatch.to_string(), "the approval is for another call");
    let after = capabilities.get(gate.id).await.unwrap().unwrap();
    assert_eq!((before.version(), &*before), (after.version(), &*after));

    let edited = EditedInput::new(r#"{"a":3}"#, &Scrubber::empty()).unwrap();
    let decide = shown(
        &house,
        &other,
        Choice::Approve {
            edited: Some(edited.clone()),
        },
    )
    .await;
    house.tenant.gates.decide(&operator(), &decide).await.unwrap();
    assert!(
        capabilities
            .claim(other.id, other.digest, &asker.claimed)
            .await
            .is_err()
    );
    let fits = open(&house, &asker.approval("3", r#"{"a":3}"#)).await.digest;
    capabilities.claim(other.id, fits, &asker.claimed).await.unwrap();

    let stiff = NewGate {
        reply: Reply::Acp,
        ..asker.approval("4", r#"{"a":1}"#)
    };
    let stiff = open(&house, &stiff).await;
    let decide = shown(&house, &stiff, Choice::Approve { edited: Some(edited) }).await;
    let refused = house.tenant.gates.decide(&operator(), &decide).await.unwrap_err();
    assert!(
        matches!(refused, GateError::Invalid { field: "edited", .. }),
        "{refused}"
    );
    assert!(EditedInput::new("{", &Scrubber::empty()).is_err());
}

async fn what_was_shown_otherwise_is_changed_and_an_old_button_is_dead(house: House) {
    let asker = Asker::new(&house).await;
    let first = open(&house, &asker.approval("1", "{}")).await;
    let second = open(&house, &asker.approval("2", r#"{"b":1}"#)).await;
    let right = shown(&house, &first, yes()).await;
    let version = Decide {
        shown_version: shown(&house, &second, yes()).await.shown_version,
        ..right.clone()
    };
    let digest = Decide {
        shown_digest: Digest::of(b"another"),
        ..right.clone()
    };
    for wrong in [version, digest] {
        let refused = house.tenant.gates.decide(&operator(), &wrong).await.unwrap_err();
        assert!(matches!(refused, GateError::Changed { .. }), "{refused}");
    }
    let next = dormouse_state::Command::BeginTurn { expected_turn: None };
    let by = operator();
    let began = house.tenant.sessions.command(&by, asker.session, &next).await;
    assert!(began.unwrap().applied().is_some());
    let dead = house.tenant.gates.decide(&operator(), &right).await.unwrap_err();
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
    let ended = house.tenant.gates.get(first.id).await.unwrap();
    assert_eq!(ended.end.as_ref().unwrap().cause, Some(Invalidation::TurnOver));
    assert_eq!(events(&house, "gate.refused").await.len(), 2);
}

async fn all_is_what_was_shown_and_each_has_its_own_answer(house: House) {
    let asker = Asker::new(&house).await;
    let mut all = Vec::new();
    for call in ["1", "2", "3"] {
        let gate = open(&house, &asker.approval(call, "{}")).await;
        all.push(shown(&house, &gate, yes()).await);
    }
    let since = open(&house, &asker.approval("4", "{}")).await;
    let gates = &house.tenant.gates;
    for shown in &all {
        let gate = gates.decide(&operator(), shown).await.unwrap();
        assert_eq!(gate.word(), "approved");
    }
    assert_eq!(status(&house, &since).await, "pending");

    let mut all = Vec::new();
    for call in ["5", "6", "7"] {
        let gate = open(&house, &asker.approval(call, "{}")).await;
        all.push(shown(&house, &gate, yes()).await);
    }
    gates.discard(&operator(), all[1].gate).await.unwrap();
    for (shown, is_there) in all.iter().zip([true, false, true]) {
        assert_eq!(gates.decide(&operator(), shown).await.is_ok(), is_there);
    }
}

/// Lets decide while its right stands.
#[derive(Debug)]
struct Revocable(AtomicBool);

#[async_trait::async_trait]
impl Approvers for Revocable {
    async fn may_decide(&self, _: &Principal, _: &AgentName) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

pub(super) async fn a_run_never_decides_and_a_right_taken_away_is_gone_at_once(house: House) {
    let asker = Asker::new(&house).await;
    let gate = open(&house, &asker.approval("1", "{}")).await;
    let decide = shown(&house, &gate, yes()).await;
    let run = Principal {
        kind: PrincipalKind::Run,
        ..operator()
    };
    let refused = house.tenant.gates.decide(&run, &decide).await.unwrap_err();
    assert!(matches!(refused, GateError::Forbidden { .. }), "{refused}");
    let refused = house.tenant.gates.discard(&run, gate.id).await.unwrap_err();
    assert!(matches!(refused, GateError::Forbidden { .. }), "{refused}");

    let right = Arc::new(Revocable(AtomicBool::new(true)));
    let engine = house
        .neighbour_with(Arc::clone(&right) as Arc<dyn Approvers>)
        .await;
    let tenant = engine.tenant(&super::house::tenant_id()).await.unwrap();
    right.0.store(false, Ordering::SeqCst);
    let refused = tenant.gates.decide(&operator(), &decide).await.unwrap_err();
    assert!(matches!(refused, GateError::Forbidden { .. }), "{refused}");
    let refused = tenant.gates.discard(&operator(), gate.id).await.unwrap_err();
    assert!(matches!(refused, GateError::Forbidden { .. }), "{refused}");
    assert_eq!(status(&house, &gate).await, "pending");
    let told = events(&house, "gate.refused").await;
    assert_eq!(told.len(), 4);
    assert!(told.iter().all(|event| event.data["reason"] == "forbidden"));

    let other = engine.tenant(&"other".parse().unwrap()).await.unwrap();
    let foreign = other.gates.decide(&operator(), &decide).await.unwrap_err();
    assert!(matches!(foreign, GateError::UnknownGate { .. }), "{foreign}");
}

async fn each_way_out_of_pending_is_told_once(house: House) {
    let asker = Asker::new(&house).await;
    let gates = &house.tenant.gates;
    let mut expected = Vec::new();
    for (nth, choice) in [yes(), Choice::Reject].into_iter().enumerate() {
        let gate = open(&house, &asker.approval(&nth.to_string(), "{}")).await;
        let decide = shown(&house, &gate, choice).await;
        expected.push(gates.decide(&operator(), &decide).await.unwrap());
    }
    let question = open(&house, &asker.asks(NewGate::question(name("alice"), "?"), "q")).await;
    let answer = Choice::Answer {
        text: Some(Scrubber::empty().scrub("that one")),
        chosen: Vec::new(),
    };
    let decide = shown(&house, &question, answer).await;
    expected.push(gates.decide(&operator(), &decide).await.unwrap());
    let discarded = open(&house, &asker.approval("d", "{}")).await;
    expected.push(gates.discard(&operator(), discarded.id).await.unwrap());
    let short = NewGate {
        timeout: Timeout::After(std::time::Duration::from_secs(60)),
        ..asker.approval("e", "{}")
    };
    let expired = open(&house, &short).await;
    house.live_on(&asker.claimed, 60).await;
    assert!(gates.expire(expired.id).await.unwrap());
    let superseded = open(&house, &asker.approval("s", "{}")).await;
    assert!(
        gates
            .invalidate(superseded.id, Invalidation::Superseded)
            .await
            .unwrap()
    );
    let ended = open(&house, &asker.approval("r", "{}")).await;
    house
        .tenant
        .runs
        .finish(&asker.claimed, &success(), &facts())
        .await
        .unwrap();
    let mut found: Vec<(String, String)> = Vec::new();
    for event in events(&house, "gate.resolved").await {
        let status = event.data["status"].as_str().unwrap().to_owned();
        found.push((event.subject, status));
    }
    expected.push((*gates.get(expired.id).await.unwrap()).clone());
    expected.push((*gates.get(superseded.id).await.unwrap()).clone());
    expected.push((*gates.get(ended.id).await.unwrap()).clone());
    let expected: Vec<(String, String)> = expected
        .iter()
        .map(|gate| (format!("gate:{}", gate.id), gate.word().to_owned()))
        .collect();
    assert_eq!(found, expected);
}

async fn what_is_asked_elsewhere_is_not_decided_here(house: House) {
    let asker = Asker::new(&house).await;
    let new = NewGate {
        reply: Reply::Elsewhere {
            place: "in its terminal".to_owned(),
        },
        ..asker.approval("1", "{}")
    };
    let gate = open(&house, &new).await;
    let decide = shown(&house, &gate, yes()).await;
    let refused = house.tenant.gates.decide(&operator(), &decide).await.unwrap_err();
    assert_eq!(refused.to_string(), "it can only be answered in its terminal");
    assert_eq!(events(&house, "gate.refused").await.len(), 1);
}

async fn an_approval_for_the_session_lets_equal_calls_through_until_it_is_taken_back(house: House) {
    let asker = Asker::new(&house).await;
    let offered = |call: &str, input: &str| NewGate {
        reply: Reply::Acp,
        offers_session: true,
        ..asker.approval(call, input)
    };
    let gates = &house.tenant.gates;
    let suppressed = NewGate {
        offers_session: false,
        ..offered("0", "{}")
    };
    let suppressed = open(&house, &suppressed).await;
    let decide = Decide {
        scope: Scope::Session,
        ..shown(&house, &suppressed, yes()).await
    };
    let refused = gates.decide(&operator(), &decide).await.unwrap_err();
    assert!(
        matches!(refused, GateError::Invalid { field: "scope", .. }),
        "{refused}"
    );
    gates.discard(&operator(), suppressed.id).await.unwrap();

    let gate = open(&house, &offered("1", "{}")).await;
    let decide = Decide {
        scope: Scope::Session,
        ..shown(&house, &gate, yes()).await
    };
    gates.decide(&operator(), &decide).await.unwrap();
    let equal = open(&house, &offered("2", "{}")).await;
    assert_eq!(equal.word(), "approved");
    assert!(house.tenant.capabilities.get(equal.id).await.unwrap().is_some());
    let another = open(&house, &offered("3", r#"{"b":1}"#)).await;
    assert_eq!(another.word(), "pending");
    let resolved = events(&house, "gate.resolved").await;
    assert!(resolved.iter().any(|event| event.data["by"] == "grant"));
    assert_eq!(events(&house, "gate.granted").await.len(), 1);

    let grants = gates.grants(Some(asker.session), None, 10).await.unwrap().0;
    assert_eq!(grants.len(), 1);
    assert!(gates.revoke(&operator(), grants[0].gate).await.unwrap());
    assert_eq!(open(&house, &offered("4", "{}")).await.word(), "pending");
    assert_eq!(events(&house, "gate.grant_revoked").await.len(), 1);
}
