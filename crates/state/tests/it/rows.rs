//! What holds in all rows.

use dormouse_state::{Caller, Command, Event, FailedRunGates, GateOutcome, Phase, Row, RunEnd};

use crate::bench::{Bench, Bound, OTHER, applied, asks, failed, mentions, run_ended};

/// All rows but the last.
fn open_rows() -> impl Iterator<Item = Row> {
    Row::ALL.into_iter().filter(|row| *row != Row::Ended)
}

/// SG-4
#[test]
fn from_every_open_row_the_end_a_wait_and_rest_are_reached() {
    for row in open_rows() {
        let mut ending = Bench::at(row, Bound::Nothing);
        applied(&ending.event_of(OTHER, Event::Ended));
        assert_eq!(ending.session.row(), Row::Ended, "{row}");

        let mut waiting = Bench::at(row, Bound::Nothing);
        applied(&waiting.event_of(OTHER, asks("gate", None)));
        assert!(
            matches!(waiting.session.row(), Row::Waiting | Row::WaitingForSeveral),
            "{row}"
        );

        let mut resting = Bench::at(row, Bound::Nothing);
        if row == Row::Paused {
            applied(&resting.command(&Command::Resume));
        } else {
            let _ = resting.event_of(OTHER, Event::Thinking);
            let _ = resting.event_of(OTHER, crate::bench::completed());
            let _ = resting.tick(60_000);
        }
        assert_eq!(resting.session.row(), Row::Idle, "{row}");
    }
}

/// SG-5, but that the table keeps a compaction outside of a turn going when a turn begins in it.
#[test]
fn a_turn_begins_by_command_in_every_row_but_paused_and_ended() {
    for row in open_rows().filter(|row| *row != Row::Paused) {
        let mut bench = Bench::at(row, Bound::Nothing);
        let _ = bench.event_of(OTHER, mentions("question", dormouse_state::GateKind::Question));
        let turn = bench.turn();
        applied(&bench.command(&Command::BeginTurn {
            expected_turn: Some(turn),
        }));
        let state = bench.session.view();
        let expected = if row == Row::CompactingOutside {
            Row::Compacting
        } else {
            Row::Queued
        };
        assert_eq!(state.row(), expected, "{row}");
        assert_eq!(
            (state.turn.number, state.turn.phase),
            (turn + 1, Phase::Running),
            "{row}"
        );
        assert!(
            state.gates.pending.is_empty() && state.gates.last.is_none() && !state.human_resolved,
            "{row}"
        );
    }
    let mut allotted = Bench::new();
    applied(&allotted.event(Event::SessionStarted));
    applied(&allotted.command(&Command::BeginTurn { expected_turn: None }));
    assert_eq!(allotted.turn(), 1, "an allotted number is kept");
    for row in [Row::Paused, Row::Ended] {
        let mut bench = Bench::at(row, Bound::Nothing);
        assert!(
            bench
                .command(&Command::BeginTurn { expected_turn: None })
                .applied()
                .is_none()
        );
    }
}

/// SG-25
#[test]
fn after_a_run_no_turn_runs_unless_a_gate_stays_pending() {
    let ends = [
        RunEnd::Ok,
        RunEnd::Cancelled,
        failed(FailedRunGates::Invalidate),
        failed(FailedRunGates::Keep),
    ];
    for row in Row::ALL {
        for end in &ends {
            let mut bench = Bench::at(row, Bound::Run);
            let _ = bench.command(&run_ended("run", end.clone()));
            let waits = bench.session.view().gates.blocking_count() > 0;
            assert_eq!(bench.is_turn_running(), waits, "{row} {end:?}");
            let keeps = matches!(
                end,
                RunEnd::Failed {
                    gates: FailedRunGates::Keep,
                    ..
                }
            );
            let waited = matches!(row, Row::Waiting | Row::WaitingForSeveral);
            assert_eq!(waits, keeps && waited, "{row} {end:?}");
            assert!(
                row == Row::Ended || bench.session.view().run.is_none(),
                "{row} {end:?}: the run is unbound"
            );
        }
    }
}

#[test]
fn a_gate_that_outlives_its_run_still_decides_how_the_turn_goes_on() {
    let mut bench = Bench::at(Row::Waiting, Bound::Run);
    applied(&bench.command(&run_ended("run", failed(FailedRunGates::Keep))));
    applied(&bench.bind("second"));
    applied(&bench.resolve("gate-1", GateOutcome::Approved, Caller::Gone));
    assert_eq!((bench.session.row(), bench.turn()), (Row::Queued, 1));
}
