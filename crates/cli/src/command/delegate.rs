//! `delegate`: gives a task to another agent, from inside a run, and takes its result.

use std::path::Path;

use serde_json::json;

use super::inside::told;
use super::listing;
use super::task::{exit_of, said};
use crate::args::Delegate;
use crate::client::{Call, Client, Server};
use crate::endpoint::{GiftView, NewGift, ResultView, TOKEN, connectable};
use crate::environment::Environment;
use crate::exit::Exit;
use crate::output::{Format, Ui};
use crate::owner::token::ControlToken;
use crate::problem::{Code, Problem, Result};

/// Gives, or takes, through the endpoint of the run that this is inside of.
pub(crate) async fn delegate(arguments: &Delegate, environment: &Environment, ui: &Ui) -> Result<Exit> {
    let folder = environment.folder_of("DORMOUSE_RUN_DIR").ok_or_else(|| {
        Problem::new(
            Code::Usage,
            "delegate gives tasks in the name of a run, and this is not inside of one",
        )
        .hint("outside of runs write dormouse task add --agent bob --title … --prompt …")
    })?;
    let place = connectable(&folder).map_err(|error| gone(&error.to_string()))?;
    let token = read_token(&folder)?;
    let client = Client::to(Server::Unix(place.path.clone()), Some(token), None);
    if let Some(task) = &arguments.result {
        return take(&client, task, ui).await;
    }
    let gift = gift(arguments, environment)?;
    let body = told(client.send(&Call::post("/v1/tasks", &gift)).await, gone).await?;
    let given: GiftView = listing::read(&body)?;
    if given.is_paused {
        ui.note(&format!(
            "agent {} is paused: task {} waits until somebody resumes it",
            gift.agent, given.id
        ));
    }
    if arguments.wait {
        return take(&client, &given.id.to_string(), ui).await;
    }
    match ui.format {
        Format::Text => ui.line(given.id.to_string())?,
        Format::Json | Format::Jsonl => ui.line(&body)?,
    }
    Ok(Exit::Done)
}

fn read_token(folder: &Path) -> Result<ControlToken> {
    let token = ControlToken::read(&folder.join(TOKEN));
    Ok(token.map_err(|error| gone(&Problem::from(error).detail))?)
}

fn gift(arguments: &Delegate, environment: &Environment) -> Result<NewGift> {
    let (Some(agent), Some(title)) = (&arguments.agent, &arguments.title) else {
        unreachable!("the parser wants both, or --result")
    };
    let body = match &arguments.prompt {
        Some(prompt) => said(prompt, environment)?,
        None => String::new(),
    };
    Ok(NewGift {
        agent: agent.clone(),
        title: title.clone(),
        body,
        priority: arguments.priority.unwrap_or_default(),
        after: arguments.after.clone(),
        on_failed: arguments.on_failed.unwrap_or_default(),
    })
}

/// Waits for the result, and takes it: on stdout what was said in the end, in the exit code how it ended.
async fn take(client: &Client, task: &str, ui: &Ui) -> Result<Exit> {
    let call = Call::post(format!("/v1/tasks/{task}/result"), &json!({}));
    let body = told(client.send(&call).await, gone).await?;
    let result: ResultView = listing::read(&body)?;
    match (ui.format, &result.text) {
        (Format::Text, Some(text)) => ui.line(text)?,
        (Format::Text, None) => {}
        (Format::Json | Format::Jsonl, _) => ui.line(&body)?,
    }
    let exit = exit_of(result.end.word(), result.outcome);
    if exit != Exit::Done {
        ui.note(&format!("task {} is {}", result.id, result.end.word()));
    }
    Ok(exit)
}

fn gone(why: &str) -> Problem {
    Problem::new(Code::Unavailable, format!("nobody answers for this run: {why}"))
        .hint("the run is being ended, or its supervisor has gone; what it gave away stays")
}
