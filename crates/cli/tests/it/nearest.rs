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
fn a_second_of_a_numbered_kind_is_no_typo_and_a_lost_number_is() {
    assert_eq!(nearest("worker-2", ["worker-1", "worker-10"]), None);
    assert_eq!(nearest("worker2", ["worker"]), Some("worker"));
    assert_eq!(nearest("wroker-1", ["worker-1"]), Some("worker-1"));
}

#[test]
fn what_is_three_edits_away_or_shares_nothing_is_no_typo() {
    for name in ["al", "carol", "alicexyz", "research", "alice", "x"] {
        assert_eq!(nearest(name, ["alice", "y", "bob"]), None, "{name}");
    }
}
