//! The numbered cases of the contract: each is named by a test, or stands in the list of open ones with its reason.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::Finding;
use super::source::Source;

/// The list of cases that no test proves yet: `PREFIX-NUMBER why`, one a line.
const OPEN: &str = "docs/contract/OPEN.txt";

/// A page of the contract, and what its cases are called.
const PREFIXES: &[(&str, &str)] = &[
    ("filesystem", "FS"),
    ("sessions-and-gates", "SG"),
    ("stores", "ST"),
    ("secrets", "SE"),
    ("workers", "WK"),
    ("dream", "DR"),
    ("program", "PR"),
];

/// Compares pages, tests and list.
pub(super) fn check(root: &Path, sources: &[Source]) -> Vec<Finding> {
    let mut required = BTreeSet::new();
    for (stem, prefix) in PREFIXES {
        let page = root.join(format!("docs/contract/{stem}.md"));
        // A page is copied there when what it says is built.
        let text = std::fs::read_to_string(page).unwrap_or_default();
        required.extend(cases_of_page(prefix, &text));
    }
    let named: BTreeSet<Case> = sources.iter().flat_map(|source| named_in(&source.text)).collect();
    let open = std::fs::read_to_string(root.join(OPEN)).unwrap_or_default();
    compare(&required, &named, &open)
}

/// A prefix and a number, ordered by page and number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Case {
    prefix: String,
    number: u32,
}

impl Case {
    fn parse(text: &str) -> Option<Self> {
        let (prefix, number) = text.split_once('-')?;
        let is_known = PREFIXES.iter().any(|(_, known)| *known == prefix);
        let number = number.parse().ok().filter(|_| is_known)?;
        Some(Self {
            prefix: prefix.to_owned(),
            number,
        })
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.prefix, self.number)
    }
}

/// The numbered items below the heading that speaks of contract cases.
fn cases_of_page(prefix: &str, page: &str) -> Vec<Case> {
    let mut is_inside = false;
    let mut cases = Vec::new();
    for line in page.lines() {
        if line.starts_with("## ") {
            is_inside = line.to_lowercase().contains("contract cases");
        } else if let Some((number, _)) = line.split_once(". ").filter(|_| is_inside) {
            cases.extend(Case::parse(&format!("{prefix}-{number}")));
        }
    }
    cases
}

/// Every case in a text, on word boundaries.
fn named_in(text: &str) -> Vec<Case> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'))
        .filter_map(Case::parse)
        .collect()
}

fn compare(required: &BTreeSet<Case>, named: &BTreeSet<Case>, open: &str) -> Vec<Finding> {
    let (open, mut findings) = open_cases(open);
    for case in required {
        match (named.contains(case), open.contains_key(case)) {
            (false, false) => findings.push(Finding::new(
                case.to_string(),
                format!("no test names it, and {OPEN} does not say why"),
            )),
            (true, true) => findings.push(Finding::new(
                case.to_string(),
                format!("a test names it, so {OPEN} must not list it"),
            )),
            (true, false) | (false, true) => {}
        }
    }
    let unknown = open.keys().filter(|case| !required.contains(*case));
    findings.extend(
        unknown.map(|case| Finding::new(case.to_string(), format!("{OPEN} lists it, and no page has it"))),
    );
    let pages: BTreeSet<&str> = required.iter().map(|case| case.prefix.as_str()).collect();
    let misnamed = named
        .iter()
        .filter(|case| pages.contains(case.prefix.as_str()) && !required.contains(*case));
    findings
        .extend(misnamed.map(|case| Finding::new(case.to_string(), "a test names it, and no page has it")));
    findings
}

fn open_cases(text: &str) -> (BTreeMap<Case, String>, Vec<Finding>) {
    let mut open = BTreeMap::new();
    let mut findings = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, reason) = line.split_once(' ').unwrap_or((line, ""));
        let Some(case) = Case::parse(name).filter(|_| !reason.trim().is_empty()) else {
            findings.push(Finding::new(
                format!("{OPEN}:{}", at + 1),
                "a line is a case and the reason why it is open",
            ));
            continue;
        };
        open.insert(case, reason.trim().to_owned());
    }
    (open, findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Cases are put together here, so that this file names none.
    fn case(number: u32) -> Case {
        Case {
            prefix: "FS".to_owned(),
            number,
        }
    }

    #[track_caller]
    fn check_cases(required: &[u32], named: &[u32], open: &str, found: &[&str]) {
        let set = |numbers: &[u32]| numbers.iter().map(|number| case(*number)).collect();
        let findings = compare(&set(required), &set(named), &open.replace("FS.", "FS-"));
        let what: Vec<String> = findings.into_iter().map(|finding| finding.what).collect();
        assert_eq!(what, found);
    }

    #[test]
    fn a_case_is_named_or_listed_and_not_both() {
        check_cases(&[1, 2], &[1], "# open\n\nFS.2 postgres", &[]);
        check_cases(
            &[1],
            &[],
            "",
            &["no test names it, and docs/contract/OPEN.txt does not say why"],
        );
        check_cases(
            &[1],
            &[1],
            "FS.1 later",
            &["a test names it, so docs/contract/OPEN.txt must not list it"],
        );
    }

    #[test]
    fn a_case_that_no_page_has_is_found() {
        check_cases(&[1], &[1, 9], "", &["a test names it, and no page has it"]);
        check_cases(
            &[1],
            &[1],
            "FS.9 later",
            &["docs/contract/OPEN.txt lists it, and no page has it"],
        );
        check_cases(&[], &[9], "", &[]);
    }

    #[test]
    fn an_open_case_has_a_reason() {
        let bad = "a line is a case and the reason why it is open";
        check_cases(&[1], &[1], "FS.1", &[bad]);
        check_cases(&[1], &[1], "what", &[bad]);
    }

    #[test]
    fn cases_are_the_numbered_items_below_their_heading() {
        let page = "## 1 Words\n1. No.\n## 16 Contract cases\n### Writes\n1. Given a, then b.\n2. Given c.\n- no\n## 17 Figures\n3. No.";
        assert_eq!(cases_of_page("FS", page), [case(1), case(2)]);
    }

    #[test]
    fn names_stand_alone_in_text() {
        let text = "/// FS.3 and (FS.4), not XFS.5, FS.6a or FS.7_b.".replace("FS.", "FS-");
        assert_eq!(named_in(&text), [case(3), case(4)]);
    }
}
