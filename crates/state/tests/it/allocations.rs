//! What is ignored or refused costs no memory: a follower that reads its file again may tell thousands of such events.

use allocation_counter::measure;
use dormouse_state::{Answer, Event, Evidence, Ignored, Observed, Position, Row, RunId, SourceId, Step};

use crate::bench::{Bench, Bound};

fn event(bench: &Bench, seq: u64, event: Event) -> Observed {
    Observed {
        incarnation: 1,
        run: bench.session.view().run.clone(),
        source: SourceId::new("stream"),
        position: Position { spawn: 1, seq },
        subagent: false,
        starts_turn: false,
        evidence: Evidence::Formal,
        at: bench.now,
        event,
    }
}

/// Tells it and says how often it allocated, and what was answered.
fn allocations(bench: &mut Bench, observed: &Observed) -> (u64, Answer) {
    let now = bench.now;
    let mut answer = None;
    let session = &mut bench.session;
    let counted = measure(|| answer = Some(session.observe(observed, now)));
    (counted.count_total, answer.expect("it was told"))
}

#[test]
fn an_ignored_event_allocates_nothing() {
    for bound in [Bound::Run, Bound::Nothing] {
        let mut bench = Bench::at(Row::Thinking, bound);
        let first = event(&bench, 1, Event::Thinking);
        let _same = bench.session.observe(&first, bench.now);
        let ignored = [
            (first, Ignored::Duplicate),
            (event(&bench, 2, Event::Thinking), Ignored::Same),
            (event(&bench, 3, Event::SessionStarted), Ignored::Started),
            (
                Observed {
                    subagent: true,
                    ..event(
                        &bench,
                        4,
                        Event::Working {
                            call: None,
                            step: Step::Started,
                        },
                    )
                },
                Ignored::Subagent,
            ),
            (
                Observed {
                    run: Some(RunId::new("another")),
                    ..event(&bench, 5, Event::Thinking)
                },
                Ignored::StaleRun,
            ),
        ];
        for (observed, why) in ignored {
            let (allocated, answer) = allocations(&mut bench, &observed);
            assert_eq!((allocated, answer), (0, Answer::Ignored(why)));
        }
    }
}

#[test]
fn work_that_goes_on_within_a_turn_allocates_nothing() {
    let mut bench = Bench::at(Row::Thinking, Bound::Run);
    let first = event(&bench, 1, Event::Thinking);
    // From here on its source is known.
    let _same = bench.session.observe(&first, bench.now);
    let steps = [
        Event::Working {
            call: None,
            step: Step::Started,
        },
        Event::Thinking,
        Event::Compaction(Step::Started),
        Event::Compaction(Step::Finished),
    ];
    for (seq, step) in (2..).zip(steps) {
        let observed = event(&bench, seq, step);
        let (allocated, answer) = allocations(&mut bench, &observed);
        let moves = answer.applied().map(|applied| applied.edges.len());
        assert_eq!((allocated, moves), (0, Some(1)), "{observed:?}");
    }
}
