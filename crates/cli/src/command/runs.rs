//! `runs list|show|send|logs`.

use dormouse_engine::budget::Dimension;
use dormouse_engine::outcome::{
    BlockEvidence, BlockReason, Exit as WorkerExit, Facts, FailReason, Outcome, StreamFacts,
};
use dormouse_engine::run::{Checkpoint, OutcomeKind, RunWait};
use serde_json::json;

use super::thread::said_or_read;
use super::{listing, logs};
use crate::api::RunView;
use crate::args::Runs;
use crate::client::{Call, Session};
use crate::context::Context;
use crate::duration::took;
use crate::exit::Exit;
use crate::output::{Format, Ui};
use crate::problem::Result;

pub(super) async fn runs(session: &mut Session<'_>, context: &Context, command: Runs) -> Result<Exit> {
    let ui = &context.ui;
    match command {
        Runs::List { agent, outcome, page } => {
            let call = Call::get("/v1/runs")
                .query("agent", agent)
                .query("outcome", outcome.map(|o| o.word()));
            let columns = ["id", "agent", "state", "attempt", "started", "task"];
            listing::pages(session, ui, call, &page, &columns, |run| row(run, ui)).await
        }
        Runs::Show { id } => {
            let body = session.ask(&Call::get(format!("/v1/runs/{id}"))).await?;
            listing::item(ui, &body, |run| record(run, ui))
        }
        Runs::Send { id, text } => {
            let text = said_or_read(&text).await?;
            let call = Call::post(format!("/v1/runs/{id}/send"), &json!({ "text": text }));
            let body = session.ask(&call).await?;
            match ui.format {
                Format::Text => {}
                Format::Json | Format::Jsonl => ui.line(&body)?,
            }
            Ok(Exit::Done)
        }
        Runs::Logs(arguments) => logs::logs(session, context, &arguments).await,
    }
}

fn row(run: &RunView, ui: &Ui) -> Vec<String> {
    vec![
        run.id.to_string(),
        run.agent.to_string(),
        state(run),
        run.attempt.to_string(),
        ui.instant(run.started_at),
        run.task.map(|task| task.to_string()).unwrap_or_default(),
    ]
}

/// The outcome where there is one, else the state: always a word.
fn state(run: &RunView) -> String {
    match &run.outcome {
        Some(outcome) => OutcomeKind::of(outcome).word().to_owned(),
        None => run.state.word().to_owned(),
    }
}

fn record(run: &RunView, ui: &Ui) -> Vec<(&'static str, String)> {
    let mut pairs = vec![("id", run.id.to_string()), ("agent", run.agent.to_string())];
    pairs.extend(run.task.map(|task| ("task", task.to_string())));
    pairs.push(("attempt", run.attempt.to_string()));
    pairs.push(("state", run.state.word().to_owned()));
    if let Some(RunWait::Gate { gate }) = run.wait {
        pairs.push(("waits for", gate.to_string()));
    }
    pairs.extend(run.session.map(|session| ("session", session.to_string())));
    pairs.extend(run.continues.map(|former| ("goes on from", former.to_string())));
    pairs.extend(effects(run).map(|effects| ("effects", effects)));
    if let Some(outcome) = &run.outcome {
        pairs.push(("outcome", said(outcome, run)));
        match outcome {
            Outcome::Failed { .. } => {
                let (because, hint) = outcome.failure().unwrap_or_default();
                pairs.push(("because", because.to_owned()));
                pairs.extend(hint.map(|hint| ("hint", hint.to_owned())));
            }
            Outcome::Blocked { reason, evidence } => block_of(reason, evidence.as_ref(), &mut pairs),
            Outcome::Success { .. }
            | Outcome::Partial { .. }
            | Outcome::Timeout { .. }
            | Outcome::Cancelled { .. }
            | Outcome::Lost { .. } => {}
        }
    }
    if let Some(facts) = &run.facts {
        facts_of(facts, &mut pairs);
    }
    pairs.push(("started", ui.instant(run.started_at)));
    pairs.extend(run.ended_at.map(|at| ("ended", ui.instant(at))));
    pairs
}

/// What is known of the effects of a run that is not over, or was lost.
fn effects(run: &RunView) -> Option<String> {
    if !matches!(run.outcome, None | Some(Outcome::Lost { .. })) {
        return None;
    }
    Some(match &run.checkpoint {
        Checkpoint::None => return None,
        Checkpoint::Safe { label: Some(label) } => format!("known: {label}"),
        Checkpoint::Safe { label: None } => "known".to_owned(),
        Checkpoint::SideEffect { what: Some(what) } => format!("open: {what} may have happened"),
        Checkpoint::SideEffect { what: None } => "open: something may have happened".to_owned(),
    })
}

