//! `task set`: a change of the task as it was read just before, tried again where others changed it meanwhile.

use serde_json::{Map, Value, json};

use super::{changed, said};
use crate::api::TaskView;
use crate::args::TaskSet;
use crate::client::{Call, Session};
use crate::command::gate::json_text;
use crate::command::listing;
use crate::context::Context;
use crate::exit::Exit;
use crate::problem::{Code, Failure, Problem, Result};

/// Tries where others change the task all the time.
const TRIES: u32 = 4;

pub(super) async fn set(session: &mut Session<'_>, context: &Context, arguments: &TaskSet) -> Result<Exit> {
    let wanted = wanted(context, arguments)?;
    let path = format!("/v1/tasks/{}", arguments.id);
    let mut tries = 1;
    // Ends with an answer, or after the last try.
    loop {
        let task: TaskView = listing::read(&session.ask(&Call::get(path.as_str())).await?)?;
        let call = Call::patch(path.as_str(), &wanted).if_match(task.version);
        match session.ask(&call).await {
            Err(Failure::Problem(problem)) if problem.is(Code::Stale) && tries < TRIES => tries += 1,
            answered => return changed(&context.ui, &answered?),
        }
    }
}

fn wanted(context: &Context, arguments: &TaskSet) -> Result<Value> {
    let mut body = json!({});
    if let Some(title) = &arguments.title {
        body["title"] = json!(title);
    }
    if let Some(prompt) = &arguments.prompt {
        body["body"] = json!(said(prompt, &context.environment)?);
    }
    if let Some(priority) = arguments.priority {
        body["priority"] = json!(priority);
    }
    if let Some(not_before) = arguments.not_before {
        body["not_before"] = json!(not_before.0);
    }
    if let Some(patch) = &arguments.patch {
        let patch = json_text(patch, &context.environment)?;
        body["metadata"] = serde_json::from_str(patch.get()).expect("it was JSON");
    }
    if !arguments.metadata.is_empty() {
        let fields = arguments.metadata.iter();
        let patch: Map<String, Value> = fields
            .map(|field| (field.key.clone(), field.value.clone()))
            .collect();
        body["metadata"] = Value::Object(patch);
    }
    if let Some(agent) = &arguments.agent {
        body["agent"] = json!(agent);
    }
    if body == json!({}) {
        return Err(
            Problem::new(Code::Usage, "task set changes nothing without anything to change")
                .hint("write dormouse task set 12 --priority high; see dormouse task set --help")
                .into(),
        );
    }
    Ok(body)
}
