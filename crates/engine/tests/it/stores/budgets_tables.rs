//! The pure tables of budgets, printed whole; and periods, which are pure too.

use dormouse_engine::Decision;
use dormouse_engine::budget::{
    CalendarUnit, Dimension, HoldEvent, HoldState, Line, Period, Said, decide_hold, judge, meter,
};
use jiff::{SignedDuration, Timestamp};

use super::golden::{aligned, check};

#[test]
fn holds_move_as_the_table_says() {
    let word = |event: HoldEvent| match event {
        HoldEvent::Reserve { is_replay: true } => "reserve again".to_owned(),
        HoldEvent::Release { has_spent: true } | HoldEvent::Sweep { has_spent: true } => {
            format!("{}, spent", event.word())
        }
        event => event.word().to_owned(),
    };
    let head = std::iter::once(String::new()).chain(HoldEvent::ALL.map(word));
    let mut rows = vec![head.collect::<Vec<_>>()];
    for state in HoldState::ALL {
        let cells = HoldEvent::ALL.map(|event| match decide_hold(state, event) {
            Decision::Apply(next) => next.word().to_owned(),
            Decision::Same => "·".to_owned(),
            Decision::Ignore(reason) => format!("i:{}", reason.word()),
            Decision::Reject(reason) => format!("x:{}", reason.word()),
        });
        let name = state.map_or("none", HoldState::word).to_owned();
        rows.push(std::iter::once(name).chain(cells).collect());
    }
    check("holds.txt", &aligned(&rows));
}

/// What an account with a limit of 100, warned at 75 and paused at 90, answers.
#[test]
fn an_account_answers_as_the_table_says() {
    let line = |dimension, said, limit, pause| Line {
        dimension,
        used: 40,
        reserved: 20,
        limit,
        warn: 75,
        pause,
        said,
    };
    let (flow, gauge) = (Dimension::UsdMicros, Dimension::Processes);
    let lines = [
        ("flow", line(flow, Said::Nothing, 100, 90)),
        ("flow, raised", line(flow, Said::Raised, 100, 90)),
        ("flow, denied", line(flow, Said::Denied, 100, 90)),
        ("flow, no pause", line(flow, Said::Nothing, 100, 100)),
        ("gauge", line(gauge, Said::Nothing, 100, 90)),
        ("limit of 0", line(flow, Said::Nothing, 0, 90)),
    ];
    let estimates = [0, 14, 15, 29, 30, 40, 41, u64::MAX];
    let head = ["used 40, reserved 20".to_owned()].into_iter();
    let head = head.chain(estimates.map(|estimate| format!("+{estimate}")));
    let mut rows = vec![head.chain(["metered".to_owned()]).collect::<Vec<_>>()];
    for (name, line) in lines {
        let cells = estimates.map(|estimate| judge(&line, estimate).word().to_owned());
        let metered = meter(&line).word().to_owned();
        rows.push(
            std::iter::once(name.to_owned())
                .chain(cells)
                .chain([metered])
                .collect(),
        );
    }
    check("budgets.txt", &aligned(&rows));
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn calendar(unit: CalendarUnit, zone: &str) -> Period {
    let zone = zone.to_owned();
    Period::Calendar { unit, zone }
}

#[test]
fn periods_begin_and_end_when_stated() {
    let hour = SignedDuration::from_hours(1);
    let berlin = |unit| calendar(unit, "Europe/Berlin");
    let hours = |millis: u64| millis * 3_600_000;
    let every = Period::Every {
        every_ms: hours(6),
        anchor: at("2026-03-01T01:00:00Z"),
    };
    // Period, an instant in it, its beginning, its hours.
    let cases = [
        (
            berlin(CalendarUnit::Day),
            "2026-03-29T12:00:00Z",
            "2026-03-28T23:00:00Z",
            23,
        ),
        (
            berlin(CalendarUnit::Day),
            "2026-10-25T12:00:00Z",
            "2026-10-24T22:00:00Z",
            25,
        ),
        (
            berlin(CalendarUnit::Day),
            "2026-10-24T22:00:00Z",
            "2026-10-24T22:00:00Z",
            25,
        ),
        (
            berlin(CalendarUnit::Day),
            "2026-10-24T21:59:59Z",
            "2026-10-23T22:00:00Z",
            24,
        ),
        // It has no midnight: the clock goes from 23:59 to 1:00.
        (
            calendar(CalendarUnit::Day, "America/Asuncion"),
            "2023-10-01T12:00:00Z",
            "2023-10-01T04:00:00Z",
            23,
        ),
        (
            berlin(CalendarUnit::Week),
            "2026-03-29T12:00:00Z",
            "2026-03-22T23:00:00Z",
            7 * 24 - 1,
        ),
        (
            calendar(CalendarUnit::Week, "UTC"),
            "2026-03-01T00:00:00Z",
            "2026-02-23T00:00:00Z",
            7 * 24,
        ),
        (
            berlin(CalendarUnit::Month),
            "2026-03-29T12:00:00Z",
            "2026-02-28T23:00:00Z",
            31 * 24 - 1,
        ),
        (
            calendar(CalendarUnit::Month, "UTC"),
            "2024-02-29T12:00:00Z",
            "2024-02-01T00:00:00Z",
            29 * 24,
        ),
        (every.clone(), "2026-03-01T06:59:59Z", "2026-03-01T01:00:00Z", 6),
        (every.clone(), "2026-03-01T07:00:00Z", "2026-03-01T07:00:00Z", 6),
        (every, "2026-02-28T23:00:00Z", "2026-02-28T19:00:00Z", 6),
    ];
    for (period, now, started_at, hours) in cases {
        let found = period.started_at(at(now), at("2020-01-01T00:00:00Z"));
        assert_eq!(found, at(started_at), "{period:?} at {now}");
        assert_eq!(
            period.ends_at(found),
            Some(found + hour * hours),
            "{period:?} at {now}"
        );
        // The whole of it has one beginning, and its end is the next one's.
        let last = found + hour * hours - SignedDuration::from_nanos(1);
        assert_eq!(period.started_at(last, found), found);
        assert_eq!(
            period.started_at(found + hour * hours, found),
            found + hour * hours
        );
    }
    assert_eq!(Period::Lifetime.ends_at(at("2026-03-01T00:00:00Z")), None);
}