/// What is known of a block.
fn block_of(reason: &BlockReason, evidence: Option<&BlockEvidence>, pairs: &mut Vec<(&'static str, String)>) {
    pairs.extend(block_detail(reason));
    let Some(evidence) = evidence else { return };
    pairs.extend(evidence.url.as_ref().map(|url| ("url", url.to_string())));
    pairs.extend(
        evidence
            .detail
            .as_ref()
            .map(|detail| ("evidence", detail.to_string())),
    );
}

/// What a reason says beside its name.
pub(super) fn block_detail(reason: &BlockReason) -> Option<(&'static str, String)> {
    match reason {
        BlockReason::Captcha { provider } => provider.clone().map(|name| ("provider", name)),
        BlockReason::RateLimit { retry_after_seconds } => {
            retry_after_seconds.map(|seconds| ("retry_after", format!("{seconds}s")))
        }
        BlockReason::FraudDetect { vendor } => vendor.clone().map(|name| ("vendor", name)),
        BlockReason::LoginWall | BlockReason::Unknown => None,
    }
}

fn facts_of(facts: &Facts, pairs: &mut Vec<(&'static str, String)>) {
    pairs.extend(facts.exit.as_ref().map(|exit| ("exit", exit_of(exit))));
    pairs.push(("took", took(facts.clock_ms)));
    pairs.push(("cpu", took(facts.usage.user_ms + facts.usage.system_ms)));
    if facts.strays > 0 {
        pairs.push(("strays killed", facts.strays.to_string()));
    }
    if facts.alive > 0 {
        pairs.push(("alive still", facts.alive.to_string()));
    }
    if facts.elided_bytes > 0 {
        pairs.push(("bytes left out", facts.elided_bytes.to_string()));
    }
    pairs.push(("isolation", facts.isolation.clone()));
    if let Some(part) = &facts.segment_current {
        pairs.push((
            "at",
            format!("{part}, behind {} completed parts", facts.segments_completed),
        ));
    }
    if let Some(reports) = &facts.reports {
        pairs.extend(reports.text.as_ref().map(|text| ("said", text.to_string())));
        if reports.bad_lines > 0 {
            pairs.push(("bad reports", reports.bad_lines.to_string()));
        }
        if reports.exit_mismatch {
            pairs.push(("note", "its exit code says otherwise than its report".to_owned()));
        }
    }
    if let Some(stream) = &facts.stream {
        stream_of(stream, pairs);
    }
}

/// What the stream of a known provider said.
fn stream_of(stream: &StreamFacts, pairs: &mut Vec<(&'static str, String)>) {
    pairs.push(("provider", stream.provider.word().to_owned()));
    pairs.extend(
        stream
            .session
            .as_ref()
            .map(|id| ("provider session", id.to_string())),
    );
    pairs.extend(stream.model.as_ref().map(|model| ("model", model.to_string())));
    let used = &stream.used;
    pairs.push((
        "tokens",
        format!(
            "{} read, {} cached, {} written",
            used.input, used.cached, used.output
        ),
    ));
    pairs.extend(
        used.usd_micros
            .map(|usd| ("cost", Dimension::UsdMicros.shown(usd))),
    );
    if stream.denials > 0 {
        pairs.push(("calls refused", stream.denials.to_string()));
    }
    if stream.unknown_events > 0 {
        pairs.push(("unknown events", stream.unknown_events.to_string()));
    }
    if stream.exit_mismatch {
        pairs.push(("note", "its exit code says otherwise than its stream".to_owned()));
    }
}

fn exit_of(exit: &WorkerExit) -> String {
    let how = match (exit.code, exit.signal) {
        (Some(code), _) => format!("code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "not known".to_owned(),
    };
    format!(
        "{how}{}{}",
        if exit.by_us { ", by us" } else { "" },
        if exit.oom { ", out of memory" } else { "" }
    )
}

/// An outcome in a few words: `Failed (code 3)`.
pub(super) fn said(outcome: &Outcome, run: &RunView) -> String {
    let exit = run.facts.as_ref().and_then(|facts| facts.exit.as_ref());
    match outcome {
        Outcome::Success { .. } => "Success".to_owned(),
        Outcome::Partial { cause, .. } => format!("Partial ({})", word(cause)),
        Outcome::Blocked { reason, .. } => format!("Blocked ({})", word(reason)),
        Outcome::Failed { reason, .. } => match (reason, exit) {
            (FailReason::Exit | FailReason::Signal, Some(exit)) => format!("Failed ({})", exit_of(exit)),
            _ => format!("Failed ({})", word(reason)),
        },
        Outcome::Timeout { clock, limit_ms } => {
            format!("Timeout ({} clock, {})", word(clock), took(*limit_ms))
        }
        Outcome::Cancelled { by, .. } => format!("Cancelled (by {})", word(by)),
        Outcome::Lost { .. } => "Lost (its owner vanished)".to_owned(),
    }
}

/// The word an enum is stored as; of a tagged one its tag.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(serde_json::Value::Object(fields)) => fields
            .get("kind")
            .and_then(|kind| kind.as_str())
            .unwrap_or_default()
            .to_owned(),
        _ => String::new(),
    }
}
