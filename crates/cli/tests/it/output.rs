use dormouse_cli::output::visible::{Cleaner, cell, one_line, visible};
use dormouse_cli::output::{ColorWhen, Table, TimeStyle, is_coloured};

#[test]
fn nothing_that_a_terminal_acts_on_is_left() {
    for (text, shown) in [
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]52;c;aGk=\x07", "\\x1b]52;c;aGk=\\x07"),
        ("\x1b]8;;http://x\x1b\\", "\\x1b]8;;http://x\\x1b\\"),
        ("a\u{9b}31mb", "a\\u{9b}31mb"),
        ("a\u{202e}b\u{2066}c", "a\\u{202e}b\\u{2066}c"),
        ("bell\x07 del\x7f nul\0", "bell\\x07 del\\x7f nul\\x00"),
        ("over\rwritten\r\n", "over\\rwritten\\r\n"),
        ("line\n\ttab ä 漢 🐭", "line\n\ttab ä 漢 🐭"),
    ] {
        assert_eq!(visible(text), shown);
    }
}

#[test]
fn a_character_cut_between_two_pieces_is_shown_whole() {
    let mut cleaner = Cleaner::default();
    let text = "ä漢🐭x".as_bytes();
    let shown: String = text.iter().map(|byte| cleaner.clean(&[*byte])).collect();
    assert_eq!(shown + &cleaner.finish(), "ä漢🐭x");
}

#[test]
fn bytes_that_are_no_text_are_replaced_and_end() {
    let mut cleaner = Cleaner::default();
    assert_eq!(cleaner.clean(b"a\xffb"), "a\u{fffd}b");
    assert_eq!(cleaner.clean(b"\xe6\xbc"), "");
    assert_eq!(cleaner.finish(), "\u{fffd}");
}

proptest::proptest! {
    #[test]
    fn no_control_survives_whatever_the_pieces(bytes: Vec<u8>, size in 1_usize..7) {
        let mut cleaner = Cleaner::default();
        let mut shown: String = bytes.chunks(size).map(|piece| cleaner.clean(piece)).collect();
        shown.push_str(&cleaner.finish());
        proptest::prop_assert!(shown.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()));
        proptest::prop_assert_eq!(shown, visible(&String::from_utf8_lossy(&bytes)));
    }

    #[test]
    fn a_cell_holds_no_separator(text: String) {
        proptest::prop_assert!(!cell(&text).contains(['\t', '\n', '\r', '\0', '\x1b']));
    }
}

#[test]
fn a_pipe_gets_rows_without_header_and_with_escaped_separators() {
    let mut table = Table::new(&["name", "title"]);
    table
        .rows
        .push(vec!["a".to_owned(), "tab\there\nand\\there".to_owned()]);
    assert_eq!(table.for_pipe(), "a\ttab\\there\\nand\\\\there\n");
}

#[test]
fn a_terminal_gets_a_header_and_columns_in_line() {
    let mut table = Table::new(&["name", "state"]);
    table.rows.push(vec!["alice".to_owned(), "active".to_owned()]);
    table.rows.push(vec!["b".to_owned(), String::new()]);
    assert_eq!(table.for_terminal(), "NAME   STATE\nalice  active\nb\n");
}

/// The order of program.md, section 4.
#[test]
fn colour_is_by_flag_then_no_color_then_force_then_terminal() {
    for (flag, no_color, force, terminal, coloured) in [
        (ColorWhen::Always, true, false, false, true),
        (ColorWhen::Never, false, true, true, false),
        (ColorWhen::Auto, true, true, true, false),
        (ColorWhen::Auto, false, true, false, true),
        (ColorWhen::Auto, false, false, true, true),
        (ColorWhen::Auto, false, false, false, false),
    ] {
        assert_eq!(is_coloured(flag, no_color, force, terminal), coloured);
    }
}

#[test]
fn instants_are_shown_as_asked() {
    let now: jiff::Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    let at = |seconds: i64| jiff::Timestamp::from_second(now.as_second() - seconds).unwrap();
    let shown =
        [0, 1, 59, 60, 3_599, 3_600, 86_400, 200_000, -90].map(|s| TimeStyle::Relative.show(at(s), now));
    assert_eq!(
        shown,
        [
            "now",
            "1 second ago",
            "59 seconds ago",
            "1 minute ago",
            "59 minutes ago",
            "1 hour ago",
            "1 day ago",
            "2 days ago",
            "in 1 minute"
        ]
    );
    assert_eq!(TimeStyle::Iso.show(at(60), now), "2026-03-01T11:59:00Z");
    assert_eq!(TimeStyle::Unix.show(now, now), now.as_second().to_string());
}

#[test]
fn one_line_is_one_line() {
    assert_eq!(one_line("a\nb\tc"), "a\\nb\\tc");
}
