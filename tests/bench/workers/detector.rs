//! Precision and recall of the detector on the labelled pages that its tests have: they were written with the rules in hand.

use std::path::{Path, PathBuf};

use dormouse_engine::detect::{Rules, Visit, detect};
use dormouse_engine::outcome::BlockReason;
use dormouse_secrets::Scrubber;
use dormouse_tests::measure::{Figure, Samples, Target};

pub(crate) fn run() -> Vec<Figure> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/engine/tests/fixtures/detect");
    let (mut right, mut wrong, mut missed, mut pages) = (0.0, 0.0, 0.0, 0);
    for path in ["blocked", "served"]
        .iter()
        .flat_map(|part| files(&root.join(part)))
    {
        let (expected, found) = judged(&path);
        pages += 1;
        right += f64::from(u8::from(found != "none" && found == expected));
        wrong += f64::from(u8::from(found != "none" && found != expected));
        missed += f64::from(u8::from(expected != "none" && found != expected));
    }
    let mut samples = Samples::default();
    samples.push("precision", right / (right + wrong));
    samples.push("recall", right / (right + missed));
    let figure = |name: &str| Figure {
        name: format!("{name}, {pages} pages of our own"),
        value: samples.of(name),
        unit: "",
        against: None,
        target: Target::AtLeast(0.98),
    };
    vec![figure("precision"), figure("recall")]
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the pages are there");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

/// The class that a page is labelled with, and the one that is found.
fn judged(path: &Path) -> (String, &'static str) {
    let text = std::fs::read_to_string(path).expect("a page is readable");
    let (head, html) = text.split_once("\n\n").expect("a blank line ends the head");
    let field = |wanted: &str| {
        let fields = head.lines().filter_map(|line| line.split_once(": "));
        fields
            .filter(|(name, _)| *name == wanted)
            .map(|(_, value)| value)
            .collect::<Vec<_>>()
    };
    let headers: Vec<(String, String)> = field("header")
        .iter()
        .filter_map(|header| header.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let visit = Visit {
        requested_url: field("requested").first().copied(),
        final_url: field("url").first().copied().unwrap_or_default(),
        status: field("status").first().and_then(|status| status.parse().ok()),
        headers: &headers,
        html: (!html.is_empty()).then_some(html.as_bytes()),
    };
    let found = detect(&visit, &Rules::default(), &Scrubber::empty()).block;
    let found = found.map_or("none", |block| match block.reason {
        BlockReason::Captcha { .. } => "captcha",
        BlockReason::LoginWall => "login_wall",
        BlockReason::RateLimit { .. } => "rate_limit",
        BlockReason::FraudDetect { .. } => "fraud",
        BlockReason::Unknown => "unknown",
    });
    let expected = field("expect").first().and_then(|words| words.split(' ').next());
    (expected.unwrap_or_default().to_owned(), found)
}
