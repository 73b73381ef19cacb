//! `/v1/agents`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use dormouse_engine::agent::{Agent, AgentConfig, AtWork};
use dormouse_engine::{AgentName, CommandError};
use dormouse_filesystem::Versioned;
use serde::Deserialize;

use super::Paging;
use super::agent_change::AgentChange;
use super::body::{self, IfMatch, Json, List, Named, Parameters};
use super::house::{Asker, House};
use super::refusal::{self, Answered};
use super::view::{AgentView, WokenView};
use crate::problem::{Code, Problem};

pub(super) async fn create(asker: Asker, Json(new): Json<AgentChange>) -> Answered {
    let Some(name) = &new.name else {
        return Err(Problem::new(Code::BadRequest, "the body: missing field `name`"));
    };
    let mut config = AgentConfig::default();
    new.apply(&mut config);
    let agents = &asker.tenant.agents;
    agents.create(&asker.principal, name, config).await?;
    show(&asker, name, StatusCode::CREATED).await
}

/// Changes what is said, of the version that was read.
pub(super) async fn configure(
    asker: Asker,
    Named(name): Named,
    if_match: IfMatch,
    Json(new): Json<AgentChange>,
) -> Answered {
    let name = parsed(&name)?;
    if new.name.is_some() {
        return Err(Problem::new(
            Code::BadRequest,
            "the body: an agent keeps its `name`",
        ));
    }
    let change = |config: &mut AgentConfig| new.apply(config);
    let (agents, by) = (&asker.tenant.agents, &asker.decider);
    match if_match.required()? {
        Some(version) => agents.configure_at(by, &name, version, change).await?,
        None => agents.configure(by, &name, change).await?,
    };
    show(&asker, &name, StatusCode::OK).await
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pause {
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    stop_runs: bool,
}

/// Lets an agent claim nothing. What is at work ends by itself, unless it is to be stopped.
pub(super) async fn pause(asker: Asker, Named(name): Named, Json(pause): Json<Pause>) -> Answered {
    let name = parsed(&name)?;
    let (agents, by) = (&asker.tenant.agents, &asker.decider);
    let reason = match &pause.reason {
        Some(reason) => Some(asker.tenant.credentials.scrubber(&name).await?.scrub(reason)),
        None => None,
    };
    agents.pause(by, &name, reason).await?;
    if pause.stop_runs {
        agents.stop_runs(by, &name).await?;
    }
    show(&asker, &name, StatusCode::OK).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Resume {}

pub(super) async fn resume(asker: Asker, Named(name): Named, Json(Resume {}): Json<Resume>) -> Answered {
    let name = parsed(&name)?;
    asker.tenant.agents.resume(&asker.decider, &name).await?;
    show(&asker, &name, StatusCode::OK).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wake {}

/// Has an agent looked at. That it is queued is durable; that somebody looked is not waited for.
pub(super) async fn wake(
    State(house): State<House>,
    asker: Asker,
    Named(name): Named,
    Json(Wake {}): Json<Wake>,
) -> Answered {
    let name = parsed(&name)?;
    let woken = house.engine().wake(&asker.tenant, &asker.decider, &name).await;
    let woken = woken.map_err(|error| refusal::unwoken(error, house.engine()))?;
    Ok(body::json(StatusCode::ACCEPTED, &WokenView::of(woken)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Forced {
    #[serde(default)]
    force: bool,
}

/// Deletes an agent, and answers when that is durable: what is its goes after that, until there is no such agent.
pub(super) async fn remove(
    asker: Asker,
    Named(name): Named,
    if_match: IfMatch,
    Parameters(forced): Parameters<Forced>,
) -> Answered {
    let name = parsed(&name)?;
    let at_work = if forced.force {
        AtWork::Stop
    } else {
        AtWork::Refuse
    };
    let agents = &asker.tenant.agents;
    let deleting = agents.delete(&asker.decider, &name, at_work, if_match.version());
    Ok(shown(&deleting.await?, StatusCode::ACCEPTED))
}

fn parsed(name: &str) -> Result<AgentName, CommandError> {
    Ok(name.parse()?)
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
    show(&asker, &parsed(&name)?, StatusCode::OK).await
}

async fn show(asker: &Asker, name: &AgentName, status: StatusCode) -> Result<Response, Problem> {
    Ok(shown(&asker.tenant.agents.get(name).await?, status))
}

fn shown(agent: &Versioned<Agent>, status: StatusCode) -> Response {
    let view = AgentView::of(agent, agent.version());
    body::item(status, agent.version().get(), &view)
}
