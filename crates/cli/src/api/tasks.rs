//! `/v1/tasks`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use dormouse_engine::command::CommandSpec;
use dormouse_engine::task::{NewTask, Priority, Steps, TaskFilter, TaskState};
use dormouse_engine::{AgentName, TaskId};
use serde::Deserialize;

use super::Paging;
use super::body::{self, Json, List, Named, Parameters};
use super::house::{Asker, House};
use super::refusal::{self, Answered};
use super::view::TaskView;
use crate::problem::Problem;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    agent: AgentName,
    title: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    priority: Priority,
    #[serde(default)]
    command: Option<CommandSpec>,
}

pub(super) async fn create(asker: Asker, Json(wanted): Json<Wanted>) -> Answered {
    let new = NewTask {
        body: wanted.body,
        priority: wanted.priority,
        command: wanted.command,
        ..NewTask::new(wanted.agent, wanted.title)
    };
    let task = asker.tenant.tasks.create(&asker.principal, new).await?;
    show(&asker, task.id, StatusCode::CREATED).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    agent: Option<AgentName>,
    state: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

pub(super) async fn list(asker: Asker, Parameters(filter): Parameters<Filter>) -> Answered {
    let paging = Paging {
        limit: filter.limit,
        cursor: filter.cursor,
    };
    let filter = TaskFilter {
        assignee: filter.agent,
        state: filter.state,
    };
    let page = asker
        .tenant
        .tasks
        .list(&filter, paging.cursor(), paging.limit()?)
        .await?;
    refusal::whole(&page.issues)?;
    let items = page
        .rows
        .iter()
        .map(|task| TaskView::of(task, task.version()))
        .collect::<Vec<_>>();
    Ok(body::json(
        StatusCode::OK,
        &List {
            items,
            next_cursor: page.next.map(|cursor| cursor.to_string()),
        },
    ))
}

pub(super) async fn get(asker: Asker, Named(id): Named) -> Answered {
    let id = asker.tenant.tasks.resolve(&id).await?;
    show(&asker, id, StatusCode::OK).await
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cancel {
    #[serde(default)]
    force: bool,
}

pub(super) async fn cancel(
    State(house): State<House>,
    asker: Asker,
    Named(id): Named,
    Json(cancel): Json<Cancel>,
) -> Answered {
    let tasks = &asker.tenant.tasks;
    let id = tasks.resolve(&id).await?;
    let task = tasks.cancel(&asker.principal, id, None).await?;
    let is_running = !task.state.has_ended();
    if is_running
        && cancel.force
        && let Some(run) = task.last_run
    {
        house.kill(run);
    }
    show(
        &asker,
        id,
        if is_running {
            StatusCode::ACCEPTED
        } else {
            StatusCode::OK
        },
    )
    .await
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Retry {
    #[serde(default)]
    fresh: bool,
}

pub(super) async fn retry(asker: Asker, Named(id): Named, Json(retry): Json<Retry>) -> Answered {
    let tasks = &asker.tenant.tasks;
    let id = tasks.resolve(&id).await?;
    tasks
        .retry(
            &asker.principal,
            id,
            if retry.fresh { Steps::Fresh } else { Steps::Kept },
        )
        .await?;
    show(&asker, id, StatusCode::OK).await
}

async fn show(asker: &Asker, id: TaskId, status: StatusCode) -> Result<Response, Problem> {
    let task = asker.tenant.tasks.get(id).await?;
    let mut view = TaskView::of(&task, task.version());
    if task.state == TaskState::Ready && asker.tenant.credentials.awaited(&task).await?.is_some() {
        view.reason = Some("locked".to_owned());
    }
    Ok(body::item(status, task.version().get(), &view))
}
