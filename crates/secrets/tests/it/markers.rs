//! Markers are not looked into, and not cut.

use dormouse_secrets::Scrubbed;

use crate::scrubber;

/// SE-61
#[test]
fn a_value_inside_the_marker_of_a_name_makes_no_marker_inside_a_marker() {
    let scrubber = scrubber(&[
        ("API_KEY_1234", b"s3cr3t-s3cr3t"),
        ("OTHER", b"KEY_1234"),
        ("WORD", b"redacted"),
    ]);
    let once = scrubber.scrub("s3cr3t-s3cr3t, [redacted:API_KEY_1234], redacted, KEY_1234");
    assert_eq!(
        once.as_str(),
        "[redacted:API_KEY_1234], [redacted:API_KEY_1234], [redacted:WORD], [redacted:OTHER]"
    );
    assert_eq!(scrubber.scrub(once.as_str()), once);
}

#[test]
fn a_value_that_would_meet_the_edge_of_a_marker_leaves_the_marker_whole() {
    let scrubber = scrubber(&[("KEY", b"hunter2hunter2"), ("EDGE", b"]abcdefgh")]);
    let once = scrubber.scrub("hunter2hunter2abcdefgh");
    assert_eq!(once.as_str(), "[redacted:KEY]abcdefgh");
    assert_eq!(scrubber.scrub(once.as_str()), once);
}

#[test]
fn truncation_cuts_neither_a_character_nor_a_marker() {
    let scrubber = scrubber(&[("KEY", b"hunter2hunter2")]);
    let text = scrubber.scrub("ä hunter2hunter2 b");
    let cut = |max| text.clone().truncate_to(max).into_string();
    assert_eq!(cut(0), "");
    assert_eq!(cut(1), "");
    assert_eq!(cut(2), "ä");
    for max in 3..17 {
        assert_eq!(cut(max), "ä ", "at most {max} bytes");
    }
    assert_eq!(cut(17), "ä [redacted:KEY]");
    assert_eq!(cut(100), "ä [redacted:KEY] b");
}

#[test]
fn truncation_cuts_what_only_looks_like_a_marker() {
    let text = Scrubbed::constant("[redacted:no marker]");
    assert_eq!(text.truncate_to(12).as_str(), "[redacted:no");
}
