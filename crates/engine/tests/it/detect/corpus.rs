//! The labelled pages in `tests/fixtures/detect`: one file a visit, its facts, a blank line, its page.
//!
//! The pages are our own: they have the public marks of each vendor and nothing else of theirs. Those of `held_out`,
//! `held_out_2`, `held_out_3` and `held_out_4` were written by people who had not seen the rules; their READMEs say what binds whoever
//! mends them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use dormouse_engine::detect::Visit;

use super::said;

#[derive(Debug, Default)]
struct Case {
    name: String,
    expected: String,
    requested: Option<String>,
    url: String,
    status: Option<u16>,
    headers: Vec<(String, String)>,
    html: Option<Vec<u8>>,
}

impl Case {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).expect("a case is readable");
        let (head, html) = text.split_once("\n\n").expect("a blank line ends the head");
        let mut case = Self {
            name: path.file_stem().expect("a name").to_string_lossy().into_owned(),
            html: (!html.is_empty()).then(|| html.as_bytes().to_vec()),
            ..Self::default()
        };
        for line in head.lines() {
            let (field, value) = line.split_once(": ").expect("FIELD: VALUE");
            match field {
                "expect" => value.clone_into(&mut case.expected),
                "requested" => case.requested = Some(value.to_owned()),
                "url" => value.clone_into(&mut case.url),
                "status" => case.status = Some(value.parse().expect("a status is a number")),
                "header" => {
                    let (name, value) = value.split_once(": ").expect("NAME: VALUE");
                    case.headers.push((name.to_owned(), value.to_owned()));
                }
                field => panic!("{}: {field} is no field", case.name),
            }
        }
        case
    }

    fn said(&self) -> String {
        said(&Visit {
            requested_url: self.requested.as_deref(),
            final_url: &self.url,
            status: self.status,
            headers: &self.headers,
            html: self.html.as_deref(),
        })
    }
}

/// The pages that were written with the rules in hand.
fn corpus() -> Vec<Case> {
    cases_in("")
}

fn cases_in(folder: &str) -> Vec<Case> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/detect");
    let folder = root.join(folder);
    let mut paths: Vec<PathBuf> = ["blocked", "served"]
        .iter()
        .flat_map(|part| fs::read_dir(folder.join(part)).expect("the corpus is there"))
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths.iter().map(|path| Case::read(path)).collect()
}

/// True and false alarms of a class, and what it missed.
#[derive(Debug, Default)]
struct Count {
    right: usize,
    wrong: usize,
    missed: usize,
}

impl Count {
    fn add(&mut self, is_expected: bool, is_said: bool) {
        match (is_expected, is_said) {
            (true, true) => self.right += 1,
            (false, true) => self.wrong += 1,
            (true, false) => self.missed += 1,
            (false, false) => {}
        }
    }

    fn precision(&self) -> f64 {
        share(self.right, self.right + self.wrong)
    }

    fn recall(&self) -> f64 {
        share(self.right, self.right + self.missed)
    }
}

fn share(part: usize, whole: usize) -> f64 {
    let float = |count: usize| f64::from(u32::try_from(count).expect("a corpus is small"));
    if whole == 0 {
        1.0
    } else {
        float(part) / float(whole)
    }
}

fn class(words: &str) -> String {
    words.split(' ').next().unwrap_or_default().to_owned()
}

/// What the detector got right and wrong of some pages, in all and by class.
#[derive(Debug, Default)]
struct Score {
    blocked: usize,
    served: usize,
    all: Count,
    classes: BTreeMap<String, Count>,
}

impl Score {
    /// Judges the cases, and says which were misjudged.
    #[allow(clippy::print_stderr, reason = "a test says what it counted")]
    fn of(cases: &[Case]) -> Self {
        let mut score = Self::default();
        for case in cases {
            score.judge(case);
        }
        eprintln!(
            "{} blocked and {} served pages, precision {:.4}, recall {:.4}",
            score.blocked,
            score.served,
            score.all.precision(),
            score.all.recall()
        );
        for (name, count) in &score.classes {
            eprintln!(
                "  {name}: precision {:.4}, recall {:.4}",
                count.precision(),
                count.recall()
            );
        }
        score
    }

