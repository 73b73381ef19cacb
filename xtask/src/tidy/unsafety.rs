//! The workspace has one unsafe block: what the keeper does between fork and exec.

use super::Finding;
use super::source::{Source, places};

/// Where it is.
const KEEPER: &str = "crates/engine/src/worker";

/// Every `unsafe` that is not the one.
pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut is_spent = false;
    for source in sources {
        for line in places(&source.all, "unsafe") {
            let is_the_one = source.is_in(&[KEEPER]) && !is_spent;
            is_spent |= is_the_one;
            if !is_the_one {
                findings.push(Finding::at(
                    source,
                    line,
                    "unsafe code outside of the keeper's one block",
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_files(files: &[(&str, &str)], count: usize) {
        let sources: Vec<Source> = files
            .iter()
            .map(|(path, text)| Source::parse(path, text).unwrap())
            .collect();
        assert_eq!(check(&sources).len(), count);
    }

    #[test]
    fn one_block_in_the_keeper_and_no_other() {
        let keeper = "crates/engine/src/worker/keeper.rs";
        let block = "fn a() { unsafe { b() } }";
        check_files(&[(keeper, block)], 0);
        check_files(&[(keeper, block), ("crates/engine/src/worker/tree.rs", block)], 1);
        check_files(&[("crates/cli/src/main.rs", block)], 1);
        check_files(
            &[("crates/cli/tests/it/main.rs", "#[cfg(test)] unsafe fn a() {}")],
            1,
        );
    }
}
