//! `gate request`: asks a person, from inside a run, and waits for the answer.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use dormouse_state::GateKind;
use serde_json::json;

use super::{json_text, read_text};
use crate::api::{DecisionView, GateView};
use crate::args::GateRequest;
use crate::client::{Answer, Call, Client, SendError, Server};
use crate::endpoint::{Connectable, NewRequest, TOKEN, connectable};
use crate::environment::Environment;
use crate::exit::Exit;
use crate::output::{Format, Ui, visible};
use crate::owner::token::ControlToken;
use crate::problem::{Code, Problem, Result};

/// How long an answer may take before it is said that it is waited for.
const QUIET: Duration = Duration::from_secs(1);

/// Asks through the endpoint of the run that this is inside of.
pub(crate) async fn request(arguments: &GateRequest, environment: &Environment, ui: &Ui) -> Result<Exit> {
    run_folder(environment, "gate request")?;
    let wanted = wanted(arguments, environment)?;
    let RunClient { client, _place } = run_client(environment, "gate request")?;
    let asked = told(client.send(&Call::post("/v1/requests", &wanted)).await).await?;
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
    let mut answer = std::pin::pin!(client.send(&call));
    let sent = match tokio::time::timeout(QUIET, &mut answer).await {
        Ok(sent) => sent,
        Err(_) => {
            let line = format!("waiting for gate {}: {}", asked.id, asked.title());
            ui.note(&visible::one_line(&line));
            answer.await
        }
    };
    let gate: GateView = super::super::listing::read(&told(sent).await?)?;
    conclude(&gate, arguments.allow_edit, ui)
}

/// The way to the endpoint of the run that this is inside of.
pub(crate) struct RunClient {
    client: Client,
    /// A short path to its socket lives as long as this.
    _place: Connectable,
}

impl RunClient {
    /// Sends, and reads the answer: what is refused is the problem that it says.
    pub(crate) async fn told(&self, call: &Call) -> Result<Bytes> {
        told(self.client.send(call).await).await
    }
}

/// Finds it, for this command.
pub(crate) fn run_client(environment: &Environment, command: &str) -> Result<RunClient> {
    let folder = run_folder(environment, command)?;
    let place = connectable(&folder).map_err(|error| gone(&error.to_string()))?;
    let token =
        ControlToken::read(&folder.join(TOKEN)).map_err(|error| gone(&Problem::from(error).detail))?;
    let client = Client::to(Server::Unix(place.path.clone()), Some(token), None);
    Ok(RunClient {
        client,
        _place: place,
    })
}

fn run_folder(environment: &Environment, command: &str) -> Result<PathBuf> {
    environment.folder_of("DORMOUSE_RUN_DIR").ok_or_else(|| {
        Problem::new(Code::Usage, format!("{command} asks in the name of a run, and this is not inside of one"))
            .hint("run it in a worker, as in dormouse run --agent alice -- sh -c 'dormouse gate request --action deploy && ./deploy'")
            .into()
    })
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

/// A lost supervisor is a denial: nothing is approved by silence.
fn gone(why: &str) -> Problem {
    Problem::new(
        Code::Unavailable,
        format!("nobody answers for this run, so the call is denied: {why}"),
    )
    .hint("the run is being ended, or its supervisor has gone; what it asked is kept: dormouse gate list")
}

async fn told(sent: std::result::Result<Answer, SendError>) -> Result<Bytes> {
    let answer = sent.map_err(|(SendError::NotSent(why) | SendError::Lost(why))| gone(&why))?;
    let is_good = answer.status.is_success();
    let bytes = answer.bytes().await;
    let bytes = bytes.map_err(|(SendError::NotSent(why) | SendError::Lost(why))| gone(&why))?;
    if is_good {
        return Ok(bytes);
    }
    Err(match serde_json::from_slice::<Problem>(&bytes) {
        Ok(problem) => problem.into(),
        Err(_) => gone("its answer cannot be read").into(),
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
