//! `cargo xtask tidy`: the rules of the house that no compiler checks. Most of them are absences.

mod absences;
mod cases;
mod layers;
mod loops;
mod manifests;
mod size;
mod source;
mod undone;
mod unsafety;

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use crate::tally::Tally;
use crate::workspace;
use source::Source;

/// Where a rule is broken, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    /// A file with its line, a package, or a case.
    place: String,
    /// What is wrong, and what would be right.
    what: String,
}

impl Finding {
    fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            what: what.into(),
        }
    }

    /// At a line of a source.
    fn at(source: &Source, line: usize, what: impl Into<String>) -> Self {
        Self::new(format!("{}:{line}", source.path), what)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// Checks every rule and prints what broke; exits with 1 if one did.
pub(crate) fn run() -> ExitCode {
    let tally = check();
    println!("{tally}");
    if tally.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Checks every rule; each counts as one.
pub(crate) fn check() -> Tally {
    let mut tally = Tally::default();
    for (rule, findings) in findings() {
        for finding in &findings {
            println!("tidy: {rule}: {finding}");
        }
        tally += Tally::check(findings.is_empty());
    }
    tally
}

type Rule = (&'static str, Vec<Finding>);

fn findings() -> Vec<Rule> {
    let root = workspace::root();
    let (sources, unreadable) = sources(&root);
    let mut rules = vec![("every source can be read", unreadable)];
    rules.extend(with_metadata(&root));
    rules.extend(absences::check(&sources));
    rules.push((
        "cas_update is the only read-modify-write loop",
        loops::check(&sources),
    ));
    rules.push(("one unsafe block, the keeper's", unsafety::check(&sources)));
    rules.push(("nothing is left undone", undone::check(&sources)));
    rules.push(("a file has one idea", size::check(&sources)));
    rules.push((
        "each contract case is named by a test or listed as open",
        cases::check(&root, &sources),
    ));
    rules
}

fn with_metadata(root: &Path) -> Vec<Rule> {
    match workspace::metadata() {
        Ok(metadata) => vec![
            ("who may know whom", layers::check(&metadata)),
            (
                "packages inherit the workspace's settings",
                manifests::check(root, &metadata),
            ),
        ],
        Err(error) => vec![(
            "cargo metadata",
            vec![Finding::new("Cargo.toml", error.to_string())],
        )],
    }
}

/// Every Rust file of the workspace.
fn sources(root: &Path) -> (Vec<Source>, Vec<Finding>) {
    let mut sources = Vec::new();
    let mut unreadable = Vec::new();
    for folder in ["crates", "tests", "xtask"] {
        for path in workspace::files_below(&root.join(folder), "rs") {
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            let text = std::fs::read_to_string(&path).map_err(|error| error.to_string());
            match text.and_then(|text| Source::parse(&name, &text)) {
                Ok(source) => sources.push(source),
                Err(error) => unreadable.push(Finding::new(name, error)),
            }
        }
    }
    (sources, unreadable)
}
