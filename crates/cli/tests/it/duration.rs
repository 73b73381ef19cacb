use std::time::Duration;

use dormouse_cli::duration::{Bounds, parse, show, took};

const BOUNDS: Bounds = Bounds {
    min: Duration::from_secs(1),
    max: Duration::from_secs(30 * 86_400),
};

#[test]
fn a_duration_is_numbers_with_units_that_fall() {
    for (text, seconds) in [
        ("1s", 1),
        ("90s", 90),
        ("30m", 1800),
        ("1h30m", 5400),
        ("2d", 172_800),
        ("1d1h1m1s", 90_061),
        ("1500ms1", 0),
    ] {
        let parsed = parse(text, BOUNDS);
        if seconds == 0 {
            assert!(parsed.is_err(), "{text}");
        } else {
            assert_eq!(parsed, Ok(Duration::from_secs(seconds)), "{text}");
        }
    }
    assert_eq!(parse("1s500ms", BOUNDS), Ok(Duration::from_millis(1500)));
}

/// PR-19
#[test]
fn what_is_no_duration_within_bounds_is_refused_with_the_bounds_and_never_clamped() {
    let bad = [
        "",
        "0",
        "0s",
        "-1s",
        "1",
        "s",
        "1x",
        "1S",
        " 1s",
        "1 s",
        "1.5s",
        "1e3s",
        "NaN",
        "inf",
        "1m1h",
        "1s1s",
        "61y",
        "22265d",
        "999ms",
        "31d",
        "18446744073709551615s",
        "99999999999999999999999d",
        "1s\0",
        "１s",
    ];
    for text in bad {
        let refused = parse(text, BOUNDS).expect_err(text);
        assert!(refused.to_string().contains("1s to 30d"), "{text}: {refused}");
    }
}

#[test]
fn a_duration_is_shown_as_it_is_read() {
    for text in ["0s", "1ms", "1s", "1h30m", "30d", "1d2h3m4s5ms"] {
        let everything = Bounds {
            min: Duration::ZERO,
            max: Duration::MAX,
        };
        assert_eq!(show(parse(text, everything).unwrap()), text);
    }
}

#[test]
fn time_taken_is_shown_for_people() {
    let shown = [0, 420, 6_140, 200_000, 7_260_000].map(took);
    assert_eq!(shown, ["0.00 s", "0.42 s", "6.1 s", "3m 20s", "2h 01m"]);
}

proptest::proptest! {
    #[test]
    fn every_duration_reads_back(milliseconds in 0_u64..=u64::MAX / 2) {
        let duration = Duration::from_millis(milliseconds);
        let everything = Bounds { min: Duration::ZERO, max: Duration::MAX };
        proptest::prop_assert_eq!(parse(&show(duration), everything), Ok(duration));
    }

    #[test]
    fn no_text_makes_parsing_panic(text: String) {
        let _ = parse(&text, BOUNDS);
    }
}
