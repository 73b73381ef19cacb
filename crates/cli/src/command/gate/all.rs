//! `--all-shown`: decides exactly what was shown, and says what was not among it.

use std::collections::HashSet;
use std::path::Path;

use dormouse_engine::GateId;
use dormouse_filesystem::Digest;
use serde::Deserialize;
use serde_json::json;

use super::super::listing;
use super::{has_person, pending, read_text, show, typed};
use crate::api::{DecidedView, GateView, List};
use crate::args::Decided;
use crate::client::{Call, Session};
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Format, Table, Ui};
use crate::problem::{Code, Problem, Result};

/// Decisions that are sent at once.
const BATCH: usize = dormouse_engine::limits::GATES_BATCH_MAX;

/// A row of an earlier list: of a gate as it was shown.
#[derive(Debug, Deserialize)]
struct Row {
    id: GateId,
    version: u64,
    digest: Digest,
    #[serde(default)]
    status: Option<String>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
}

pub(super) async fn decide(
    session: &mut Session<'_>,
    context: &Context,
    decided: &Decided,
    decision: &'static str,
) -> Result<Exit> {
    let file = decided.all_shown.as_ref().and_then(Option::as_deref);
    let rows = match file {
        Some(file) => listed(file, context)?,
        None => shown(session, &context.ui, decided.said.yes, decision).await?,
    };
    // What such a decision does not fit was shown, but is not meant.
    let fits = |row: &&Row| {
        row.status.as_deref().is_none_or(|status| status == "pending")
            && row.kind.as_deref().is_none_or(|kind| takes(kind, decision))
    };
    let wanted: Vec<&Row> = rows.iter().filter(fits).collect();
    let mut items = Vec::with_capacity(wanted.len());
    for batch in wanted.chunks(BATCH) {
        let gates: Vec<_> = batch
            .iter()
            .map(|row| json!({ "gate": row.id, "shown_version": row.version, "shown_digest": row.digest }))
            .collect();
        let body = json!({ "decision": decision, "comment": decided.said.comment, "gates": gates });
        let answer = session.ask(&Call::post("/v1/gates/decisions", &body)).await?;
        items.extend(listing::read::<List<DecidedView>>(&answer)?.items);
    }
    let exit = print(&context.ui, &items)?;
    session.deliver(&context.ui, None).await?;
    let known: HashSet<GateId> = rows.iter().map(|row| row.id).collect();
    for gate in pending(session).await? {
        if !known.contains(&gate.id) && takes(gate.kind_word(), decision) {
            let note = format!(
                "still pending, since it was not shown: {} {}",
                gate.id,
                gate.title()
            );
            context.ui.note(&crate::output::visible::one_line(&note));
        }
    }
    Ok(exit)
}

/// Whether gates of this type take such a decision.
fn takes(kind: &str, decision: &str) -> bool {
    match kind {
        "approval" => true,
        "question" => decision == "reject",
        _ => false,
    }
}

/// The rows of an earlier `gate list -o jsonl`, or of its `-o json`.
fn listed(file: &Path, context: &Context) -> Result<Vec<Row>> {
    let text = read_text(file, &context.environment)?;
    let wrong = |at: usize, error: &serde_json::Error| {
        let detail = format!("--all-shown: line {at} of {} is no gate: {error}", file.display());
        Problem::new(Code::Invalid, detail).hint("write it with dormouse gate list -o jsonl")
    };
    if let Ok(list) = serde_json::from_str::<List<Row>>(&text) {
        return Ok(list.items);
    }
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(at, line)| serde_json::from_str(line).map_err(|error| wrong(at + 1, &error).into()))
        .collect()
}

/// What is pending now, once a person has seen it and said that it is meant.
async fn shown(
    session: &mut Session<'_>,
    ui: &Ui,
    is_meant: bool,
    decision: &'static str,
) -> Result<Vec<Row>> {
    if !is_meant && !has_person(ui) {
        return Err(Problem::new(
            Code::Usage,
            "--all-shown: there is no terminal on which to show and ask",
        )
        .hint("pass the rows of gate list -o jsonl, as in --all-shown FILE, or --yes")
        .into());
    }
    let gates: Vec<GateView> = pending(session)
        .await?
        .into_iter()
        .filter(|gate| takes(gate.kind_word(), decision))
        .collect();
    let mut table = Table::new(&show::COLUMNS);
    table.rows = gates.iter().map(|gate| show::row(gate, ui)).collect();
    ui.stderr_bytes(table.for_terminal().as_bytes());
    if gates.is_empty() {
        ui.note("nothing is pending that takes this decision");
    } else if !is_meant {
        // The person may think for long: nobody else waits for the store meanwhile.
        session.make_room().await?;
        let question = format!("{decision} these {}? [y/N] ", gates.len());
        let answer = typed(&question, ui).await.unwrap_or_default();
        if !matches!(answer.as_str(), "y" | "Y" | "yes") {
            return Err(Problem::new(Code::Usage, "nothing was decided")
                .hint("answer y to decide them")
                .into());
        }
    }
    Ok(gates
        .into_iter()
        .map(|gate| Row {
            id: gate.id,
            version: gate.version.get(),
            digest: gate.digest,
            status: None,
            kind: None,
        })
        .collect())
}

/// Each with what it came to. One that was not done is a failure of all.
fn print(ui: &Ui, items: &[DecidedView]) -> Result<Exit> {
    match ui.format {
        Format::Text => {
            let mut table = Table::new(&["id", "state", "why"]);
            table.rows = items.iter().map(row).collect();
            ui.table(&table)?;
        }
        Format::Json => {
            let list = List {
                items: items.to_vec(),
                next_cursor: None,
            };
            ui.line(serde_json::to_vec(&list).expect("views have text keys only"))?;
        }
        Format::Jsonl => {
            for item in items {
                ui.line(serde_json::to_vec(item).expect("views have text keys only"))?;
            }
        }
    }
    let is_done = items.iter().all(|item| item.problem.is_none());
    Ok(if is_done { Exit::Done } else { Exit::Failed })
}

fn row(item: &DecidedView) -> Vec<String> {
    let state = item
        .gate
        .as_ref()
        .map_or("not applied", |gate| gate.status.as_str());
    let why = item.problem.as_ref().map(|problem| problem.detail.clone());
    vec![item.id.to_string(), state.to_owned(), why.unwrap_or_default()]
}
