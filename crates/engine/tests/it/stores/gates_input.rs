//! The input of a gate: one canonical form for one meaning, one digest for one call, and nothing shown that deceives.

use dormouse_engine::gate::{Asker, Call, Canonical, Input, Lines, escaped};
use dormouse_engine::{AgentName, TenantId};
use dormouse_filesystem::Digest;
use dormouse_state::GateKind;
use proptest::prelude::*;
use serde_json::Value;

use super::house::{name, tenant_id};

fn canonical(text: &str) -> String {
    Canonical::parse(text).unwrap().as_str().to_owned()
}

fn call(input: &str) -> Call {
    Call::new("Bash", Input::Given(Canonical::parse(input).unwrap()))
}

fn digest(call: &Call, tenant: &TenantId, agent: &AgentName) -> Digest {
    call.digest(Asker {
        tenant,
        agent,
        kind: GateKind::Approval,
    })
}

fn of(call: &Call) -> Digest {
    digest(call, &tenant_id(), &name("alice"))
}

/// SG-61
#[test]
fn equal_calls_have_equal_digests_and_no_others_do() {
    let asked = of(&call(r#"{"b":[1,{"y":0,"x":"é"}],"a":"/tmp"}"#));
    assert_eq!(
        asked,
        of(&call(
            " { \"a\" : \"\\/tmp\",\n\"b\":[ 1 , {\"x\":\"\\u00e9\", \"y\":0} ] } "
        ))
    );

    let differ = [
        ("1", "1.0"),
        ("9007199254740992", "9007199254740993"),
        ("1", "\"1\""),
    ];
    for (one, other) in differ {
        assert_ne!(of(&call(one)), of(&call(other)), "{one} and {other}");
    }
    let plain = call("{}");
    let cwd = Call {
        cwd: Some("/home".to_owned()),
        ..plain.clone()
    };
    let secret = Call {
        secrets: ["TOKEN".to_owned()].into(),
        ..plain.clone()
    };
    let estimate = Call {
        estimate: Some("1 USD".to_owned()),
        ..plain.clone()
    };
    let shown = Call::new(
        "Bash",
        Input::Shown {
            title: "{}".to_owned(),
            content: String::new(),
        },
    );
    let digests = [&plain, &cwd, &secret, &estimate, &shown].map(of);
    for (nth, one) in digests.iter().enumerate() {
        assert!(digests[nth + 1..].iter().all(|other| other != one));
    }
    assert_ne!(of(&plain), digest(&plain, &tenant_id(), &name("bob")));
    assert_ne!(
        of(&plain),
        digest(&plain, &"other".parse().unwrap(), &name("alice"))
    );

    for twice in [r#"{"a":1,"a":1}"#, r#"[{"x":{"a":1,"\u0061":2}}]"#] {
        assert!(Canonical::parse(twice).is_err(), "{twice}");
    }
}

#[test]
fn what_is_no_json_or_too_deep_is_no_input() {
    let deep = "[".repeat(70) + &"]".repeat(70);
    for text in ["", "{", "{} x", "nul", "\"\\ud800\"", &deep] {
        assert!(Canonical::parse(text).is_err(), "{text}");
    }
    assert!(Canonical::parse(&("[".repeat(60) + &"]".repeat(60))).is_ok());
}

#[test]
fn what_moves_hides_or_reverses_text_is_shown_escaped() {
    let deceiving = "rm \u{1b}[2K\0 \u{202e}txt\u{2066}.\u{200b}sh\n\u{7f}";
    let shown = escaped(deceiving, Lines::Escape);
    assert_eq!(
        shown,
        "rm \\u{1b}[2K\\u{0} \\u{202e}txt\\u{2066}.\\u{200b}sh\\u{a}\\u{7f}"
    );
    assert_eq!(escaped("two\nlines", Lines::Keep), "two\nlines");
    assert_eq!(escaped("grün 🐭", Lines::Escape), "grün 🐭");
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(".{0,4}", inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn the_canonical_form_means_the_same_and_is_its_own(value in value()) {
        let spaced = serde_json::to_string_pretty(&value).unwrap();
        let form = canonical(&spaced);
        prop_assert_eq!(&form, &canonical(&value.to_string()));
        prop_assert_eq!(&form, &canonical(&form));
        prop_assert_eq!(serde_json::from_str::<Value>(&form).unwrap(), value);
    }
}
