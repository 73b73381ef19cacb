//! `/v1/threads`, and the messages in them.

use axum::extract::{FromRequestParts, Path};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use dormouse_engine::command::CommandSpec;
use dormouse_engine::thread::{
    Append, Arrival, Message, MessageAt, MessageKind, NewAttachment, NewMessage, NewSummary, NewThread,
    WhenBusy,
};
use dormouse_engine::{AgentName, CommandError, Incarnation, MessageId, RunId, ThreadId};
use dormouse_filesystem::Versioned;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::body::{self, Json, List, Named, Parameters};
use super::house::Asker;
use super::refusal::{self, Answered};
use super::view::{MessageView, ThreadView};
use super::{OfAgent, Paging};
use crate::problem::{Code, Problem};

/// Bytes of a message's text that a page shows; a whole one is had by itself.
const TEXT_SHOWN_MAX: usize = 8 * 1024;

pub(super) async fn list(asker: Asker, Parameters(filter): Parameters<OfAgent>) -> Answered {
    let (agent, paging) = filter.parts();
    let page = asker
        .tenant
        .threads
        .list(agent.as_ref(), paging.cursor(), paging.limit()?)
        .await?;
    refusal::whole(&page.issues)?;
    let items = page
        .rows
        .iter()
        .map(|thread| ThreadView::of(thread, thread.version()))
        .collect::<Vec<_>>();
    let next_cursor = page.next.map(|cursor| cursor.to_string());
    Ok(body::json(StatusCode::OK, &List { items, next_cursor }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    agent: AgentName,
    session: Option<String>,
}

pub(super) async fn create(asker: Asker, Json(wanted): Json<Wanted>) -> Answered {
    let session = match wanted.session {
        Some(session) => Some(asker.tenant.sessions.resolve(&session).await?),
        None => None,
    };
    let new = NewThread {
        session,
        ..NewThread::new(wanted.agent)
    };
    let thread = asker.tenant.threads.create(&asker.principal, &new).await?;
    show(&asker, thread.id, StatusCode::CREATED).await
}

/// How much of a text is wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Look {
    #[serde(default)]
    text: Shown,
}

/// How much of a text is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Shown {
    /// All of it.
    #[default]
    Whole,
    /// Its beginning.
    Short,
    /// None of it.
    None,
}

pub(super) async fn get(asker: Asker, Named(id): Named, Parameters(_): Parameters<Look>) -> Answered {
    let id = asker.tenant.threads.resolve(&id).await?;
    show(&asker, id, StatusCode::OK).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

pub(super) async fn close(asker: Asker, Named(id): Named, Json(Nothing {}): Json<Nothing>) -> Answered {
    let id = asker.tenant.threads.resolve(&id).await?;
    asker.tenant.threads.close(&asker.principal, id).await?;
    show(&asker, id, StatusCode::OK).await
}

pub(super) async fn delete(asker: Asker, Named(id): Named) -> Answered {
    let id = asker.tenant.threads.resolve(&id).await?;
    asker.tenant.threads.delete(&asker.principal, id).await?;
    Ok(body::nothing())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    /// The sequence that the page is after.
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
    cursor: Option<String>,
}

pub(super) async fn messages(
    asker: Asker,
    Named(id): Named,
    Parameters(place): Parameters<Place>,
) -> Answered {
    let id = asker.tenant.threads.resolve(&id).await?;
    let paging = Paging {
        limit: place.limit,
        cursor: None,
    };
    let after = match place.cursor {
        None => place.after,
        Some(cursor) => cursor
            .parse()
            .map_err(|_| Problem::from(CommandError::CursorScope))?,
    };
    let page = asker.tenant.threads.messages(id, after, paging.limit()?).await?;
    refusal::whole(&page.issues)?;
    let mut items = Vec::with_capacity(page.rows.len());
    for message in &page.rows {
        items.push(view(&asker, message, Shown::Short).await?);
    }
    let next_cursor = page.next.map(|sequence| sequence.to_string());
    Ok(body::json(StatusCode::OK, &List { items, next_cursor }))
}

/// A message that is to be appended.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewOne {
    #[serde(default = "user")]
    kind: MessageKind,
    text: String,
    #[serde(default)]
    attachments: Vec<NewAttachment>,
    #[serde(default)]
    provider: Map<String, Value>,
    command: Option<CommandSpec>,
    /// `submit`, which is said of a user's message, `accept`, or `note`, which is said of any other.
    arrival: Option<Coming>,
    #[serde(default)]
    when_busy: WhenBusy,
    run: Option<RunId>,
}

