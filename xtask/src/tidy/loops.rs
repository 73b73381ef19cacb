//! A loop that commits again after a conflict is `cas_update`, or should be.

use super::Finding;
use super::source::{Source, Token};

/// Where the one loop and its combiner are.
const THE_LOOP: &[&str] = &["crates/filesystem/src/update", "crates/filesystem/src/combine"];

/// Finds `loop` and `while` whose body both commits and speaks of a conflict. `for` is bounded by what it goes over:
/// another candidate each time, not the same record again.
pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    sources
        .iter()
        .filter(|source| source.is_in(&["crates"]) && !source.is_in(THE_LOOP))
        .flat_map(of_source)
        .collect()
}

fn of_source(source: &Source) -> Vec<Finding> {
    let tokens = &source.shipped;
    let starts = (0..tokens.len()).filter(|at| matches!(tokens[*at].text.as_str(), "loop" | "while"));
    starts
        .filter(|at| fights(body(&tokens[*at..])))
        .map(|at| {
            Finding::at(
                source,
                tokens[at].line,
                "a read-modify-write loop: use `cas_update`",
            )
        })
        .collect()
}

/// From the first `{` to its `}`.
fn body(tokens: &[Token]) -> &[Token] {
    let start = tokens.iter().position(|t| t.text == "{").unwrap_or(tokens.len());
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(start) {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" if depth == 1 => return &tokens[start..=at],
            "}" => depth -= 1,
            _ => {}
        }
    }
    &tokens[start..]
}

fn fights(body: &[Token]) -> bool {
    let has = |word: &str| body.iter().any(|t| t.text == word);
    has("commit") && has("Conflict")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIGHT: &str = "fn a() { loop { let read = store.get(key); match store.commit(batch) { \
                         Err(CommitError::Conflict { .. }) => continue, other => return other } } }";

    #[track_caller]
    fn check_one(path: &str, text: &str, count: usize) {
        let source = Source::parse(path, text).unwrap();
        assert_eq!(check(&[source]).len(), count, "{path}: {text}");
    }

    #[test]
    fn a_loop_of_ones_own_is_found() {
        check_one("crates/engine/src/a.rs", FIGHT, 1);
        check_one("crates/engine/src/a.rs", &FIGHT.replace("loop", "while true"), 1);
    }

    #[test]
    fn the_one_loop_and_a_loop_that_gives_up_are_not() {
        check_one("crates/filesystem/src/update/mod.rs", FIGHT, 0);
        check_one(
            "crates/engine/src/a.rs",
            "fn a() { loop { store.commit(b)?; } }",
            0,
        );
        let after = "fn a() { loop { next() } match store.commit(b) { Err(Conflict) => {} } }";
        check_one("crates/engine/src/a.rs", after, 0);
    }
}
