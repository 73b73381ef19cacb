use dormouse_cli::nearest::nearest;

#[test]
fn a_typo_finds_what_was_meant() {
    let known = ["alice", "bob", "researcher"];
    for (typo, meant) in [
        ("alcie", "alice"),
        ("alic", "alice"),
        ("aliec", "alice"),
        ("alices", "alice"),
        ("bobb", "bob"),
        ("reasearcher", "researcher"),
    ] {
        assert_eq!(nearest(typo, known), Some(meant), "{typo}");
    }
}

#[test]
fn what_is_three_edits_away_or_shares_nothing_is_no_typo() {
    for name in ["al", "carol", "alicexyz", "research", "alice", "x"] {
        assert_eq!(nearest(name, ["alice", "y", "bob"]), None, "{name}");
    }
}
