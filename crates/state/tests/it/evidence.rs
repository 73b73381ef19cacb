//! When a wait is over though nobody said so.

use dormouse_state::{
    Answer, Event, GateId, GateOutcome, Ignored, Invalidation, Observed, Row, Step, TodoItem, TodoStatus,
};

use crate::bench::{Bench, Bound, MAIN, OTHER, applied, asks, working};

const NO_EVIDENCE: Answer = Answer::Ignored(Ignored::NoEvidence);

/// A turn that waits on one gate, opened by the main source.
fn waiting(call: Option<&str>) -> Bench {
    let mut bench = Bench::at(Row::Working, Bound::Nothing);
    applied(&bench.event(asks("gate", call)));
    bench
}

fn last(bench: &Bench) -> Option<(GateId, GateOutcome)> {
    bench
        .session
        .view()
        .gates
        .last
        .as_ref()
        .map(|last| (last.gate.clone(), last.outcome))
}

/// SG-22
#[test]
fn only_the_end_of_the_call_that_waits_settles_its_gate() {
    let mut bench = waiting(Some("a"));
    assert_eq!(bench.event(working("b", Step::Started)), NO_EVIDENCE);
    assert_eq!(bench.event(working("b", Step::Finished)), NO_EVIDENCE);
    let thought = Observed {
        subagent: true,
        ..bench.observed(MAIN, Event::Thinking)
    };
    assert_eq!(bench.observe(&thought), Answer::Ignored(Ignored::Subagent));
    applied(&bench.event(working("a", Step::Finished)));
    assert_eq!(bench.session.row(), Row::Working);
    let settled = GateOutcome::Invalidated(Invalidation::SettledElsewhere);
    assert_eq!(last(&bench), Some((GateId::new("gate"), settled)), "not approved");
    assert!(!bench.session.view().human_resolved);
}

/// SG-23
#[test]
fn a_gate_without_a_call_is_settled_when_its_source_goes_on() {
    let mut bench = waiting(None);
    applied(&bench.event(Event::Thinking));
    assert_eq!(bench.session.row(), Row::Thinking);

    let mut bench = waiting(None);
    bench.wait_ms(500);
    assert_eq!(bench.event_of(OTHER, Event::Thinking), NO_EVIDENCE);
    assert_eq!(
        bench.inferred(MAIN, Event::Thinking),
        Answer::Ignored(Ignored::Weaker)
    );
    bench.wait_ms(501);
    applied(&bench.event_of(OTHER, Event::Thinking));
    assert_eq!(bench.session.row(), Row::Thinking);
}

#[test]
fn a_gate_opened_by_inference_is_settled_by_inference() {
    let mut bench = Bench::at(Row::Working, Bound::Nothing);
    applied(&bench.inferred(MAIN, asks("gate", None)));
    applied(&bench.inferred(MAIN, Event::Thinking));
    assert_eq!(bench.session.row(), Row::Thinking);
}

#[test]
fn the_model_going_on_settles_all_gates_of_its_source_and_leaves_others() {
    let mut bench = waiting(Some("a"));
    applied(&bench.event(asks("second", Some("b"))));
    applied(&bench.event_of(OTHER, asks("third", Some("c"))));
    applied(&bench.event(Event::Thinking));
    let pending: Vec<&str> = bench
        .session
        .view()
        .gates
        .pending
        .keys()
        .map(GateId::as_str)
        .collect();
    assert_eq!(pending, ["third"]);
    assert_eq!(bench.session.row(), Row::Waiting);
}

#[test]
fn a_plan_or_a_ready_process_settles_nothing() {
    let mut bench = waiting(None);
    assert_eq!(
        bench.event(Event::SessionStarted),
        Answer::Ignored(Ignored::Started)
    );
    let item = TodoItem {
        text: "wait".to_owned(),
        status: TodoStatus::Pending,
    };
    applied(&bench.event(Event::TodoUpdated { items: vec![item] }));
    assert_eq!(bench.session.row(), Row::Waiting);
}
