//! Modes: which calls are asked about, and which workers are not started.

use dormouse_engine::gate::{Asked, Call, Enforcement, GateOptions, Input, Modes, NewGate, Rule, RuleEffect};
use dormouse_engine::{CommandError, EngineOptions};
use dormouse_secrets::Scrubber;
use dormouse_state::Mode;

use super::gates::{Asker, call_of, events};
use super::house::{House, operator, tenant_id};

super::on_every_store! {
    a_rule_lets_through_denies_or_asks_and_a_denied_call_opens_no_gate;
}

fn rule(tool: &str, effect: RuleEffect) -> Rule {
    Rule {
        tool: tool.to_owned(),
        effect,
    }
}

/// SG-69: the check that comes before any start, and a child's mode.
#[test]
fn a_worker_that_cannot_ask_is_not_started_under_a_mode_that_asks() {
    let modes = Modes::default();
    for mode in [Mode::Ask, Mode::Rules] {
        for can in [Enforcement::None, Enforcement::Refuses] {
            let refused = modes.admit(mode, can).unwrap_err();
            let CommandError::NoApprovalChannel { can: said, .. } = &refused else {
                panic!("{refused}")
            };
            assert_eq!(*said, can);
        }
        modes.admit(mode, Enforcement::Asks).unwrap();
    }
    modes.admit(Mode::Deny, Enforcement::Refuses).unwrap();
    modes.admit(Mode::Deny, Enforcement::None).unwrap_err();
    assert!(matches!(
        modes.admit(Mode::Open, Enforcement::None).unwrap_err(),
        CommandError::Invalid { field: "mode", .. }
    ));
    Modes::new(Vec::new(), true)
        .unwrap()
        .admit(Mode::Open, Enforcement::None)
        .unwrap();

    assert_eq!(Modes::of_child(Mode::Ask, Mode::Open), Mode::Ask);
    assert_eq!(Modes::of_child(Mode::Open, Mode::Deny), Mode::Deny);
    assert_eq!(Modes::of_child(Mode::Rules, Mode::Rules), Mode::Rules);
}

#[test]
fn the_first_rule_about_a_tool_is_heard_and_without_one_a_person_is_asked() {
    let rules = vec![
        rule("Bash", RuleEffect::Deny),
        rule("Ba*", RuleEffect::Allow),
        rule("Bash", RuleEffect::Ask),
    ];
    let modes = Modes::new(rules, false).unwrap();
    let call = |tool: &str| Call {
        tool: tool.to_owned(),
        ..call_of("{}")
    };
    assert_eq!(modes.of_call(Mode::Rules, &call("Bash")), RuleEffect::Deny);
    assert_eq!(modes.of_call(Mode::Rules, &call("Bazaar")), RuleEffect::Allow);
    assert_eq!(modes.of_call(Mode::Rules, &call("Read")), RuleEffect::Ask);
    assert_eq!(modes.of_call(Mode::Deny, &call("Bazaar")), RuleEffect::Deny);
    assert_eq!(modes.of_call(Mode::Ask, &call("Bazaar")), RuleEffect::Ask);
    assert_eq!(
        modes.of_call(Mode::Open, &call("Read")),
        RuleEffect::Ask,
        "it is not allowed"
    );
    assert!(Modes::new(vec![rule("x", RuleEffect::Ask); 257], false).is_err());
    assert!(Modes::new(vec![rule("", RuleEffect::Ask)], false).is_err());
}

async fn a_rule_lets_through_denies_or_asks_and_a_denied_call_opens_no_gate(house: House) {
    let asker = Asker::new(&house).await;
    let rules = vec![rule("Read", RuleEffect::Allow), rule("Write", RuleEffect::Deny)];
    let modes = Modes::new(rules, false).unwrap();
    let options = EngineOptions {
        gates: GateOptions {
            modes,
            ..GateOptions::default()
        },
        ..EngineOptions::default()
    };
    let set = house.neighbour_set(options).await;
    let tenant = set.tenant(&tenant_id()).await.unwrap();
    let (gates, by, none) = (&tenant.gates, operator(), Scrubber::empty());
    let about = |tool: &str, call: &str| {
        let input = Input::Shown {
            title: tool.to_owned(),
            content: String::new(),
        };
        NewGate {
            call: Call::new(tool, input),
            ..asker.approval(call, "{}")
        }
    };
    let ask = async |tool: &str, call: &str| {
        let new = about(tool, call);
        gates.ask(&by, Mode::Rules, &new, &none).await.unwrap()
    };
    assert!(matches!(ask("Read", "1").await, Asked::Allowed));
    assert!(matches!(
        ask("Write", "2").await,
        Asked::Denied { mode: Mode::Rules }
    ));
    assert!(events(&house, "gate.opened").await.is_empty());
    let row = house.tenant.sessions.require(asker.session).await.unwrap();
    assert_eq!(row.state.denials.len(), 1, "the session knows of it");
    assert!(matches!(ask("Bash", "3").await, Asked::Person(_)));
    assert_eq!(events(&house, "gate.opened").await.len(), 1);
}
