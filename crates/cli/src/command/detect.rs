//! `detect`: whether a page is a block. Needs no store. Inside a run it is judged by the run's endpoint, and a block is the run's.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use dormouse_engine::detect::{Detection, Rules, Visit, detect as judge};
use dormouse_engine::outcome::BlockReason;

use super::inside::Inside;
use super::runs::block_detail;
use crate::api::detect::{DetectLimits, VISIT_BYTES_MAX, VisitBody, of_nobody};
use crate::args::Detect;
use crate::client::Call;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::output::{Format, Ui, visible};
use crate::problem::{Code, Problem, Result};

/// More bytes than any byte of a page takes in a body, with room for what is beside the page.
const ESCAPED_MAX: usize = 8;
/// How much more of a page is read than is looked at: it is known that there is more, and a credential that lies across
/// the end of what is looked at is whole, however it is written.
const READ_BEYOND: u64 = 256 * 1024;

/// Judges a page by these rules, and says so.
pub(crate) fn detect(arguments: &Detect, rules: &Rules, environment: &Environment, ui: &Ui) -> Result<Exit> {
    let html = read(&arguments.file, rules, environment)?;
    let visit = Visit {
        requested_url: arguments.requested_url.as_deref(),
        final_url: arguments.url.as_deref().unwrap_or_default(),
        status: arguments.status,
        headers: &arguments.header,
        html: Some(&html),
    };
    let detection = judge(&visit, rules, &of_nobody());
    said(&detection, rules, ui)
}

/// Has a page judged by the endpoint of the run that this is inside of, which says how much of one is looked at: the
/// settings of the owner are not a worker's to read. A run that cannot be told goes on as if it had not been asked, and
/// that is said.
pub(crate) async fn detect_inside(arguments: &Detect, environment: &Environment, ui: &Ui) -> Result<Exit> {
    let run = match Inside::of(environment, "detect", "dormouse run -- dormouse detect page.html") {
        Ok(run) => run,
        Err(_) => return untold(arguments, environment, ui),
    };
    let limits: DetectLimits = super::listing::read(&run.ask(&Call::get("/v1/detect")).await?)?;
    let rules = Rules {
        html_max: limits.html_max,
        ..Rules::default()
    };
    let html = read(&arguments.file, &rules, environment)?;
    let visit = VisitBody {
        requested_url: arguments.requested_url.clone(),
        final_url: arguments.url.clone(),
        status: arguments.status,
        headers: headers(&arguments.header),
        html: Some(String::from_utf8_lossy(&html).into_owned()),
    };
    let bytes = run.ask(&fitting(visit, ui)).await?;
    let detection: Detection = super::listing::read(&bytes)?;
    if detection.block.is_some() {
        ui.note("the run was told: it ends as blocked");
    }
    said(&detection, &rules, ui)
}

/// The call that asks. A page that is too long as it is written is cut, and that is said.
fn fitting(mut visit: VisitBody, ui: &Ui) -> Call {
    let call = Call::post("/v1/detect", &visit);
    let html = visit
        .html
        .as_mut()
        .filter(|_| call.body_bytes() > VISIT_BYTES_MAX);
    let Some(html) = html else {
        return call;
    };
    let kept = html.floor_char_boundary(VISIT_BYTES_MAX / ESCAPED_MAX);
    html.truncate(kept);
    ui.warning(&format!(
        "the page is written with many escapes: only its first {kept} bytes were sent"
    ));
    Call::post("/v1/detect", &visit)
}

fn untold(arguments: &Detect, environment: &Environment, ui: &Ui) -> Result<Exit> {
    ui.warning("nobody answers for this run: it is not told what comes of this, and its owner's settings are not known");
    detect(arguments, &Rules::default(), environment, ui)
}

/// Of a name that is there twice, the first.
fn headers(given: &[(String, String)]) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    for (name, value) in given {
        headers
            .entry(name.to_ascii_lowercase())
            .or_insert_with(|| value.clone());
    }
    headers
}

fn said(detection: &Detection, rules: &Rules, ui: &Ui) -> Result<Exit> {
    if detection.html_cut {
        ui.warning(&format!(
            "only the first {} bytes of the page were read",
            rules.html_max
        ));
    }
    match ui.format {
        Format::Text => ui.record(&rows(detection))?,
        Format::Json | Format::Jsonl => {
            ui.line(serde_json::to_string(detection).expect("a detection is plain JSON"))?;
        }
    }
    Ok(match detection.block {
        Some(_) => Exit::Blocked,
        None => Exit::Done,
    })
}

fn read(file: &Path, rules: &Rules, environment: &Environment) -> Result<Vec<u8>> {
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
        .take((rules.html_max as u64).saturating_add(READ_BEYOND))
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
    if let Some(detail) = block_detail(&block.reason) {
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
