//! `config reload`: whoever owns the store reads its settings again.

use serde_json::json;

use super::listing;
use crate::api::ReloadedView;
use crate::args::Global;
use crate::client::{Call, Session};
use crate::context::Context;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::output::{Format, Table, Ui};
use crate::problem::{Code, Failure, Problem, Result};

/// Asks the owner, which tells what is wrong in the files as it sees them. What is wrong as this command sees them, by its own
/// environment, is told where the owner has nothing to say.
pub(crate) async fn reload(global: &Global, environment: Environment, ui: &Ui) -> Result<Exit> {
    let (context, wrong) = Context::find_what_is_right(global, environment, ui.clone())?;
    let mut session = Session::of_guest(&context);
    let call = Call::post("/v1/config/reload", &json!({}));
    let answered = tokio::select! {
        answered = session.ask(&call) => answered,
        exit = super::signals::first() => return Ok(exit),
    };
    let body = match (answered, wrong) {
        (Ok(_), Some(wrong)) => return Err(here(wrong).into()),
        (Err(Failure::Problem(problem)), Some(wrong)) if problem.is(Code::Unavailable) => {
            return Err(wrong.into());
        }
        (answered, _) => answered?,
    };
    let view: ReloadedView = listing::read(&body)?;
    match ui.format {
        Format::Text => print(ui, &view)?,
        Format::Json | Format::Jsonl => ui.line(&body)?,
    }
    Ok(match view.refused.as_slice() {
        [] => Exit::Done,
        [..] => Exit::Failed,
    })
}

/// The owner took what it read, and reads something else than this command does.
fn here(wrong: Problem) -> Problem {
    wrong.hint("the owner of the store read its own files and took them; what this command reads is wrong")
}

fn print(ui: &Ui, view: &ReloadedView) -> Result<()> {
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "by the place".to_owned());
    let mut table = Table::new(&["what", "name", "value"]);
    let mut row = |what: &str, name: &str, value: String| {
        table.rows.push(vec![what.to_owned(), name.to_owned(), value]);
    };
    for taken in &view.taken {
        row("live", &taken.key, shown(&taken.value));
    }
    for pending in &view.pending {
        row("restart", &pending.key, shown(&pending.value));
    }
    for agent in &view.agents {
        row("agent", agent.name.as_str(), agent.what.clone());
    }
    for refused in &view.refused {
        row("refused", refused.name.as_str(), refused.reason.clone());
    }
    ui.table(&table)?;
    if table.rows.is_empty() {
        ui.note("nothing has changed");
    }
    for left in &view.left {
        ui.note(&of_left(left.as_str()));
    }
    view.warnings.iter().for_each(|warning| ui.warning(warning));
    Ok(())
}

/// Says on stderr what a server took.
pub(super) fn tell(ui: &Ui, view: &ReloadedView) {
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "as the place says".to_owned());
    for taken in &view.taken {
        ui.note(&format!("reloaded: {} is {}", taken.key, shown(&taken.value)));
    }
    for pending in &view.pending {
        ui.note(&format!(
            "pending: {} is {} from the next start on",
            pending.key,
            shown(&pending.value)
        ));
    }
    match view.agents.as_slice() {
        [] => {}
        some if some.len() <= TOLD_MAX => {
            for agent in some {
                ui.note(&format!(
                    "agent {} {}, as the file has it",
                    agent.name, agent.what
                ));
            }
        }
        many => ui.note(&format!(
            "{} agents made or changed, as the file has them",
            many.len()
        )),
    }
    for left in &view.left {
        ui.note(&of_left(left.as_str()));
    }
    for refused in &view.refused {
        ui.warning(&format!(
            "agent {} is not as the file has it: {}",
            refused.name, refused.reason
        ));
    }
    view.warnings.iter().for_each(|warning| ui.warning(warning));
    if *view == ReloadedView::default() {
        ui.note("reloaded: nothing has changed");
    }
}

/// Most agents that are told one by one.
const TOLD_MAX: usize = 10;

fn of_left(agent: &str) -> String {
    format!(
        "agent {agent} is not in the file any more and stays as it is; dormouse agent remove {agent} deletes it"
    )
}
