//! `detect`: whether a page is a block. Needs no store, and works inside a run.

use std::io::Read;
use std::path::Path;

use dormouse_engine::detect::{Detection, HTML_MAX, Rules, Visit, detect as judge};
use dormouse_engine::outcome::BlockReason;
use dormouse_secrets::{Formats, Scrubber};

use crate::args::Detect;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::output::{Format, Ui, visible};
use crate::problem::{Code, Problem, Result};

/// Judges a page, and says so.
pub(crate) fn detect(arguments: &Detect, environment: &Environment, ui: &Ui) -> Result<Exit> {
    let html = read(&arguments.file, environment)?;
    let visit = Visit {
        requested_url: arguments.requested_url.as_deref(),
        final_url: arguments.url.as_deref().unwrap_or_default(),
        status: arguments.status,
        headers: &arguments.header,
        html: Some(&html),
    };
    // There is no run and no store here whose values would be known: what looks like a credential is taken out.
    let scrubber = Scrubber::empty().with_formats(Formats::Strict);
    let detection = judge(&visit, &Rules::default(), &scrubber);
    if detection.html_cut {
        ui.warning(&format!("only the first {HTML_MAX} bytes of the page were read"));
    }
    match ui.format {
        Format::Text => ui.record(&rows(&detection))?,
        Format::Json | Format::Jsonl => {
            ui.line(serde_json::to_string(&detection).expect("a detection is plain JSON"))?;
        }
    }
    Ok(match detection.block {
        Some(_) => Exit::Blocked,
        None => Exit::Done,
    })
}

/// More than is looked at, so that it is known that there is more, and no credential is cut where the reading ends.
fn read(file: &Path, environment: &Environment) -> Result<Vec<u8>> {
    let refuse = |error: std::io::Error| {
        Problem::new(Code::Invalid, format!("{}: {error}", file.display()))
            .hint("name a file that can be read, or - for what comes on stdin")
    };
    let reader: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(environment.absolute(file)).map_err(refuse)?)
    };
    let mut html = Vec::new();
    reader
        .take(2 * HTML_MAX as u64)
        .read_to_end(&mut html)
        .map_err(refuse)?;
    Ok(html)
}

fn rows(detection: &Detection) -> Vec<(&'static str, String)> {
    let Some(block) = &detection.block else {
        return vec![("block", "none".to_owned())];
    };
    let evidence = &block.evidence;
    let mut rows = vec![
        ("block", name(&block.reason).to_owned()),
        (
            "rule",
            format!("{} {}", evidence.rule.number(), evidence.rule.name()),
        ),
    ];
    if let Some(detail) = detail(&block.reason) {
        rows.insert(1, detail);
    }
    if !evidence.markers.is_empty() {
        rows.push(("markers", evidence.markers.join(", ")));
    }
    for (name, value) in &evidence.headers {
        rows.push(("header", visible::one_line(&format!("{name}: {value}"))));
    }
    if !evidence.final_url.is_empty() {
        rows.push(("url", visible::one_line(evidence.final_url.as_str())));
    }
    rows
}

fn name(reason: &BlockReason) -> &'static str {
    match reason {
        BlockReason::Captcha { .. } => "Captcha",
        BlockReason::LoginWall => "LoginWall",
        BlockReason::RateLimit { .. } => "RateLimit",
        BlockReason::FraudDetect { .. } => "FraudDetect",
        BlockReason::Unknown => "Unknown",
    }
}

fn detail(reason: &BlockReason) -> Option<(&'static str, String)> {
    match reason {
        BlockReason::Captcha { provider } => provider.clone().map(|name| ("provider", name)),
        BlockReason::RateLimit { retry_after_seconds } => {
            retry_after_seconds.map(|seconds| ("retry_after", format!("{seconds}s")))
        }
        BlockReason::FraudDetect { vendor } => vendor.clone().map(|name| ("vendor", name)),
        BlockReason::LoginWall | BlockReason::Unknown => None,
    }
}
