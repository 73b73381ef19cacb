use dormouse_cli::glob::Glob;

#[test]
fn a_star_stands_for_anything() {
    for (pattern, name, fits) in [
        ("*", "run.ended", true),
        ("run.*", "run.ended", true),
        ("run.*", "task.run.ended", false),
        ("*.ended", "run.ended", true),
        ("*.ended", "run.ended.now", false),
        ("run.ended", "run.ended", true),
        ("run.ended", "run.ende", false),
        ("r*n.*d", "run.ended", true),
        ("*run*", "run", true),
        ("run*run", "run", false),
        ("", "run", false),
    ] {
        assert_eq!(Glob::new(pattern).fits(name), fits, "{pattern} {name}");
    }
}
