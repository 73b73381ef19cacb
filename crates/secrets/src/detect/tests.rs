//! Every rule on its examples and counter-examples.

use super::{Formats, rules::RULES};
use crate::Scrubber;

fn strict() -> Scrubber {
    Scrubber::empty().with_formats(Formats::Strict)
}

/// SE-69
#[test]
fn each_rule_hits_its_examples_and_not_its_counter_examples() {
    for rule in RULES {
        assert!(
            !rule.examples.is_empty() && !rule.source.is_empty(),
            "{}",
            rule.kind
        );
        assert!(
            rule.literals.iter().all(|literal| literal.len() >= 3),
            "{}",
            rule.kind
        );
        for example in rule.examples {
            let text = example.concat();
            let (clean, counts) = strict().bytes_counted(format!("see {text}, ok").as_bytes());
            assert_eq!(counts.get(rule.kind), Some(&1), "{}: {counts:?}", rule.kind);
            let clean = String::from_utf8(clean.into_vec()).expect("text");
            assert!(
                clean.contains(&format!("[redacted:~{}]", rule.kind)),
                "{}",
                rule.kind
            );
        }
        for counter_example in rule.counter_examples {
            let (_, counts) =
                strict().bytes_counted(format!("see {}, ok", counter_example.concat()).as_bytes());
            assert_eq!(counts.get(rule.kind), None, "{}", rule.kind);
        }
    }
    for other in [
        "20260817:f4Kq9ZrT2mXw7Lp3Vb8Yc6Nd1HsGj5Ru0Ea",
        "BSAf4Kq9ZrT2mXw7Lp3Vb8Y",
    ] {
        assert_eq!(strict().scrub(other).as_str(), other);
    }
}

#[test]
fn an_example_cut_at_every_byte_is_found_as_in_the_whole() {
    let texts = RULES
        .iter()
        .flat_map(|rule| rule.examples)
        .map(|example| example.concat());
    for text in texts {
        let text = format!("x\\n{text}\nsee \"{text}\" {text}");
        let whole = strict().bytes(text.as_bytes());
        for cut in 0..=text.len() {
            let mut stream = strict().stream();
            let mut out = stream.push(&text.as_bytes()[..cut]).into_vec();
            out.extend(stream.push(&text.as_bytes()[cut..]).into_vec());
            out.extend(stream.finish().into_vec());
            assert_eq!(out, whole.as_slice(), "cut at {cut}");
        }
        assert_eq!(strict().bytes(whole.as_slice()), whole, "twice is once");
    }
}
