//! `/v1/tasks`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use dormouse_engine::command::CommandSpec;
use dormouse_engine::limits::DEPENDENCIES_MAX;
use dormouse_engine::task::{
    NewTask, OnFailed, Priority, Start, Steps, Task, TaskEdit, TaskFilter, TaskState,
};
use dormouse_engine::wake::WhyWaits;
use dormouse_engine::{AgentName, TaskId};
use dormouse_filesystem::Versioned;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Paging;
use super::body::{self, IfMatch, Json, List, Named, Parameters};
use super::house::{Asker, House};
use super::refusal::{self, Answered};
use super::view::TaskView;
use crate::problem::{Code, Problem};

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
    /// Ids, their short forms, or numbers.
    #[serde(default)]
    after: Vec<String>,
    #[serde(default)]
    on_failed: OnFailed,
    #[serde(default)]
    start: Begin,
    #[serde(default)]
    not_before: Option<Timestamp>,
    #[serde(default)]
    metadata: Map<String, Value>,
}

/// Where a new task begins.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Begin {
    #[default]
    Ready,
    Backlog,
    PendingApproval,
}

pub(super) async fn create(asker: Asker, Json(wanted): Json<Wanted>) -> Answered {
    let tasks = &asker.tenant.tasks;
    if wanted.after.len() > DEPENDENCIES_MAX {
        let detail = format!("after: at most {DEPENDENCIES_MAX} tasks are taken");
        return Err(Problem::new(Code::Invalid, detail));
    }
    let mut after = Vec::with_capacity(wanted.after.len());
    for given in &wanted.after {
        after.push(tasks.resolve(given).await?);
    }
    let new = NewTask {
        body: wanted.body,
        priority: wanted.priority,
        command: wanted.command,
        after,
        on_failed: wanted.on_failed,
        start: match wanted.start {
            Begin::Ready => Start::Ready,
            Begin::Backlog => Start::Backlog,
            Begin::PendingApproval => Start::PendingApproval,
        },
        not_before: wanted.not_before,
        metadata: wanted.metadata,
        ..NewTask::new(wanted.agent, wanted.title)
    };
    let task = tasks.create(&asker.principal, new).await?;
    show(&asker, task.id, StatusCode::CREATED).await
}

/// What of a task is to be another; the rest stays.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Set {
    title: Option<String>,
    body: Option<String>,
    priority: Option<Priority>,
    #[serde(default, deserialize_with = "said")]
    not_before: Option<Option<Timestamp>>,
    /// A patch by RFC 7396.
    metadata: Option<Value>,
    /// Whose it is to be; by itself.
    agent: Option<AgentName>,
}

/// A field that is there, also where it says nothing.
fn said<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

pub(super) async fn set(asker: Asker, Named(id): Named, if_match: IfMatch, Json(set): Json<Set>) -> Answered {
    let tasks = &asker.tenant.tasks;
    let id = tasks.resolve(&id).await?;
    let tasks = tasks.expecting(if_match.required()?);
    let edit = TaskEdit {
        title: set.title,
        body: set.body,
        priority: set.priority,
        not_before: set.not_before,
        metadata: set.metadata,
    };
    match set.agent {
        None => tasks.edit(&asker.principal, id, &edit).await?,
        Some(agent) if edit == TaskEdit::default() => tasks.assign(&asker.principal, id, &agent).await?,
        Some(_) => {
            let why = "agent: a task is given to another by itself, and edited by itself";
            return Err(Problem::new(Code::Invalid, why));
        }
    };
    show(&asker, id, StatusCode::OK).await
}

pub(super) async fn delete(asker: Asker, Named(id): Named, if_match: IfMatch) -> Answered {
    let tasks = &asker.tenant.tasks;
    let id = tasks.resolve(&id).await?;
    tasks
        .expecting(if_match.version())
        .delete(&asker.principal, id)
        .await?;
    Ok(body::nothing())
}

/// The body of a verb that takes nothing more.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

macro_rules! verbs {
    ($($verb:ident)*) => {$(
        pub(super) async fn $verb(
            asker: Asker,
            Named(id): Named,
            if_match: IfMatch,
            Json(Nothing {}): Json<Nothing>,
        ) -> Answered {
            let tasks = &asker.tenant.tasks;
            let id = tasks.resolve(&id).await?;
            tasks.expecting(if_match.version()).$verb(&asker.principal, id).await?;
            show(&asker, id, StatusCode::OK).await
        }
    )*};
}

verbs! { approve refuse shelve enqueue }

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    agent: Option<AgentName>,
    owner: Option<AgentName>,
    parent: Option<String>,
    state: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

pub(super) async fn list(asker: Asker, Parameters(filter): Parameters<Filter>) -> Answered {
    let paging = Paging {
        limit: filter.limit,
        cursor: filter.cursor,
    };
    let parent = match &filter.parent {
        Some(parent) => Some(asker.tenant.tasks.resolve(parent).await?),
        None => None,
    };
    let filter = TaskFilter {
        assignee: filter.agent,
        owner: filter.owner,
        parent,
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

/// A task, and why it waits.
pub(super) async fn get(State(house): State<House>, asker: Asker, Named(id): Named) -> Answered {
    let id = asker.tenant.tasks.resolve(&id).await?;
    let task = asker.tenant.tasks.get(id).await?;
    let why = house.engine().why_waits(&asker.tenant, &task).await?;
    Ok(shown(&task, why, StatusCode::OK))
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
    if_match: IfMatch,
    Json(cancel): Json<Cancel>,
) -> Answered {
    let tasks = &asker.tenant.tasks;
    let id = tasks.resolve(&id).await?;
    let task = tasks
        .expecting(if_match.version())
        .cancel(&asker.principal, id, None)
        .await?;
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

pub(super) async fn retry(
    asker: Asker,
    Named(id): Named,
    if_match: IfMatch,
    Json(retry): Json<Retry>,
) -> Answered {
    let tasks = &asker.tenant.tasks;
    let id = tasks.resolve(&id).await?;
    tasks
        .expecting(if_match.version())
        .retry(
            &asker.principal,
            id,
            if retry.fresh { Steps::Fresh } else { Steps::Kept },
        )
        .await?;
    show(&asker, id, StatusCode::OK).await
}

/// A task as a verb leaves it. Of why it waits only that is said what a person has to do.
async fn show(asker: &Asker, id: TaskId, status: StatusCode) -> Result<Response, Problem> {
    let task = asker.tenant.tasks.get(id).await?;
    let is_locked =
        task.state == TaskState::Ready && asker.tenant.credentials.awaited(&task).await?.is_some();
    Ok(shown(&task, is_locked.then_some(WhyWaits::Locked), status))
}

fn shown(task: &Versioned<Task>, why: Option<WhyWaits>, status: StatusCode) -> Response {
    let mut view = TaskView::of(task, task.version());
    view.body = Some(task.body.clone()).filter(|body| !body.is_empty());
    view.reason = why.map(|why| why.word().to_owned());
    body::item(status, task.version().get(), &view)
}
