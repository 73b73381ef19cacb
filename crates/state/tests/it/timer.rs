//! The one timer: how long the end of a turn is news.

use std::time::Duration;

use dormouse_state::{Answer, Display, Event, Ignored, Options, Row, Session, Step};
use jiff::SignedDuration;

use crate::bench::{Bench, Bound, applied, completed, working};

fn just_completed() -> Bench {
    let mut bench = Bench::at(Row::Thinking, Bound::Nothing);
    applied(&bench.event(completed()));
    bench
}

#[test]
fn after_three_seconds_it_is_idle_once() {
    let mut bench = just_completed();
    assert_eq!(
        bench.session.poll_timeout(),
        Some(bench.now + SignedDuration::from_secs(3))
    );
    assert_eq!(bench.tick(2_999), Answer::Ignored(Ignored::NotDue));
    assert_eq!(bench.session.display(bench.now), Display::Completed);
    applied(&bench.tick(1));
    assert_eq!(bench.session.row(), Row::Idle);
    assert_eq!(bench.tick(0), Answer::Ignored(Ignored::NoDeadline));
}

#[test]
fn a_reader_counts_a_due_one_as_happened() {
    let mut bench = just_completed();
    bench.wait_ms(3_000);
    assert_eq!(
        (bench.session.display(bench.now), bench.session.row()),
        (Display::Idle, Row::Completed)
    );
}

#[test]
fn work_within_the_time_cancels_it_and_a_second_completion_moves_nothing() {
    let mut bench = just_completed();
    let idle_at = bench.session.poll_timeout();
    bench.wait_ms(1_000);
    assert_eq!(bench.event(completed()), Answer::Ignored(Ignored::Over));
    assert_eq!(bench.session.poll_timeout(), idle_at);
    applied(&bench.event(working("c", Step::Started)));
    assert_eq!(bench.tick(2_000), Answer::Ignored(Ignored::NoDeadline));
    assert_eq!(bench.session.row(), Row::Working);
}

#[test]
fn a_restored_session_counts_the_time_it_was_down() {
    let bench = just_completed();
    let left = |seconds: i64| {
        let now = bench.now + SignedDuration::from_secs(seconds);
        let session =
            Session::restore(bench.session.snapshot(), Options::default(), now).expect("its own snapshot");
        session
            .poll_timeout()
            .expect("completed")
            .duration_since(now)
            .as_secs()
    };
    assert_eq!(left(1), 2);
    assert!(left(60) < 0, "due at once");
    assert_eq!(left(-3_600), 3, "the clock went back an hour");
}

#[test]
fn the_time_is_kept_within_its_bounds() {
    for (asked_ms, kept_ms) in [(0, 100), (500, 500), (3_600_000, 600_000)] {
        let mut bench = Bench::new();
        let options = Options {
            auto_idle: Duration::from_millis(asked_ms),
            ..Options::default()
        };
        bench.session = Session::new(options, bench.now);
        applied(&bench.event(Event::Thinking));
        applied(&bench.event(completed()));
        let left = bench
            .session
            .poll_timeout()
            .expect("completed")
            .duration_since(bench.now);
        assert_eq!(left.as_millis(), kept_ms);
    }
}
