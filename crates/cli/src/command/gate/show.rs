//! A gate, as a person sees it.

use dormouse_engine::gate::{AuthorKind, Lines, deceives, escaped};
use dormouse_state::OnTimeout;

use super::super::listing;
use crate::api::{DecisionView, GateView};
use crate::client::{Call, Session};
use crate::exit::Exit;
use crate::output::{Format, Table, Ui};
use crate::problem::Result;

/// The columns of a list.
pub(super) const COLUMNS: [&str; 7] = ["id", "agent", "type", "state", "opened", "expires", "summary"];

/// The row of a list.
pub(super) fn row(gate: &GateView, ui: &Ui) -> Vec<String> {
    vec![
        gate.id.to_string(),
        gate.agent.to_string(),
        gate.kind_word().to_owned(),
        gate.status.clone(),
        ui.instant(gate.opened_at),
        expiry(gate, ui),
        gate.title(),
    ]
}

pub(super) async fn show(session: &mut Session<'_>, ui: &Ui, id: &str) -> Result<Exit> {
    let body = session.ask(&Call::get(format!("/v1/gates/{id}"))).await?;
    if ui.format != Format::Text {
        ui.line(&body)?;
        return Ok(Exit::Done);
    }
    let gate: GateView = listing::read(&body)?;
    ui.record(&record(&gate, ui))?;
    if ui.is_terminal
        && let Some(text) = texts(&gate)
    {
        ui.bytes(text.as_bytes())?;
    }
    if gate.is_pending() && gate.decidable {
        session.deliver(ui, None).await?;
        ui.note(&next(&gate));
    }
    Ok(Exit::Done)
}

/// What can be done with a pending gate.
pub(crate) fn next(gate: &GateView) -> String {
    let id = gate.id;
    match gate.kind_word() {
        "approval" if gate.budget.is_some() => {
            format!("decide: dormouse gate approve {id} --limit AMOUNT   or: dormouse gate reject {id}")
        }
        "approval" => format!("decide: dormouse gate approve {id}   or: dormouse gate reject {id}"),
        "question" if gate.options.is_empty() => {
            format!("answer: dormouse gate answer {id} TEXT   or: dormouse gate reject {id}")
        }
        "question" => format!(
            "answer: dormouse gate answer {id} --option N, 1 to {}   or: dormouse gate reject {id}",
            gate.options.len()
        ),
        _ => format!("seen: dormouse gate answer {id}"),
    }
}

/// All of a gate, as text for a terminal.
pub(crate) fn shown(gate: &GateView, ui: &Ui) -> String {
    let ui = Ui {
        is_terminal: true,
        ..ui.clone()
    };
    let texts = texts(gate).unwrap_or_default();
    format!("{}{texts}", Table::as_record(&record(gate, &ui)))
}

fn expiry(gate: &GateView, ui: &Ui) -> String {
    gate.expires_at
        .map_or_else(|| "never".to_owned(), |at| ui.instant(at))
}

/// Everything on one line each; on a terminal what has lines of its own comes below.
fn record(gate: &GateView, ui: &Ui) -> Vec<(&'static str, String)> {
    let mut pairs = vec![
        ("id", gate.id.to_string()),
        ("type", gate.kind_word().to_owned()),
        ("state", gate.status.clone()),
        ("summary", gate.summary.clone().unwrap_or_else(|| gate.title())),
        ("agent", gate.agent.to_string()),
    ];
    pairs.extend(gate.run.map(|run| ("run", run.to_string())));
    pairs.extend(gate.session.map(|session| ("session", session.to_string())));
    pairs.extend(gate.action.clone().map(|action| ("action", action)));
    if !ui.is_terminal {
        pairs.extend(gate.detail.clone().map(|detail| ("detail", detail)));
        pairs.extend(input(gate).map(|input| ("input", input)));
    }
    pairs.extend(gate.cwd.clone().map(|cwd| ("cwd", cwd)));
    if !gate.secrets.is_empty() {
        pairs.push(("secrets", gate.secrets.join(", ")));
    }
    pairs.extend(gate.estimate.clone().map(|estimate| ("estimate", estimate)));
    for (at, option) in gate.options.iter().enumerate() {
        pairs.push(("option", format!("{} {option}", at + 1)));
    }
    pairs.push(("digest", gate.digest.to_string()));
    pairs.push(("opened", ui.instant(gate.opened_at)));
    pairs.push(("expires", expiry(gate, ui)));
    for shown in &gate.shown {
        let whose = shown.reference.as_ref().map(|whose| format!(" of {whose}"));
        let whose = whose.unwrap_or_default();
        pairs.push((
            "shown",
            format!("{}{whose}, {}", shown.surface, ui.instant(shown.at)),
        ));
    }
    pairs.extend(gate.previous.map(|gate| ("asked before", gate.to_string())));
    match &gate.decision {
        None => pairs.push(("then", then(gate))),
        Some(decision) => decided(decision, gate, ui, &mut pairs),
    }
    pairs.extend(gate.effect.clone().map(|effect| ("effect", effect)));
    pairs
}

