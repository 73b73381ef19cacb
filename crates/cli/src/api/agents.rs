//! `/v1/agents`.

use axum::http::StatusCode;
use axum::response::Response;
use dormouse_engine::AgentName;
use dormouse_engine::agent::AgentConfig;
use serde::Deserialize;

use super::Paging;
use super::body::{self, Json, List, Named, Parameters};
use super::house::Asker;
use super::refusal::{self, Answered};
use super::view::AgentView;
use crate::problem::Problem;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAgent {
    name: AgentName,
    #[serde(default)]
    concurrency: Option<u32>,
    #[serde(default)]
    delegates_to: Vec<AgentName>,
}

pub(super) async fn create(asker: Asker, Json(new): Json<NewAgent>) -> Answered {
    let config = AgentConfig {
        concurrency: new.concurrency.unwrap_or(AgentConfig::default().concurrency),
        delegates_to: new.delegates_to,
    };
    let agents = &asker.tenant.agents;
    agents.create(&asker.principal, &new.name, config).await?;
    show(&asker, &new.name, StatusCode::CREATED).await
}

pub(super) async fn list(asker: Asker, Parameters(paging): Parameters<Paging>) -> Answered {
    let page = asker.tenant.agents.list(paging.cursor(), paging.limit()?).await?;
    refusal::whole(&page.issues)?;
    let items = page
        .rows
        .iter()
        .map(|agent| AgentView::of(agent, agent.version()))
        .collect::<Vec<_>>();
    Ok(body::json(
        StatusCode::OK,
        &List {
            items,
            next_cursor: page.next.map(|cursor| cursor.to_string()),
        },
    ))
}

pub(super) async fn get(asker: Asker, Named(name): Named) -> Answered {
    let name = name.parse().map_err(dormouse_engine::CommandError::from)?;
    show(&asker, &name, StatusCode::OK).await
}

async fn show(asker: &Asker, name: &AgentName, status: StatusCode) -> Result<Response, Problem> {
    let agent = asker.tenant.agents.get(name).await?;
    let view = AgentView::of(&agent, agent.version());
    Ok(body::item(status, agent.version().get(), &view))
}
