//! Histories written by hand: one a rule, and what is said of it.

use dormouse_filesystem::Version;
use dormouse_filesystem::contract::linear::{Answer, Event, Held, Makes, Needs, Refusals, Step, check};

/// A read of record 0.
fn saw(began: u64, ended: u64, held: Option<(u64, u64)>) -> Event {
    Event {
        began,
        ended,
        saw: vec![(0, held.map(of))],
        steps: Vec::new(),
        answer: Answer::Done(None),
    }
}

fn of((value, version): (u64, u64)) -> Held {
    Held {
        value,
        version: Version::new(version),
    }
}

fn step(record: usize, needs: u64, makes: Makes) -> Step {
    let needs = match needs {
        0 => Needs::Absent,
        version => Needs::At(Version::new(version)),
    };
    Step { record, needs, makes }
}

/// A put of record 0; where it needs version 0, a create.
fn put(began: u64, ended: u64, needs: u64, value: u64, answer: Answer) -> Event {
    Event {
        began,
        ended,
        saw: Vec::new(),
        steps: vec![step(0, needs, Makes::Put(value))],
        answer,
    }
}

fn done(version: u64) -> Answer {
    Answer::Done(Some(Version::new(version)))
}

fn refused(actual: Option<u64>) -> Answer {
    Answer::Refused(vec![(0, actual.map(Version::new))])
}

fn is_linearizable(events: &[Event]) -> bool {
    check(events.to_vec(), 2, Refusals::Exact).is_ok()
}

/// A create that was done, at version 10.
fn created() -> Event {
    put(0, 1, 0, 1, done(10))
}

#[test]
fn what_overlaps_may_have_happened_in_either_order() {
    for held in [None, Some((1, 10))] {
        assert!(is_linearizable(&[put(0, 5, 0, 1, done(10)), saw(1, 4, held)]));
    }
}

#[test]
fn a_read_never_goes_back() {
    assert!(!is_linearizable(&[created(), saw(2, 3, None)]), "a stale read");
    // While a write is under way one reader sees it, and a later one does not.
    let write = put(2, 9, 10, 2, done(11));
    let forth = [
        created(),
        write.clone(),
        saw(3, 4, Some((1, 10))),
        saw(5, 6, Some((2, 11))),
    ];
    let back = [
        created(),
        write,
        saw(3, 4, Some((2, 11))),
        saw(5, 6, Some((1, 10))),
    ];
    assert!(is_linearizable(&forth));
    assert!(!is_linearizable(&back));
}

#[test]
fn a_version_is_replaced_once() {
    let twice = [created(), put(2, 5, 10, 2, done(11)), put(3, 6, 10, 3, done(12))];
    assert!(!is_linearizable(&twice), "a lost update");
    let once = [
        created(),
        put(2, 5, 10, 2, done(11)),
        put(3, 6, 10, 3, refused(Some(11))),
    ];
    assert!(is_linearizable(&once));
}

#[test]
fn an_unknown_write_was_done_once_or_never() {
    let unknown = put(2, 3, 10, 2, Answer::Unknown);
    let old = saw(4, 5, Some((1, 10)));
    let new = saw(6, 7, Some((2, 11)));
    let again = Event {
        began: 8,
        ended: 9,
        ..old.clone()
    };
    assert!(is_linearizable(&[created(), unknown.clone(), old.clone()]));
    assert!(
        is_linearizable(&[created(), unknown.clone(), old.clone(), new.clone()]),
        "late"
    );
    assert!(
        !is_linearizable(&[created(), old, new.clone()]),
        "nobody wrote it"
    );
    assert!(
        !is_linearizable(&[created(), unknown.clone(), new.clone(), again]),
        "undone"
    );
    let early = saw(0, 1, Some((2, 11)));
    assert!(
        !is_linearizable(&[created(), unknown.clone(), early]),
        "before it began"
    );
    let doubled = saw(8, 9, Some((2, 12)));
    assert!(
        !is_linearizable(&[created(), unknown, new, doubled]),
        "applied twice"
    );
}

#[test]
fn an_unknown_write_is_known_by_what_others_were_refused_for() {
    let unknown = put(2, 3, 10, 2, Answer::Unknown);
    let lost = put(4, 5, 10, 3, refused(Some(11)));
    let next = put(6, 7, 11, 4, done(12));
    assert!(is_linearizable(&[
        created(),
        unknown.clone(),
        lost.clone(),
        next.clone()
    ]));
    assert!(!is_linearizable(&[created(), lost, next]), "nobody wrote 11");
}

#[test]
fn a_refusal_has_a_reason_and_names_what_is_there() {
    let at = |actual| [created(), put(2, 3, 9, 2, refused(actual))];
    assert!(is_linearizable(&at(Some(10))));
    assert!(!is_linearizable(&at(None)));
    assert!(!is_linearizable(&at(Some(9))));
    let without_reason = [created(), put(2, 3, 10, 2, refused(Some(10)))];
    assert!(!is_linearizable(&without_reason));
    check(without_reason.to_vec(), 1, Refusals::MadeUp).unwrap();
}

#[test]
fn versions_rise_over_a_delete_too() {
    let deleted = Event {
        steps: vec![step(0, 10, Makes::Deleted)],
        ..put(2, 3, 10, 0, done(11))
    };
    for (version, is_right) in [(12, true), (11, false), (9, false)] {
        let again = put(4, 5, 0, 2, done(version));
        assert_eq!(
            is_linearizable(&[created(), deleted.clone(), again]),
            is_right,
            "{version}"
        );
    }
}

#[test]
fn a_batch_over_two_records_is_seen_whole() {
    let both = Event {
        steps: vec![step(0, 0, Makes::Put(1)), step(1, 0, Makes::Put(2))],
        ..put(0, 9, 0, 0, done(10))
    };
    let read = |first: Option<(u64, u64)>, second: Option<(u64, u64)>| Event {
        saw: vec![(0, first.map(of)), (1, second.map(of))],
        ..saw(2, 3, None)
    };
    assert!(is_linearizable(&[both.clone(), read(None, None)]));
    assert!(is_linearizable(&[
        both.clone(),
        read(Some((1, 10)), Some((2, 10)))
    ]));
    assert!(
        !is_linearizable(&[both.clone(), read(Some((1, 10)), None)]),
        "torn"
    );
    assert!(
        !is_linearizable(&[both, read(Some((1, 10)), Some((2, 11)))]),
        "two versions"
    );
}
