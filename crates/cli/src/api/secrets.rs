//! `/v1/secrets`: the rows. No route gives a value.

use std::collections::BTreeSet;
use std::fmt;

use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use dormouse_engine::AgentName;
use dormouse_secrets::{
    Deletion, Done, Expect, Filter, Origin, PutMeta, Secret, SecretCategory, SecretMeta, SecretRef, Secrets,
    Short,
};
use serde::{Deserialize, Deserializer};

use super::Paging;
use super::body::{self, Json, List, Parameters};
use super::house::{Asker, House};
use super::refusal::Answered;
use super::view::{EffectiveView, SecretView};
use crate::problem::{Code, Problem};

/// A value on its way in: wiped when dropped, and never printed.
pub(super) struct Hidden(pub(super) Secret);

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // The same bytes: nothing is copied.
        String::deserialize(from).map(|text| Self(Secret::new(text.into_bytes())))
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The part of a path that names a secret: `shared/NAME` or `agent:ID/NAME`.
#[derive(Debug)]
pub(super) struct At(SecretRef);

impl<S: Send + Sync> FromRequestParts<S> for At {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((scope, name)) = path.map_err(|error| Problem::new(Code::BadRequest, error.body_text()))?;
        let at = format!("{scope}:{name}").parse();
        at.map(Self)
            .map_err(|error: dormouse_secrets::InvalidRef| Problem::new(Code::Invalid, error.to_string()))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    value: Hidden,
    #[serde(default = "tool")]
    category: SecretCategory,
    #[serde(default)]
    note: String,
    #[serde(default)]
    origins: Vec<Origin>,
    /// A value too short to be taken out of texts is meant.
    #[serde(default)]
    accept_short: bool,
}

fn tool() -> SecretCategory {
    SecretCategory::Tool
}

pub(super) async fn put(
    State(house): State<House>,
    asker: Asker,
    At(at): At,
    Json(wanted): Json<Wanted>,
) -> Answered {
    let meta = PutMeta {
        origins: wanted.origins,
        note: wanted.note,
        short: if wanted.accept_short {
            Short::Accept
        } else {
            Short::Refuse
        },
    };
    house.ready_for_vault().await?;
    let call = asker.tenant.credentials.call(&asker.decider);
    let secrets = asker.tenant.credentials.secrets();
    let put = secrets.put(&call, &at, &wanted.value.0, wanted.category, &meta, Expect::Any);
    let done = put.await?;
    let is_new = matches!(&done, Done::Put(meta) if meta.created_at == meta.updated_at);
    Ok(show(
        done.meta(),
        if is_new {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        },
    ))
}

pub(super) async fn get(asker: Asker, At(at): At) -> Answered {
    let meta = asker.tenant.credentials.secrets().info(&at).await?;
    Ok(show(&meta, StatusCode::OK))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Forced {
    #[serde(default)]
    force: bool,
}

pub(super) async fn delete(asker: Asker, At(at): At, Parameters(forced): Parameters<Forced>) -> Answered {
    let deletion = if forced.force {
        Deletion::Force
    } else {
        Deletion::Unless(named_by(&asker, &at).await?)
    };
    let call = asker.tenant.credentials.call(&asker.decider);
    let secrets = asker.tenant.credentials.secrets();
    secrets.delete(&call, &at, &deletion).await?;
    Ok(body::nothing())
}

/// The agents whose configuration names this secret.
async fn named_by(asker: &Asker, at: &SecretRef) -> Result<Vec<String>, Problem> {
    let (mut by, mut after) = (BTreeSet::new(), None);
    // Ends with the last page: agents are finite.
    loop {
        let page = asker.tenant.agents.list(after, super::PAGE_MAX).await?;
        for agent in &page.rows {
            let is_seen = match &at.scope {
                dormouse_secrets::SecretScope::InstanceShared => true,
                dormouse_secrets::SecretScope::Agent(id) => id.as_str() == agent.name.as_str(),
            };
            if is_seen && agent.config.secrets.contains(&at.name) {
                by.insert(format!("agent {}", agent.name));
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(by.into_iter().collect());
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listed {
    agent: Option<AgentName>,
    #[serde(default)]
    shared: bool,
    limit: Option<usize>,
    cursor: Option<String>,
}

pub(super) async fn list(asker: Asker, Parameters(listed): Parameters<Listed>) -> Answered {
    let filter = match (&listed.agent, listed.shared) {
        (None, false) => Filter::All,
        (None, true) => Filter::Shared,
        (Some(agent), false) => Filter::Agent(id_of(agent)),
        (Some(_), true) => {
            return Err(Problem::new(
                Code::BadRequest,
                "agent and shared: one of them is taken",
            ));
        }
    };
    let paging = Paging {
        limit: listed.limit,
        cursor: None,
    };
    let limit = paging.limit()?;
    let after = listed.cursor.as_deref().map(after).transpose()?;
    let all = asker.tenant.credentials.secrets().list(&filter).await?;
    let behind = |meta: &&SecretMeta| after.as_ref().is_none_or(|after| meta.at > *after);
    let mut rest = all.iter().filter(behind).peekable();
    let items: Vec<SecretView> = rest.by_ref().take(limit).map(SecretView::of).collect();
    let is_last = rest.peek().is_none();
    let next_cursor = items.last().filter(|_| !is_last).map(|item| item.at.to_string());
    Ok(body::json(StatusCode::OK, &List { items, next_cursor }))
}

/// A cursor is the last item that was seen.
fn after(cursor: &str) -> Result<SecretRef, Problem> {
    cursor.parse().map_err(|_| {
        Problem::new(Code::BadRequest, "cursor: is of another list").hint("start again without --cursor")
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Whose {
    agent: AgentName,
}

pub(super) async fn effective(asker: Asker, Parameters(whose): Parameters<Whose>) -> Answered {
    // An unknown agent sees nothing, which is no answer to whoever misspelt it.
    asker.tenant.agents.get(&whose.agent).await?;
    let secrets: &Secrets = asker.tenant.credentials.secrets();
    let found = secrets.effective(&id_of(&whose.agent)).await?;
    let items: Vec<EffectiveView> = found.iter().map(EffectiveView::of).collect();
    let next_cursor = None;
    Ok(body::json(StatusCode::OK, &List { items, next_cursor }))
}

pub(super) fn id_of(agent: &AgentName) -> dormouse_secrets::AgentId {
    agent.as_str().parse().expect("both have the same alphabet")
}

fn show(meta: &SecretMeta, status: StatusCode) -> Response {
    body::item(status, meta.generation, &SecretView::of(meta))
}