fn user() -> MessageKind {
    MessageKind::User
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Coming {
    Submit,
    Accept,
    Note,
}

pub(super) async fn post(asker: Asker, Named(id): Named, Json(new): Json<NewOne>) -> Answered {
    let id = asker.tenant.threads.resolve(&id).await?;
    let arrival = match (new.arrival, new.kind) {
        (Some(Coming::Submit), _) | (None, MessageKind::User) => Arrival::Submit(new.when_busy),
        (Some(Coming::Accept), _) => Arrival::Accept,
        (Some(Coming::Note), _) | (None, _) => Arrival::Note,
    };
    let append = Append {
        message: NewMessage {
            kind: new.kind,
            text: new.text,
            attachments: new.attachments,
            provider: new.provider,
            command: new.command,
        },
        arrival,
        run: new.run,
    };
    let threads = &asker.tenant.threads;
    let appended = threads.append(&asker.principal, id, &append).await?;
    told(&asker, appended.message, StatusCode::CREATED).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Summary {
    incarnation: Incarnation,
    covers: Vec<u64>,
    #[serde(default)]
    replaces: Vec<u64>,
    text: String,
}

pub(super) async fn summarise(asker: Asker, Named(id): Named, Json(new): Json<Summary>) -> Answered {
    let id = asker.tenant.threads.resolve(&id).await?;
    let new = NewSummary {
        incarnation: new.incarnation,
        covers: new.covers,
        replaces: new.replaces,
        text: new.text,
    };
    let threads = &asker.tenant.threads;
    let appended = threads.summarise(&asker.principal, id, &new).await?;
    told(&asker, appended.message, StatusCode::CREATED).await
}

/// A message by its thread, and its sequence there or its id.
#[derive(Debug)]
pub(super) struct InThread {
    thread: String,
    message: String,
}

impl<S: Send + Sync> FromRequestParts<S> for InThread {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((thread, message)) =
            path.map_err(|error| Problem::new(Code::BadRequest, error.body_text()))?;
        Ok(Self { thread, message })
    }
}

impl InThread {
    async fn read(&self, asker: &Asker) -> Result<Versioned<Message>, Problem> {
        let threads = &asker.tenant.threads;
        let thread = threads.resolve(&self.thread).await?;
        if let Ok(sequence) = self.message.parse() {
            return Ok(threads.message(MessageAt { thread, sequence }).await?);
        }
        let id: MessageId = self.message.parse().map_err(CommandError::from)?;
        let message = threads.message_of(id).await?;
        if message.thread == thread {
            return Ok(message);
        }
        let (what, id) = ("message", id.to_string());
        Err(CommandError::NotFound { what, id }.into())
    }
}

pub(super) async fn message(asker: Asker, at: InThread, Parameters(look): Parameters<Look>) -> Answered {
    let message = at.read(&asker).await?;
    let view = view(&asker, &message, look.text).await?;
    Ok(body::item(StatusCode::OK, message.version().get(), &view))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SendOn {
    #[serde(default)]
    when_busy: WhenBusy,
}

pub(super) async fn send(asker: Asker, at: InThread, Json(send): Json<SendOn>) -> Answered {
    let message = at.read(&asker).await?;
    let threads = &asker.tenant.threads;
    let sent = threads
        .send(&asker.principal, message.at(), send.when_busy)
        .await?;
    told(&asker, sent.message, StatusCode::OK).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Supersede {
    by: u64,
}

pub(super) async fn supersede(asker: Asker, at: InThread, Json(wanted): Json<Supersede>) -> Answered {
    let message = at.read(&asker).await?;
    let threads = &asker.tenant.threads;
    threads
        .supersede(&asker.principal, message.at(), wanted.by)
        .await?;
    told(&asker, message.id, StatusCode::OK).await
}

pub(super) async fn redact(asker: Asker, at: InThread, Json(Nothing {}): Json<Nothing>) -> Answered {
    let message = at.read(&asker).await?;
    asker
        .tenant
        .threads
        .redact(&asker.principal, message.at())
        .await?;
    told(&asker, message.id, StatusCode::OK).await
}

pub(super) async fn delete_message(asker: Asker, at: InThread) -> Answered {
    let message = at.read(&asker).await?;
    asker
        .tenant
        .threads
        .delete_message(&asker.principal, message.at())
        .await?;
    Ok(body::nothing())
}

async fn show(asker: &Asker, id: ThreadId, status: StatusCode) -> Result<Response, Problem> {
    let thread = asker.tenant.threads.get(id).await?;
    let view = ThreadView::of(&thread, thread.version());
    Ok(body::item(status, thread.version().get(), &view))
}

/// What became of a message, without what it says: an answer that may be kept says nothing of that.
async fn told(asker: &Asker, id: MessageId, status: StatusCode) -> Result<Response, Problem> {
    let message = asker.tenant.threads.message_of(id).await?;
    let view = view(asker, &message, Shown::None).await?;
    Ok(body::item(status, message.version().get(), &view))
}

async fn view(asker: &Asker, message: &Versioned<Message>, shown: Shown) -> Result<MessageView, Problem> {
    let mut view = MessageView::of(message, message.version());
    let (true, Some(kept)) = (shown != Shown::None, &message.text) else {
        return Ok(view);
    };
    let text = asker.tenant.threads.text(kept).await?;
    let bytes = text.len();
    let text = match shown {
        Shown::Short => text.truncate_to(TEXT_SHOWN_MAX),
        Shown::Whole | Shown::None => text,
    };
    view.is_cut = text.len() < bytes;
    view.text = Some(text.into_string());
    if shown == Shown::Whole {
        for (attachment, view) in message.attachments.iter().zip(&mut view.attachments) {
            if let Some(kept) = &attachment.text {
                view.text = Some(asker.tenant.threads.text(kept).await?.into_string());
            }
        }
    }
    Ok(view)
}
