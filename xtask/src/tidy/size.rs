//! A file that is too long has more than one idea.

use std::collections::HashSet;

use super::Finding;
use super::source::Source;

/// Most lines of shipped code of a file; comments, docs, blank lines and tests, which are lists, are free.
const LINES_MAX: usize = 400;

/// Every file that is longer.
pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    sources
        .iter()
        .map(|source| (source, lines_of_code(source)))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(source, lines)| {
            Finding::new(
                &source.path,
                format!("{lines} lines of code, over {LINES_MAX}: which ideas are in it?"),
            )
        })
        .collect()
}

fn lines_of_code(source: &Source) -> usize {
    let lines: HashSet<usize> = source.shipped.iter().map(|token| token.line).collect();
    lines.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_inclusive_and_comments_and_tests_are_free() {
        let of = |lines: usize| {
            let text = "/// A doc.\n// A comment.\n\nfn a() {}\n#[cfg(test)]\nfn b() {}\n".repeat(lines);
            check(&[Source::parse("a.rs", &text).unwrap()]).len()
        };
        assert_eq!(of(LINES_MAX), 0);
        assert_eq!(of(LINES_MAX + 1), 1);
    }
}
