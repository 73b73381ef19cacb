//! `usage …`: reserves in the name of the run that this is inside of, and says what was used.

use serde::Deserialize;
use serde_json::{Value, json};

use super::inside::Inside;
use crate::args::{Spent, Usage};
use crate::client::Call;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::output::{Format, Ui};
use crate::problem::Result;

/// What is printed of a hold where nothing is limited.
const UNLIMITED: &str = "unlimited";

/// What the endpoint answers.
#[derive(Debug, Deserialize)]
struct Answered {
    hold: Option<String>,
    said: Option<String>,
}

/// Asks the endpoint of the run that this is inside of.
pub(crate) async fn usage(command: &Usage, environment: &Environment, ui: &Ui) -> Result<Exit> {
    let run = Inside::of(
        environment,
        "usage",
        "dormouse run --agent alice -- sh -c 'dormouse usage reserve --usd 0.10 && ./ask-model'",
    )?;
    let (path, body) = match command {
        Usage::Reserve { amounts } => ("/v1/holds".to_owned(), body(amounts)),
        Usage::Grow { hold, amounts } => (of(hold, "grow"), body(amounts)),
        Usage::Report { hold, amounts } => (of(hold, "meter"), body(amounts)),
        Usage::Reconcile { hold, amounts } => (of(hold, "reconcile"), body(amounts)),
        Usage::Release { hold } => (of(hold, "release"), json!({})),
    };
    if let Usage::Grow { hold, .. }
    | Usage::Report { hold, .. }
    | Usage::Reconcile { hold, .. }
    | Usage::Release { hold } = command
        && hold == UNLIMITED
    {
        return print(ui, command, &json!({ "hold": null, "said": "continue" }));
    }
    let bytes = run.ask(&Call::post(path, &body)).await?;
    print(ui, command, &super::listing::read(&bytes)?)
}

fn of(hold: &str, verb: &str) -> String {
    format!("/v1/holds/{hold}/{verb}")
}

fn body(amounts: &Spent) -> Value {
    let amounts = amounts
        .said()
        .map(|(dimension, amount)| (dimension.word().to_owned(), json!(amount)));
    json!({ "amounts": Value::Object(amounts.collect()) })
}

fn print(ui: &Ui, command: &Usage, body: &Value) -> Result<Exit> {
    if ui.format != Format::Text {
        ui.line(body.to_string())?;
        return Ok(Exit::Done);
    }
    let answered: Answered = super::listing::read(body.to_string().as_bytes())?;
    match command {
        Usage::Reserve { .. } => ui.line(answered.hold.as_deref().unwrap_or(UNLIMITED))?,
        Usage::Report { .. } => ui.line(answered.said.as_deref().unwrap_or("continue"))?,
        Usage::Grow { .. } | Usage::Reconcile { .. } | Usage::Release { .. } => {}
    }
    Ok(Exit::Done)
}
