//! Counts tests out of what the test runners print.

use std::fmt;
use std::ops::AddAssign;

/// How many passed and failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
}

impl Tally {
    /// A check, which counts as one.
    pub(crate) fn check(is_ok: bool) -> Self {
        Self {
            passed: usize::from(is_ok),
            failed: usize::from(!is_ok),
        }
    }

    /// The tests in these lines of nextest's or libtest's output; a run that is not ok counts at least one failure,
    /// and so does one that is ok and ran nothing: a test that was not run proves nothing.
    pub(crate) fn of_tests<'a>(lines: impl IntoIterator<Item = &'a str>, is_ok: bool) -> Self {
        let (mut summed, mut told) = (None, Self::default());
        for line in lines {
            let line = without_colour(line);
            if let Some(summary) = nextest(&line) {
                *summed.get_or_insert_with(Self::default) += summary;
            }
            told += libtest(&line).unwrap_or_default();
        }
        // Where nextest sums up, what libtest says is the output of single tests: of those tried again too.
        let mut tally = summed.unwrap_or(told);
        let is_silent = tally.passed == 0;
        if tally.failed == 0 && (!is_ok || is_silent) {
            tally.failed = 1;
        }
        tally
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// `Summary [ 1.2s] 44/45 tests run: 42 passed (1 slow), 2 failed, 1 skipped`: what was not run has failed.
fn nextest(line: &str) -> Option<Tally> {
    let (_, summary) = line.trim_start().strip_prefix("Summary [")?.split_once(']')?;
    let (run, counts) = summary.split_once(':')?;
    let total = number(run.split_whitespace().next()?.rsplit('/').next()?)?;
    let passed = counts
        .split(',')
        .find(|part| part.trim_start().contains(" passed"))
        .and_then(|part| number(part.split_whitespace().next()?))
        .unwrap_or(0);
    Some(Tally {
        passed,
        failed: total.saturating_sub(passed),
    })
}

/// `test result: FAILED. 3 passed; 1 failed; 0 ignored; …`
fn libtest(line: &str) -> Option<Tally> {
    let (_, counts) = line
        .trim_start()
        .strip_prefix("test result: ")?
        .split_once(". ")?;
    let count = |word: &str| {
        counts
            .split(';')
            .find_map(|part| number(part.trim().strip_suffix(word)?))
    };
    Some(Tally {
        passed: count(" passed")?,
        failed: count(" failed")?,
    })
}

fn number(text: &str) -> Option<usize> {
    text.parse().ok()
}

/// Drops `ESC [ … letter`.
fn without_colour(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        let end = after.find(|c: char| c.is_ascii_alphabetic());
        rest = end.map_or("", |end| &after[end + 1..]);
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_passed_when_it_was_tried_again_has_passed() {
        let flaky = "test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 9 filtered out";
        check(
            &[
                flaky,
                "Summary [ 1.2s] 10 tests run: 10 passed (1 flaky), 0 skipped",
            ],
            true,
            10,
            0,
        );
    }

    #[track_caller]
    fn check(lines: &[&str], is_ok: bool, passed: usize, failed: usize) {
        let tally = Tally::of_tests(lines.iter().copied(), is_ok);
        assert_eq!(tally, Tally { passed, failed });
    }

    #[test]
    fn summaries_of_nextest_are_counted() {
        check(
            &["     Summary [   0.123s] 45 tests run: 45 passed, 1 skipped"],
            true,
            45,
            0,
        );
        check(
            &["     Summary [   0.123s] 45 tests run: 42 passed (1 slow), 2 failed, 1 timed out, 0 skipped"],
            false,
            42,
            3,
        );
        check(
            &[
                "\u{1b}[31;1m     Summary\u{1b}[0m [   9.123s] 44/45 tests run: \u{1b}[1m44\u{1b}[0m \u{1b}[32;1mpassed\u{1b}[0m, 0 skipped",
            ],
            false,
            44,
            1,
        );
        check(
            &["     Summary [   0.003s] 1 test run: 0 passed, 1 failed, 0 skipped"],
            false,
            0,
            1,
        );
    }

    #[test]
    fn results_of_libtest_are_added_up() {
        let lines = [
            "running 4 tests",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out",
        ];
        check(&lines, false, 5, 1);
    }

    #[test]
    fn a_run_that_ended_badly_without_a_failed_test_counts_one() {
        check(&["error: could not compile `it`"], false, 0, 1);
        check(
            &["test result: ok. 3 passed; 0 failed; 0 ignored", "error: aborted"],
            false,
            3,
            1,
        );
    }

    #[test]
    fn a_run_without_any_test_is_a_failure() {
        check(&["running 0 tests"], true, 0, 1);
    }
}
