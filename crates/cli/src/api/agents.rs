//! `/v1/agents`.

use axum::http::StatusCode;
use axum::response::Response;
use dormouse_engine::AgentName;
use dormouse_engine::agent::AgentConfig;
use dormouse_engine::command::Effects;
use dormouse_secrets::{Formats, SecretName};
use serde::Deserialize;

use super::Paging;
use super::body::{self, Json, List, Named, Parameters};
use super::house::Asker;
use super::refusal::{self, Answered};
use super::view::{AgentView, FormatsView};
use crate::problem::Problem;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAgent {
    name: AgentName,
    #[serde(default)]
    concurrency: Option<u32>,
    #[serde(default)]
    delegates_to: Vec<AgentName>,
    #[serde(default)]
    secrets: Vec<SecretName>,
    #[serde(default)]
    scrub_formats: Option<FormatsView>,
    #[serde(default)]
    effects: Effects,
}

pub(super) async fn create(asker: Asker, Json(new): Json<NewAgent>) -> Answered {
    let config = AgentConfig {
        concurrency: new.concurrency.unwrap_or(AgentConfig::default().concurrency),
        delegates_to: new.delegates_to,
        secrets: new.secrets,
        formats: new.scrub_formats.map(Formats::from),
        effects: new.effects,
    };
    let agents = &asker.tenant.agents;
    agents.create(&asker.principal, &new.name, config).await?;
    show(&asker, &new.name, StatusCode::CREATED).await
}

/// What of an agent's configuration is to be another; the rest stays.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Configured {
    #[serde(default)]
    concurrency: Option<u32>,
    #[serde(default)]
    secrets: Option<Vec<SecretName>>,
    #[serde(default, deserialize_with = "said")]
    scrub_formats: Option<Option<FormatsView>>,
    #[serde(default)]
    effects: Option<Effects>,
}

/// A field that is there, also where it says nothing.
fn said<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

pub(super) async fn configure(asker: Asker, Named(name): Named, Json(new): Json<Configured>) -> Answered {
    let name: AgentName = name.parse().map_err(dormouse_engine::CommandError::from)?;
    let change = |config: &mut AgentConfig| {
        config.concurrency = new.concurrency.unwrap_or(config.concurrency);
        if let Some(secrets) = &new.secrets {
            config.secrets.clone_from(secrets);
        }
        config.effects = new.effects.unwrap_or(config.effects);
        if let Some(formats) = new.scrub_formats {
            config.formats = formats.map(Formats::from);
        }
    };
    asker
        .tenant
        .agents
        .configure(&asker.decider, &name, change)
        .await?;
    show(&asker, &name, StatusCode::OK).await
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