    #[allow(clippy::print_stderr, reason = "a test says what it counted")]
    fn judge(&mut self, case: &Case) {
        let said = case.said();
        // a label of a class alone is right whatever the detail: its provider has no word of ours
        let is_right = said == case.expected || (case.expected == "captcha" && class(&said) == "captcha");
        if !is_right {
            eprintln!("misjudged {}: {said} instead of {}", case.name, case.expected);
        }
        let is_blocked = case.expected != "none";
        self.blocked += usize::from(is_blocked);
        self.served += usize::from(!is_blocked);
        self.all.add(is_blocked, said != "none");
        for name in [class(&case.expected), class(&said)] {
            self.classes.entry(name).or_default();
        }
        for (name, count) in &mut self.classes {
            count.add(
                class(&case.expected) == *name,
                class(&said) == *name && (is_right || class(&case.expected) != *name),
            );
        }
    }

    fn is_high(&self) {
        assert!(self.all.precision() >= 0.98, "precision {}", self.all.precision());
        assert!(self.all.recall() >= 0.98, "recall {}", self.all.recall());
        for (name, count) in &self.classes {
            assert!(
                count.precision() >= 0.95 && count.recall() >= 0.95,
                "{name}: {count:?}"
            );
        }
    }
}

/// Beside the target of the figure: this corpus was written with the rules in hand, so it shows that they hold, not how
/// they do on pages that nobody here has seen.
#[test]
fn precision_and_recall_on_the_corpus_are_high_and_no_class_falls_behind() {
    let score = Score::of(&corpus());
    assert!(score.blocked >= 60 && score.served >= 120, "{score:?}");
    score.is_high();
}

#[test]
fn precision_and_recall_on_held_out_pages_are_high_and_no_class_falls_behind() {
    let score = Score::of(&cases_in("held_out"));
    assert!(score.blocked >= 20 && score.served >= 40, "{score:?}");
    score.is_high();
}

/// Written after the rules had been mended for the set before it, by somebody who had read neither; its README has the
/// figures that were seen first. Rules have been mended since: this holds that they stay so.
#[test]
fn precision_and_recall_on_the_second_held_out_pages_are_high_and_no_class_falls_behind() {
    let score = Score::of(&cases_in("held_out_2"));
    assert!(score.blocked >= 70 && score.served >= 80, "{score:?}");
    score.is_high();
}

/// Written with the second, before a rule was seen, and measured only after the rules had been mended for that one: what it
/// showed is in its README. The rules are others since, made for kinds of pages: this holds that they stay so.
#[test]
fn precision_and_recall_on_the_third_held_out_pages_are_high_and_no_class_falls_behind() {
    let score = Score::of(&cases_in("held_out_3"));
    assert!(score.blocked >= 40 && score.served >= 35, "{score:?}");
    score.is_high();
}

/// Written by somebody who had not seen a rule, while others made the rules of today, who had not seen it. What it showed is in its
/// README; no rule is mended for it, and no figure is asked of it.
#[test]
fn the_fourth_held_out_pages_are_counted() {
    let score = Score::of(&cases_in("held_out_4"));
    assert!(score.blocked >= 130 && score.served >= 119, "{score:?}");
}

const VENDORS: &[&str] = &[
    "cloudflare",
    "datadome",
    "perimeterx",
    "imperva",
    "akamai",
    "aws-waf",
    "kasada",
    "google",
    "anubis",
    "sucuri",
    "vercel",
    "ddos-guard",
];

/// WK-43: each vendor's served page, with its headers, cookies and sensors, is none at 200 and at 404; its blocked page is
/// the vendor.
#[test]
fn what_a_vendor_serves_is_none_and_what_it_blocks_is_the_vendor() {
    let cases = corpus();
    let named = |name: &str| cases.iter().find(|case| case.name == name);
    for vendor in VENDORS {
        for (page, status) in [("content", 200), ("404", 404)] {
            let served = named(&format!("vendor-{vendor}-{page}"));
            let served = served.unwrap_or_else(|| panic!("{vendor} has no served page"));
            assert_eq!(served.status, Some(status), "{vendor}");
            assert_eq!(served.said(), "none", "{vendor} {page}");
        }
        let word = format!("fraud {}", vendor.replace('-', "_"));
        let blocked: Vec<&Case> = cases.iter().filter(|case| case.expected == word).collect();
        assert!(!blocked.is_empty(), "{vendor} has no blocked page");
        for case in blocked {
            assert_eq!(case.said(), word, "{}", case.name);
        }
    }
}
