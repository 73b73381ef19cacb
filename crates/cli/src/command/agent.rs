//! `agent add|list|show`.

use serde_json::json;

use super::listing;
use crate::api::AgentView;
use crate::args::Agent;
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
        Agent::Show { name } => {
            let body = session.ask(&Call::get(format!("/v1/agents/{name}"))).await?;
            listing::item(ui, &body, |agent| record(agent, ui))
        }
    }
}

fn record(agent: &AgentView, ui: &Ui) -> Vec<(&'static str, String)> {
    let mut pairs = vec![
        ("name", agent.name.to_string()),
        ("state", agent.state.word().to_owned()),
        ("concurrency", agent.concurrency.to_string()),
    ];
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
