//! `/v1/budgets`: what agents and others may use, and what they used.

use axum::http::StatusCode;
use axum::response::Response;
use dormouse_engine::budget::{AccountPath, Dimension, Period, Setting};
use dormouse_engine::{AgentName, CommandError};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

use super::Paging;
use super::body::{self, Json, List, Named, Parameters};
use super::house::Asker;
use super::refusal::{self, Answered};
use super::view::{BudgetView, UsageView};
use crate::edge;
use crate::problem::{Code, Problem};

pub(super) async fn list(asker: Asker, Parameters(paging): Parameters<Paging>) -> Answered {
    let page = asker
        .tenant
        .budgets
        .list(paging.cursor(), paging.limit()?)
        .await?;
    refusal::whole(&page.issues)?;
    let now = edge::now();
    let limited = page.rows.iter().map(|account| account.at(now));
    let items = limited
        .filter(|account| account.is_limited())
        .map(|account| BudgetView::of(&account));
    Ok(body::json(
        StatusCode::OK,
        &List {
            items: items.collect::<Vec<_>>(),
            next_cursor: page.next.map(|cursor| cursor.to_string()),
        },
    ))
}

pub(super) async fn get(asker: Asker, Named(scope): Named) -> Answered {
    let path = path_of(&asker, &scope).await?;
    show(&asker, &path).await
}

async fn show(asker: &Asker, path: &AccountPath) -> Result<Response, Problem> {
    let account = asker.tenant.budgets.get(path).await?;
    let account = account.ok_or_else(|| none(path))?;
    Ok(body::json(StatusCode::OK, &BudgetView::of(&account)))
}

fn none(path: &AccountPath) -> Problem {
    Problem::new(
        Code::NotFound,
        format!("nothing is set of {path}, and nothing was counted"),
    )
    .hint("set a limit with dormouse budget set")
}

/// What is to be set; what is not said stays, and what is null goes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Set {
    #[serde(default)]
    limits: BTreeMap<Dimension, Option<u64>>,
    #[serde(default, deserialize_with = "said")]
    warn: Option<Option<u8>>,
    #[serde(default, deserialize_with = "said")]
    pause: Option<Option<u8>>,
    #[serde(default)]
    period: Option<Period>,
}

/// A field that is there, also where it says nothing.
fn said<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

pub(super) async fn set(asker: Asker, Named(scope): Named, Json(wanted): Json<Set>) -> Answered {
    let path = path_of(&asker, &scope).await?;
    let setting = Setting {
        limits: wanted.limits.into_iter().collect(),
        warn: wanted.warn,
        pause: wanted.pause,
        period: wanted.period,
    };
    let account = asker.tenant.budgets.set(&asker.decider, &path, &setting).await?;
    Ok(body::json(StatusCode::OK, &BudgetView::of(&account)))
}

pub(super) async fn history(
    asker: Asker,
    Named(scope): Named,
    Parameters(paging): Parameters<Paging>,
) -> Answered {
    let path = path_of(&asker, &scope).await?;
    let page = asker
        .tenant
        .budgets
        .history(&path, paging.cursor(), paging.limit()?)
        .await?;
    refusal::whole(&page.issues)?;
    let items = page.rows.iter().map(|usage| UsageView::of(usage));
    Ok(body::json(
        StatusCode::OK,
        &List {
            items: items.collect::<Vec<_>>(),
            next_cursor: page.next.map(|cursor| cursor.to_string()),
        },
    ))
}

/// `tenant`, `agent.NAME`, and `session.`, `task.`, `run.` with an id or its short form.
async fn path_of(asker: &Asker, scope: &str) -> Result<AccountPath, Problem> {
    let tenant = &asker.tenant;
    Ok(match scope.split_once('.') {
        Some(("session", id)) => AccountPath::Session(tenant.sessions.resolve(id).await?),
        Some(("task", id)) => AccountPath::Task(tenant.tasks.resolve(id).await?),
        Some(("run", id)) => AccountPath::Run(tenant.runs.resolve(id).await?),
        Some(("agent", name)) => {
            let name: AgentName = name.parse().map_err(CommandError::from)?;
            AccountPath::Agent(name)
        }
        _ => scope.parse()?,
    })
}
