//! No promise instead of code.

use super::Finding;
use super::source::{Source, Token, places};

/// Words in comments that say "later"; written apart, so that this file does not find itself.
const MARKS: &[&str] = &[concat!("FIX", "ME"), concat!("XX", "X")];

/// Every promise.
pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    sources.iter().flat_map(of_source).collect()
}

fn of_source(source: &Source) -> Vec<Finding> {
    let promises = ["todo!", "unimplemented!"]
        .iter()
        .flat_map(|promise| places(&source.all, promise))
        .map(|line| Finding::at(source, line, "code that is only promised"));
    let ignored = ignored_in(source)
        .skip(programs_in(source))
        .map(|line| Finding::at(source, line, "a test that nobody runs"));
    let marks = source
        .text
        .lines()
        .enumerate()
        .filter(|(_, line)| MARKS.iter().any(|mark| line.contains(mark)))
        .map(|(at, _)| Finding::at(source, at + 1, "a mark of something left undone"));
    promises.chain(ignored).chain(marks).collect()
}

fn ignored_in(source: &Source) -> impl Iterator<Item = usize> {
    let is_ignore = |window: &&[Token]| {
        ["#", "[", "ignore"]
            .iter()
            .zip(*window)
            .all(|(sign, token)| token.text == *sign)
    };
    source
        .all
        .windows(3)
        .filter(is_ignore)
        .map(|window| window[0].line)
}

/// A file that starts itself with `--ignored` has one ignored function that is no test but a program of its tests.
fn programs_in(source: &Source) -> usize {
    usize::from(source.all.iter().any(|token| token.text == "\"--ignored\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_one(text: &str, lines: &[usize]) {
        let source = Source::parse("crates/a/src/lib.rs", text).unwrap();
        let found: Vec<String> = check(&[source])
            .into_iter()
            .map(|finding| finding.place)
            .collect();
        let wanted: Vec<String> = lines
            .iter()
            .map(|line| format!("crates/a/src/lib.rs:{line}"))
            .collect();
        assert_eq!(found, wanted, "{text}");
    }

    #[test]
    fn promises_are_found() {
        check_one("fn a() {\n todo!() }", &[2]);
        check_one("fn a() { unimplemented!(\"b\") }", &[1]);
        check_one("#[test]\n#[ignore = \"slow\"]\nfn a() {}", &[2]);
        check_one(&format!("// {}: b\nfn a() {{}}", MARKS[0]), &[1]);
    }

    #[test]
    fn one_ignored_program_of_other_tests_is_no_promise() {
        let ignored = "#[test]\n#[ignore = \"a program\"]\nfn a() {}\n";
        let starts = "fn start() { run(\"--ignored\") }\n";
        check_one(&format!("{starts}{ignored}"), &[]);
        check_one(&format!("{starts}{ignored}{ignored}"), &[6]);
    }

    #[test]
    fn a_word_in_a_string_is_no_promise() {
        check_one("fn a() { b(\"todo!\") }", &[]);
    }
}