/// What happens when nobody decides.
fn then(gate: &GateView) -> String {
    match (gate.blocking, gate.on_timeout) {
        (false, _) => "nothing: nobody waits".to_owned(),
        (true, OnTimeout::Deny) => "the worker is told no".to_owned(),
        (true, OnTimeout::Pause) => "the worker is told no and stopped, the session pauses".to_owned(),
    }
}

fn decided(decision: &DecisionView, gate: &GateView, ui: &Ui, pairs: &mut Vec<(&'static str, String)>) {
    let by = match decision.by.kind {
        AuthorKind::Person => decision.by.to_string(),
        kind => format!("{} ({})", decision.by, by_kind(kind)),
    };
    pairs.push(("by", by));
    pairs.push(("at", ui.instant(decision.at)));
    pairs.extend(decision.cause.map(|cause| ("because", word(&cause))));
    pairs.extend(decision.comment.clone().map(|comment| ("comment", comment)));
    pairs.extend(decision.answer.clone().map(|answer| ("answer", answer)));
    for chosen in &decision.chosen {
        let option = gate.options.get(*chosen).map_or("", String::as_str);
        pairs.push(("chosen", format!("{} {option}", chosen + 1)));
    }
    pairs.extend(decision.input.clone().map(|input| ("edited input", input)));
}

fn by_kind(kind: AuthorKind) -> &'static str {
    match kind {
        AuthorKind::Person => "a person",
        AuthorKind::Rule => "a rule of the tenant",
        AuthorKind::Grant => "approved for the session before",
        AuthorKind::Terminal => "somebody at the provider's own terminal",
        AuthorKind::Timeout => "nobody decided in time",
        AuthorKind::Restart => "the start after a crash",
        AuthorKind::Engine => "it lost its meaning",
    }
}

/// With what it is done. What was erased has none, and a question needs none.
fn input(gate: &GateView) -> Option<String> {
    let is_call = gate.kind_word() == "approval" && gate.summary.is_some();
    let lacks = || is_call.then(|| "(not given: title and content stand for it)".to_owned());
    gate.input.clone().or_else(lacks)
}

/// Detail and input, each on lines of its own, with nothing in them that moves, hides or reverses what stands beside.
fn texts(gate: &GateView) -> Option<String> {
    gate.summary.as_ref()?;
    let mut text = String::new();
    if let Some(detail) = &gate.detail {
        text.push_str(&format!("\n{}\n", escaped(detail, Lines::Keep)));
    }
    if let Some(input) = input(gate) {
        text.push_str(&format!("\ninput\n{}\n", pretty(&input)));
    }
    Some(text)
}

/// JSON in lines as it goes to an editor: what deceives is escaped as JSON does it, so that it reads back the same.
pub(super) fn editable(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let mut units = [0; 2];
    for c in indented(json).chars() {
        if c == '\n' || !deceives(c) {
            text.push(c);
        } else {
            for unit in c.encode_utf16(&mut units) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    text
}

/// JSON in lines, numbers as they are written; other text as it is.
pub(super) fn pretty(json: &str) -> String {
    escaped(&indented(json), Lines::Keep)
}

/// Canonical JSON with a line for each member. Nothing is parsed, so no number changes.
fn indented(json: &str) -> String {
    let (mut text, mut depth, mut in_string, mut is_escaped) = (String::new(), 0_usize, false, false);
    let mut characters = json.chars().peekable();
    while let Some(c) = characters.next() {
        if in_string {
            text.push(c);
            in_string = is_escaped || c != '"';
            is_escaped = c == '\\' && !is_escaped;
            continue;
        }
        match c {
            '"' => {
                in_string = true;
                text.push(c);
            }
            '{' | '[' if matches!(characters.peek(), Some('}' | ']')) => text.push(c),
            '{' | '[' => {
                depth += 1;
                text.push(c);
                line(&mut text, depth);
            }
            '}' | ']' if text.ends_with(['{', '[']) => text.push(c),
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut text, depth);
                text.push(c);
            }
            ',' => {
                text.push(c);
                line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            c => text.push(c),
        }
    }
    text
}

fn line(text: &mut String, depth: usize) {
    text.push('\n');
    text.push_str(&"  ".repeat(depth));
}

/// The word an enum is stored as.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_to_an_editor_reads_back_the_same() {
        let input = "{\"a\":\"x\u{ad}y\u{e0041}\u{202e}\"}";
        let text = editable(input);
        assert!(text.contains(r"x\u00ady\udb40\udc41\u202e"), "{text}");
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read, serde_json::from_str::<serde_json::Value>(input).unwrap());
    }

    #[test]
    fn json_is_put_in_lines_and_its_numbers_stay_as_they_are_written() {
        let shown = pretty(r#"{"a":[1.0,{}],"b":"x:{,}\"","c":9007199254740993}"#);
        let lines = [
            "{",
            "  \"a\": [",
            "    1.0,",
            "    {}",
            "  ],",
            "  \"b\": \"x:{,}\\\"\",",
            "  \"c\": 9007199254740993",
            "}",
        ];
        assert_eq!(shown, lines.join("\n"));
    }
}
