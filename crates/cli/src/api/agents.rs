//! `/v1/agents`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use dormouse_engine::agent::{Agent, AgentConfig, AtWork};
use dormouse_engine::command::{ClockSettings, Effects, Timer};
use dormouse_engine::{AgentName, CommandError};
use dormouse_filesystem::Versioned;
use dormouse_secrets::{Formats, SecretName};
use serde::Deserialize;

use super::Paging;
use super::body::{self, IfMatch, Json, List, Named, Parameters};
use super::house::{Asker, House};
use super::refusal::{self, Answered};
use super::view::{AgentView, FormatsView, TimerView, WokenView};
use crate::problem::{Code, Problem};

/// What of an agent's configuration is to be so; the rest stays, of a new one as is the default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Configured {
    /// Of a new one, and of no other.
    #[serde(default)]
    name: Option<AgentName>,
    #[serde(default)]
    concurrency: Option<u32>,
    #[serde(default)]
    delegates_to: Option<Vec<AgentName>>,
    #[serde(default)]
    secrets: Option<Vec<SecretName>>,
    #[serde(default, deserialize_with = "said")]
    scrub_formats: Option<Option<FormatsView>>,
    #[serde(default, deserialize_with = "said")]
    effects: Option<Option<Effects>>,
    #[serde(default, deserialize_with = "said")]
    wall_clock_ms: Option<Option<u64>>,
    #[serde(default, deserialize_with = "said")]
    idle_timeout_ms: Option<Option<TimerView>>,
    #[serde(default, deserialize_with = "said")]
    stall_after_ms: Option<Option<TimerView>>,
    #[serde(default, deserialize_with = "said")]
    grace_ms: Option<Option<u64>>,
}

impl Configured {
    fn apply(&self, config: &mut AgentConfig) {
        config.concurrency = self.concurrency.unwrap_or(config.concurrency);
        if let Some(agents) = &self.delegates_to {
            config.delegates_to.clone_from(agents);
        }
        if let Some(secrets) = &self.secrets {
            config.secrets.clone_from(secrets);
        }
        config.effects = self.effects.unwrap_or(config.effects);
        if let Some(formats) = self.scrub_formats {
            config.formats = formats.map(Formats::from);
        }
        self.set_clocks(&mut config.clocks);
    }

    fn set_clocks(&self, clocks: &mut ClockSettings) {
        let timer = |given: Option<TimerView>| given.map(Timer::from);
        clocks.wall_clock_ms = self.wall_clock_ms.unwrap_or(clocks.wall_clock_ms);
        clocks.idle_timeout_ms = self.idle_timeout_ms.map_or(clocks.idle_timeout_ms, timer);
        clocks.stall_after_ms = self.stall_after_ms.map_or(clocks.stall_after_ms, timer);
        clocks.grace_ms = self.grace_ms.unwrap_or(clocks.grace_ms);
    }
}

/// A field that is there, also where it says nothing.
fn said<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

pub(super) async fn create(asker: Asker, Json(new): Json<Configured>) -> Answered {
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
    Json(new): Json<Configured>,
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
