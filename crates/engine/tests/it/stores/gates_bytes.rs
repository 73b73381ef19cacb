//! What is stored of gates, to the byte: nothing that was withdrawn, no secret, and no event that repeats what was said.

use dormouse_engine::gate::{Choice, Decide, EditedInput, NewGate, Reply, Scope};
use dormouse_engine::limits::GATE_COMMENT_MAX;
use dormouse_secrets::{Redaction, Scrubber, Secret, SecretName};
use dormouse_state::Invalidation;

use super::gates::{Asker, open, shown, yes};
use super::house::{House, facts, name, operator, success};

super::on_every_store! {
    /// SG-47, and `a_discarded_gate_is_gone_but_for_its_id_and_key` for its answers.
    what_a_discarded_gate_held_is_in_no_byte_of_the_store;
    /// SG-73
    no_event_of_a_run_holds_what_was_asked_or_said;
    what_is_said_is_cut_with_a_mark;
}

async fn what_a_discarded_gate_held_is_in_no_byte_of_the_store(house: House) {
    let asker = Asker::new(&house).await;
    let new = NewGate {
        detail: Some("withdrawn-detail".to_owned()),
        ..asker.approval("withdrawn-call", r#"{"with":"drawn-input"}"#)
    };
    let gate = open(&house, &new).await;
    assert!(house.stored().await.contains("drawn-input"));
    house.tenant.gates.discard(&operator(), gate.id).await.unwrap();
    let stored = house.stored().await;
    for gone in ["withdrawn-detail", "drawn-input"] {
        assert!(!stored.contains(gone), "{gone} in {stored}");
    }
}

const TOKEN: &str = "sk-very-secret-value";

fn scrubber() -> Scrubber {
    let redaction = Redaction::new(
        SecretName::parse("TOKEN").unwrap(),
        Secret::new(TOKEN.as_bytes().to_vec()),
    );
    Scrubber::new(vec![redaction.unwrap()]).unwrap()
}

async fn no_event_of_a_run_holds_what_was_asked_or_said(house: House) {
    let asker = Asker::new(&house).await;
    let gates = &house.tenant.gates;
    let scrubber = scrubber();
    let mut digests = Vec::new();
    let mut opened = Vec::new();
    for nth in 0..6 {
        let input = format!(r#"{{"asked":"for-this-{nth}","with":"{TOKEN}"}}"#);
        let new = NewGate {
            reply: if nth == 1 { Reply::Acp } else { Reply::Mcp },
            offers_session: nth == 1,
            detail: Some("in-detail".to_owned()),
            ..asker.approval(&format!("call-{nth}"), &input)
        };
        let gate = gates.open(&operator(), &new, &scrubber).await.unwrap().gate;
        digests.push(gate.digest.to_string());
        opened.push(gate);
    }
    let said = scrubber.scrub("because-of-that");
    let edited = EditedInput::new(r#"{"edited":"so"}"#, &scrubber).unwrap();
    let choices = [
        (Choice::Approve { edited: Some(edited) }, Scope::Once),
        (yes(), Scope::Session),
        (Choice::Reject, Scope::Once),
    ];
    for (gate, (choice, scope)) in opened.iter().zip(choices) {
        let decide = Decide {
            scope,
            comment: Some(said.clone()),
            ..shown(&house, gate, choice).await
        };
        gates.decide(&operator(), &decide).await.unwrap();
    }
    gates.discard(&operator(), opened[3].id).await.unwrap();
    gates
        .invalidate(opened[4].id, Invalidation::Superseded)
        .await
        .unwrap();
    let question = asker.asks(NewGate::question(name("alice"), "asked-so"), "q");
    let question = open(&house, &question).await;
    digests.push(question.digest.to_string());
    let answer = Choice::Answer {
        text: Some(scrubber.scrub(&format!("the-answer {TOKEN}"))),
        chosen: Vec::new(),
    };
    let decide = shown(&house, &question, answer).await;
    gates.decide(&operator(), &decide).await.unwrap();
    let wrong = Decide {
        shown_digest: question.digest,
        ..shown(&house, &opened[5], yes()).await
    };
    gates.decide(&operator(), &wrong).await.unwrap_err();
    let capabilities = &house.tenant.capabilities;
    let digest = gates.get(opened[0].id).await.unwrap().granted_digest();
    digests.push(digest.to_string());
    capabilities
        .claim(opened[0].id, digest, &asker.claimed)
        .await
        .unwrap();
    capabilities
        .begin_dispatch(opened[0].id, &asker.claimed)
        .await
        .unwrap();
    let runs = &house.tenant.runs;
    runs.finish(&asker.claimed, &success(), &facts()).await.unwrap();

    let log = serde_json::to_string(&house.events().await).unwrap();
    let said = [
        "for-this",
        "in-detail",
        "because-of-that",
        "edited\":\"so",
        "asked-so",
        "the-answer",
        "run it",
        TOKEN,
    ];
    for never in said.into_iter().chain(digests.iter().map(String::as_str)) {
        assert!(!log.contains(never), "{never} in {log}");
    }
    assert!(!house.stored().await.contains(TOKEN));
}

async fn what_is_said_is_cut_with_a_mark(house: House) {
    let asker = Asker::new(&house).await;
    let new = NewGate {
        summary: "s".repeat(300),
        ..asker.approval("1", "{}")
    };
    let gate = open(&house, &new).await;
    let summary = gate.content.as_ref().unwrap().summary.as_str().to_owned();
    assert_eq!(summary.chars().count(), 201);
    assert!(summary.ends_with('…'));
    let decide = Decide {
        comment: Some(Scrubber::empty().scrub(&"c".repeat(2 * GATE_COMMENT_MAX))),
        ..shown(&house, &gate, Choice::Reject).await
    };
    let gate = house.tenant.gates.decide(&operator(), &decide).await.unwrap();
    let comment = gate.end.unwrap().said.unwrap().comment.unwrap();
    assert!(comment.as_str().len() < 2 * GATE_COMMENT_MAX);
}
