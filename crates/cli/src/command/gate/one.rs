//! Deciding one gate, as it is now: the person named it, so what is decided is what it showed.

use bytes::Bytes;
use dormouse_engine::gate::Scope;
use serde::Serialize;
use serde_json::value::RawValue;

use super::super::listing;
use super::show::next;
use crate::api::GateView;
use crate::client::{Call, Session};
use crate::exit::Exit;
use crate::output::{Format, Ui};
use crate::problem::{Code, Problem, Result};

/// The body of a decision.
#[derive(Debug, Serialize)]
pub(crate) struct One<'a> {
    pub(crate) decision: &'static str,
    pub(crate) shown_version: u64,
    pub(crate) shown_digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<Scope>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) comment: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) input: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) chosen: Vec<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<u64>,
}

impl<'a> One<'a> {
    /// This decision, on the gate as it was shown.
    pub(crate) fn new(decision: &'static str, gate: &GateView, comment: Option<&'a str>) -> Self {
        Self {
            decision,
            shown_version: gate.version.get(),
            shown_digest: gate.digest.to_string(),
            scope: None,
            comment,
            input: None,
            text: None,
            chosen: Vec::new(),
            limit: None,
        }
    }
}

/// The gate that is named.
pub(super) async fn fetch(session: &mut Session<'_>, id: &str) -> Result<GateView> {
    listing::read(&session.ask(&Call::get(format!("/v1/gates/{id}"))).await?)
}

/// Refuses an answer that the question does not take, and says which one it does.
pub(super) fn answers(gate: &GateView, answer: &One<'_>) -> Result<()> {
    let count = gate.options.len();
    if let Some(wrong) = answer.chosen.iter().find(|chosen| count > 0 && **chosen >= count) {
        let detail = format!("gate {} has options 1 to {count}, and no {}", gate.id, wrong + 1);
        return Err(Problem::new(Code::Usage, detail).hint(next(gate)).into());
    }
    let is_said = answer.text.is_some_and(|text| !text.trim().is_empty());
    let (is_taken, wanted) = if gate.options.is_empty() {
        (is_said, "words")
    } else {
        (
            answer.text.is_none() && !answer.chosen.is_empty(),
            "the number of an option",
        )
    };
    if gate.kind_word() != "question" || is_taken || !gate.is_pending() {
        return Ok(());
    }
    Err(Problem::new(
        Code::Usage,
        format!("gate {} is a question that asks for {wanted}", gate.id),
    )
    .hint(next(gate))
    .into())
}

/// Decides, and prints what came of it.
pub(super) async fn decide(
    session: &mut Session<'_>,
    ui: &Ui,
    gate: &GateView,
    decision: &One<'_>,
) -> Result<Exit> {
    let body = send(session, gate, decision).await?;
    match ui.format {
        Format::Text => {
            let decided: GateView = listing::read(&body)?;
            ui.line(format!("{}\t{}", decided.id, decided.status))?;
            session.deliver(ui, None).await?;
            ui.note(&crate::output::visible::one_line(&came_of(gate, &decided, ui)));
        }
        Format::Json | Format::Jsonl => ui.line(&body)?,
    }
    Ok(Exit::Done)
}

/// What the decision did. One that was there before, by the same person, stands as it was, and so does what was said
/// with it.
fn came_of(shown: &GateView, decided: &GateView, ui: &Ui) -> String {
    match &decided.decision {
        Some(before) if !shown.is_pending() => format!(
            "{}: it stands already, {} by {} {}; nothing was changed",
            decided.title(),
            decided.status,
            before.by,
            ui.instant(before.at)
        ),
        Some(_) | None => format!(
            "{}: {}",
            decided.title(),
            decided.effect.as_deref().unwrap_or("nobody waits for it")
        ),
    }
}

/// Sends a decision.
pub(crate) async fn send(session: &mut Session<'_>, gate: &GateView, decision: &One<'_>) -> Result<Bytes> {
    session
        .ask(&Call::put(format!("/v1/gates/{}/decision", gate.id), decision))
        .await
}
