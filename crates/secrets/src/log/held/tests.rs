//! What is opened while a rebuild runs.

use super::{Held, Rebuild, SINGLY_MAX, Step};
use crate::{SET_VALUES_MAX, Secret, SecretName};

fn value(number: usize) -> String {
    format!("the value {number:05} of many")
}

/// Opens them, and gives back the rebuild that it came to.
fn opened(held: &mut Held, numbers: std::ops::Range<usize>) -> Option<Rebuild> {
    let name = SecretName::parse("MANY").expect("a name");
    let mut due = None;
    for number in numbers {
        match held.open(&name, &Secret::new(value(number).into_bytes())) {
            Step::Due(work) => assert!(due.replace(work).is_none(), "one at a time"),
            Step::Known | Step::Covered => {}
        }
    }
    due
}

#[test]
fn more_than_a_set_takes_is_opened_while_a_rebuild_runs_and_all_of_it_is_found() {
    let mut held = Held::default();
    let mut due = opened(&mut held, 0..SINGLY_MAX);
    let many = SINGLY_MAX + SET_VALUES_MAX + 10;
    assert!(opened(&mut held, SINGLY_MAX..many).is_none(), "one is at work");
    let mut rebuilds = 0;
    while let Some(work) = due {
        due = held.built(work.build());
        rebuilds += 1;
    }
    held.rests();
    assert_eq!(rebuilds, 2, "what waited was taken in as well");
    assert!(held.singly.len() < SINGLY_MAX, "{}", held.singly.len());
    let scrubber = held.scrubber();
    for number in [0, SINGLY_MAX - 1, SINGLY_MAX, many - 1] {
        let value = value(number);
        assert_eq!(scrubber.scrub(&value).as_str(), "[redacted:MANY]", "{value}");
    }
}
