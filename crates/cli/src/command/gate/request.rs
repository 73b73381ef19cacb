//! `gate request`: asks a person, from inside a run, and waits for the answer.

use std::path::Path;
use std::time::Duration;

use dormouse_state::GateKind;
use serde_json::json;

use super::{json_text, read_text};
use crate::api::{DecisionView, GateView};
use crate::args::GateRequest;
use crate::client::Call;
use crate::command::inside::{Inside, gone};
use crate::endpoint::NewRequest;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::output::{Format, Ui, visible};
use crate::problem::{Code, Problem, Result};

/// How long an answer may take before it is said that it is waited for.
const QUIET: Duration = Duration::from_secs(1);

/// Asks through the endpoint of the run that this is inside of.
pub(crate) async fn request(arguments: &GateRequest, environment: &Environment, ui: &Ui) -> Result<Exit> {
    let run = Inside::of(
        environment,
        "gate request",
        "dormouse run --agent alice -- sh -c 'dormouse gate request --action deploy && ./deploy'",
    )?;
    let wanted = wanted(arguments, environment)?;
    let asked = run.ask(&Call::post("/v1/requests", &wanted)).await?;
    if asked.is_empty() {
        return allowed(&wanted, ui);
    }
    let asked: GateView = super::super::listing::read(&asked)?;
    if !asked.blocking {
        return notified(&asked, ui);
    }
    // Also one that is decided already is asked for: that is what uses an approval.
    let path = format!("/v1/requests/{}/answer", asked.id);
    let call = Call::post(path, &wanted);
    let mut answer = std::pin::pin!(run.ask(&call));
    let answered = match tokio::time::timeout(QUIET, &mut answer).await {
        Ok(answered) => answered,
        Err(_) => {
            let line = format!("waiting for gate {}: {}", asked.id, asked.title());
            ui.note(&visible::one_line(&line));
            answer.await
        }
    };
    let gate: GateView = super::super::listing::read(&answered?)?;
    conclude(&gate, arguments.allow_edit, ui)
}

fn wanted(arguments: &GateRequest, environment: &Environment) -> Result<NewRequest> {
    let input = match &arguments.input {
        Some(input) => Some(json_text(input, environment)?),
        None => None,
    };
    let detail = match arguments.detail.as_deref() {
        Some(detail) => Some(match detail.strip_prefix('@') {
            Some(file) => read_text(Path::new(file), environment)?,
            None => detail.to_owned(),
        }),
        None => None,
    };
    Ok(NewRequest {
        kind: arguments.kind.kind(),
        action: arguments.action.clone(),
        input,
        cwd: environment.working_folder().to_str().map(str::to_owned),
        key: arguments.key.clone(),
        summary: arguments.summary.clone(),
        detail,
        options: arguments.option.clone(),
        several: arguments.several,
        default_no: arguments.default_no,
        allow_edit: arguments.allow_edit,
        expires: arguments.expires,
    })
}

/// The session's mode lets it, so nobody is asked.
fn allowed(wanted: &NewRequest, ui: &Ui) -> Result<Exit> {
    match (ui.format, &wanted.input) {
        (Format::Text, Some(input)) if wanted.allow_edit => ui.line(input.get())?,
        (Format::Text, _) => ui.note("the session's mode lets it; nobody was asked"),
        (Format::Json | Format::Jsonl, _) => ui.line(json!({ "status": "allowed" }).to_string())?,
    }
    Ok(Exit::Done)
}

fn notified(gate: &GateView, ui: &Ui) -> Result<Exit> {
    match ui.format {
        Format::Text => ui.note(&format!("notification {} is in the inbox", gate.id)),
        Format::Json | Format::Jsonl => {
            ui.line(serde_json::to_vec(gate).expect("a view has text keys only"))?;
        }
    }
    Ok(Exit::Done)
}

/// What the answer says: on stdout the data, in the exit code whether the call may be made.
fn conclude(gate: &GateView, allow_edit: bool, ui: &Ui) -> Result<Exit> {
    let Some(decision) = &gate.decision else {
        return Err(gone("it answered before the gate was decided").into());
    };
    if ui.format != Format::Text {
        ui.line(serde_json::to_vec(gate).expect("a view has text keys only"))?;
    }
    let exit = exit_of(&gate.status);
    if exit != Exit::Done {
        ui.problem(&no(gate, decision));
        return Ok(exit);
    }
    if ui.format == Format::Text {
        match gate.kind {
            GateKind::Question => print_answer(gate, decision, ui)?,
            GateKind::Approval if allow_edit => {
                let input = decision.input.as_ref().or(gate.input.as_ref());
                ui.line(input.map_or("", String::as_str))?;
            }
            GateKind::Approval | GateKind::Notification => {}
        }
    }
    if let Some(comment) = &decision.comment {
        ui.note(&visible::one_line(&format!(
            "{} by {}: {comment}",
            gate.status, decision.by
        )));
    }
    Ok(exit)
}

/// 0 for yes; else why not.
fn exit_of(status: &str) -> Exit {
    match status {
        "approved" | "answered" => Exit::Done,
        "expired" => Exit::Timeout,
        "invalidated" => Exit::Cancelled,
        _ => Exit::NotAllowed,
    }
}

fn no(gate: &GateView, decision: &DecisionView) -> Problem {
    let said = decision.comment.as_ref().map(|comment| format!(": {comment}"));
    let detail = match gate.status.as_str() {
        "expired" => format!("nobody decided gate {} in time, so the answer is no", gate.id),
        "invalidated" => format!("gate {} lost its meaning before it was decided", gate.id),
        status => format!(
            "gate {} was {status} by {}{}",
            gate.id,
            decision.by,
            said.unwrap_or_default()
        ),
    };
    Problem::new(Code::Forbidden, detail).hint(format!("do not do it; see dormouse gate show {}", gate.id))
}

fn print_answer(gate: &GateView, decision: &DecisionView, ui: &Ui) -> Result<()> {
    for chosen in &decision.chosen {
        if let Some(option) = gate.options.get(*chosen) {
            ui.line(option)?;
        }
    }
    match &decision.answer {
        Some(answer) => ui.line(answer),
        None => Ok(()),
    }
}
