//! `agent add|list|show|set`.

use dormouse_engine::command::Effects;
use dormouse_secrets::SecretName;
use serde_json::{Value, json};

use super::listing;
use crate::api::AgentView;
use crate::args::{Agent, AgentSetting};
use crate::client::{Call, Session};
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Format, Ui};
use crate::problem::Result;

pub(super) async fn agent(session: &mut Session<'_>, context: &Context, command: Agent) -> Result<Exit> {
    let ui = &context.ui;
    match command {
        Agent::Add { name } => {
            let body = session
                .ask(&Call::post("/v1/agents", &json!({ "name": name })))
                .await?;
            match ui.format {
                Format::Text => ui.line(name.as_str())?,
                Format::Json | Format::Jsonl => ui.line(&body)?,
            }
            Ok(Exit::Done)
        }
        Agent::List { page } => {
            let row = |agent: &AgentView| {
                vec![
                    agent.name.to_string(),
                    agent.state.word().to_owned(),
                    ui.instant(agent.updated_at),
                ]
            };
            let columns = ["name", "state", "updated"];
            listing::pages(session, ui, Call::get("/v1/agents"), &page, &columns, row).await
        }
        Agent::Set { name, settings } => {
            let body = session
                .ask(&Call::patch(format!("/v1/agents/{name}"), &configured(&settings)))
                .await?;
            listing::item(ui, &body, |agent| record(agent, ui))
        }
        Agent::Show { name } => {
            let body = session.ask(&Call::get(format!("/v1/agents/{name}"))).await?;
            listing::item(ui, &body, |agent| record(agent, ui))
        }
    }
}

/// The body that says what is to be another.
fn configured(settings: &[AgentSetting]) -> Value {
    let mut body = json!({});
    for setting in settings {
        match setting {
            AgentSetting::Concurrency(number) => body["concurrency"] = json!(number),
            AgentSetting::Secrets(names) => body["secrets"] = json!(names),
            AgentSetting::Formats(formats) => body["scrub_formats"] = json!(formats),
            AgentSetting::Effects(effects) => body["effects"] = json!(effects),
        }
    }
    body
}

fn record(agent: &AgentView, ui: &Ui) -> Vec<(&'static str, String)> {
    let mut pairs = vec![
        ("name", agent.name.to_string()),
        ("state", agent.state.word().to_owned()),
        ("concurrency", agent.concurrency.to_string()),
    ];
    if !agent.secrets.is_empty() {
        let names: Vec<&str> = agent.secrets.iter().map(SecretName::as_str).collect();
        pairs.push(("secrets", names.join(", ")));
    }
    pairs.extend(
        agent
            .scrub_formats
            .map(|formats| ("scrub.formats", formats.word().to_owned())),
    );
    if agent.effects == Effects::Repeatable {
        pairs.push(("effects", "repeatable".to_owned()));
    }
    pairs.extend(
        agent
            .paused_reason
            .clone()
            .map(|reason| ("paused because", reason)),
    );
    pairs.push(("created", ui.instant(agent.created_at)));
    pairs.push(("updated", ui.instant(agent.updated_at)));
    pairs
}
