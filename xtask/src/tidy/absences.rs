//! What a layer must not know, as words that its shipped code does not have.

use super::source::{Source, places};
use super::{Finding, Rule};

/// Patterns that must not stand in shipped code of a place.
struct Absence {
    rule: &'static str,
    /// Folders that must not have it.
    within: &'static [&'static str],
    /// But these may.
    except: &'static [&'static str],
    /// Rust tokens that follow one another.
    patterns: &'static [&'static str],
    /// Words that are part of no identifier.
    words: &'static [&'static str],
}

const LIBRARIES: &[&str] = &[
    "crates/filesystem",
    "crates/state",
    "crates/secrets",
    "crates/engine",
];

const ABSENCES: &[Absence] = &[
    Absence {
        rule: "filesystem knows nothing of sessions, secrets, tasks",
        within: &["crates/filesystem"],
        // A session of a database is another thing.
        except: &["crates/filesystem/src/postgres"],
        patterns: &["Task", "TaskId"],
        words: &["session", "sessions", "secret", "secrets"],
    },
    Absence {
        rule: "only cli and tests choose a backend",
        within: &["crates/state", "crates/secrets", "crates/engine"],
        except: &[],
        patterns: &[
            "Sled",
            "SledOptions",
            "sled",
            "Postgres",
            "PostgresOptions",
            "Memory::new",
            "filesystem::Memory",
        ],
        words: &[],
    },
    Absence {
        rule: "state does no input and output",
        within: &["crates/state"],
        except: &[],
        patterns: &["std::fs", "std::net", "std::process", "std::thread"],
        words: &[],
    },
    Absence {
        rule: "of state only the driver knows a runtime",
        within: &["crates/state"],
        except: &["crates/state/src/driver"],
        patterns: &["tokio"],
        words: &[],
    },
    Absence {
        rule: "only cli reads the environment",
        within: LIBRARIES,
        // The keeper is the running program entered anew, and knows itself by how it was called.
        except: &[
            "crates/engine/src/worker/keeper",
            "crates/engine/src/worker/keeper.rs",
        ],
        patterns: &[
            "env::var",
            "env::var_os",
            "env::vars",
            "env::vars_os",
            "env::args",
            "env::args_os",
            "env::home_dir",
            "env::temp_dir",
            "env::current_dir",
        ],
        words: &[],
    },
    Absence {
        rule: "only cli prints",
        within: LIBRARIES,
        except: &[],
        patterns: &[
            "println!",
            "eprintln!",
            "print!",
            "eprint!",
            "io::stdout",
            "io::stderr",
        ],
        words: &[],
    },
    Absence {
        rule: "time and randomness enter as values",
        within: LIBRARIES,
        // Where the value comes from: the clock that the program hands in.
        except: &["crates/engine/src/clock.rs"],
        patterns: &["clippy::disallowed_methods", "SystemTime::now", "rand::random"],
        words: &[],
    },
];

/// One rule each.
pub(super) fn check(sources: &[Source]) -> Vec<Rule> {
    ABSENCES
        .iter()
        .map(|absence| (absence.rule, absence.check(sources)))
        .collect()
}

impl Absence {
    fn check(&self, sources: &[Source]) -> Vec<Finding> {
        let inside = |source: &&Source| source.is_in(self.within) && !source.is_in(self.except);
        sources
            .iter()
            .filter(inside)
            .flat_map(|source| self.found_in(source))
            .collect()
    }

    fn found_in(&self, source: &Source) -> Vec<Finding> {
        let of_patterns = self.patterns.iter().flat_map(|pattern| {
            places(&source.shipped, pattern)
                .into_iter()
                .map(move |line| Finding::at(source, line, format!("`{pattern}` does not belong here")))
        });
        let of_words = source.shipped.iter().filter_map(|token| {
            let word = parts(&token.text).find(|part| self.words.contains(&part.as_str()))?;
            Some(Finding::at(
                source,
                token.line,
                format!("`{}` speaks of a {word}", token.text),
            ))
        });
        of_patterns.chain(of_words).collect()
    }
}

/// The words of an identifier in snake or camel case, in lower case; none of a literal.
fn parts(text: &str) -> impl Iterator<Item = String> + '_ {
    let is_name = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && !text.contains('"');
    let mut words = vec![String::new()];
    for c in text.chars().filter(|_| is_name) {
        if c == '_'
            || (c.is_ascii_uppercase()
                && words
                    .last()
                    .is_some_and(|w| w.ends_with(|l: char| l.is_ascii_lowercase())))
        {
            words.push(String::new());
        }
        if c != '_'
            && let Some(word) = words.last_mut()
        {
            word.push(c.to_ascii_lowercase());
        }
    }
    words.into_iter().filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_one(path: &str, text: &str, broken: &[&str]) {
        let source = Source::parse(path, text).unwrap();
        let rules: Vec<&str> = check(&[source])
            .into_iter()
            .filter(|(_, findings)| !findings.is_empty())
            .map(|(rule, _)| rule)
            .collect();
        assert_eq!(rules, broken, "{path}: {text}");
    }

    #[test]
    fn each_rule_finds_what_breaks_it() {
        let backend = "only cli and tests choose a backend";
        let environment = "only cli reads the environment";
        let knows = "filesystem knows nothing of sessions, secrets, tasks";
        check_one(
            "crates/engine/src/a.rs",
            "use dormouse_filesystem::Sled;",
            &[backend],
        );
        check_one("crates/secrets/src/a.rs", "use f::PostgresOptions;", &[backend]);
        check_one(
            "crates/secrets/src/a.rs",
            "fn a() { Memory::new(now) }",
            &[backend],
        );
        check_one(
            "crates/engine/src/a.rs",
            "fn a() { std::env::var(\"A\") }",
            &[environment],
        );
        check_one(
            "crates/engine/src/a.rs",
            "fn a() { println!() }",
            &["only cli prints"],
        );
        check_one("crates/filesystem/src/a.rs", "pub fn open_session() {}", &[knows]);
        check_one("crates/filesystem/src/a.rs", "struct SealedSecret;", &[knows]);
        check_one("crates/filesystem/src/a.rs", "use engine::TaskId;", &[knows]);
        check_one(
            "crates/state/src/a.rs",
            "use std::fs;",
            &["state does no input and output"],
        );
        let runtime = "of state only the driver knows a runtime";
        check_one("crates/state/src/a.rs", "use tokio::time;", &[runtime]);
        check_one("crates/state/src/driver/a.rs", "use tokio::time;", &[]);
        check_one(
            "crates/engine/src/a.rs",
            "#[allow(clippy::disallowed_methods)] fn a() {}",
            &["time and randomness enter as values"],
        );
    }

    #[test]
    fn what_is_allowed_is_not_found() {
        check_one(
            "crates/cli/src/a.rs",
            "fn a() { println!(); std::env::var(); Sled::open() }",
            &[],
        );
        check_one("crates/engine/tests/it/a.rs", "fn a() { Memory::new(now) }", &[]);
        check_one(
            "crates/engine/src/a.rs",
            "#[cfg(test)] mod tests { use f::Memory; fn a() { Memory::new() } }",
            &[],
        );
        check_one(
            "crates/filesystem/src/a.rs",
            "/// Not a session.\nfn a() { tokio::task::spawn() }",
            &[],
        );
        check_one(
            "crates/engine/src/a.rs",
            "fn a() { std::env::current_exe() }",
            &[],
        );
    }
}
