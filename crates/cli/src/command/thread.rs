//! `thread add|list|show|post|export|redact|close|delete`.

use std::io::Read;

use dormouse_engine::limits::MESSAGE_MAX;
use serde_json::{Value, json};

use super::gate::{has_person, typed};
use super::listing;
use crate::api::{List, MessageView, ThreadView};
use crate::args::{Thread, ThreadPost};
use crate::client::{Call, Session};
use crate::context::Context;
use crate::exit::Exit;
use crate::output::visible::one_line;
use crate::output::{Format, Ui};
use crate::problem::{Code, Problem, Result};

pub(super) async fn thread(session: &mut Session<'_>, context: &Context, command: Thread) -> Result<Exit> {
    let ui = &context.ui;
    match command {
        Thread::Add { agent, key } => {
            let call = Call::post("/v1/threads", &json!({ "agent": agent })).under(key.as_ref());
            let body = session.ask(&call).await?;
            match ui.format {
                Format::Text => ui.line(listing::read::<ThreadView>(&body)?.id.to_string())?,
                Format::Json | Format::Jsonl => ui.line(&body)?,
            }
            Ok(Exit::Done)
        }
        Thread::List { agent, page } => {
            let call = Call::get("/v1/threads").query("agent", agent);
            let columns = ["id", "agent", "state", "messages", "queued", "activity", "run"];
            listing::pages(session, ui, call, &page, &columns, |thread| row(thread, ui)).await
        }
        Thread::Show { id, last } => show(session, ui, &id, u64::from(last)).await,
        Thread::Post(arguments) => post(session, context, &arguments).await,
        Thread::Export { id } => export(session, ui, &id).await,
        Thread::Redact { id, message, yes } => {
            if !yes {
                let what = format!("what message {message} of {id} says");
                is_meant(session, ui, &what, &message).await?;
            }
            let call = Call::post(format!("/v1/threads/{id}/messages/{message}/redact"), &json!({}));
            told(session, ui, &call).await
        }
        Thread::Close { id } => {
            let call = Call::post(format!("/v1/threads/{id}/close"), &json!({}));
            let body = session.ask(&call).await?;
            match ui.format {
                Format::Text => {
                    let thread: ThreadView = listing::read(&body)?;
                    ui.line(format!("{}\t{}", thread.id, thread.state.word()))?;
                }
                Format::Json | Format::Jsonl => ui.line(&body)?,
            }
            Ok(Exit::Done)
        }
        Thread::Delete { id, yes } => {
            if !yes {
                is_meant(session, ui, &format!("thread {id} with all its messages"), &id).await?;
            }
            session.ask(&Call::delete(format!("/v1/threads/{id}"))).await?;
            Ok(Exit::Done)
        }
    }
}

async fn show(session: &mut Session<'_>, ui: &Ui, id: &str, last: u64) -> Result<Exit> {
    let body = session.ask(&Call::get(format!("/v1/threads/{id}"))).await?;
    if ui.format != Format::Text {
        ui.line(&body)?;
        return Ok(Exit::Done);
    }
    let thread: ThreadView = listing::read(&body)?;
    ui.record(&record(&thread, ui))?;
    let after = thread.last_sequence.saturating_sub(last);
    if last == 0 {
        return Ok(Exit::Done);
    }
    let call = Call::get(format!("/v1/threads/{}/messages", thread.id))
        .query("after", Some(after))
        .query("limit", Some(last));
    let list: List<MessageView> = listing::read(&session.ask(&call).await?)?;
    for message in &list.items {
        ui.line(line(message, ui))?;
    }
    Ok(Exit::Done)
}

/// A message in a line: what it says, shortened.
fn line(message: &MessageView, ui: &Ui) -> String {
    const SHOWN_MAX: usize = 160;
    let said = one_line(message.text.as_deref().unwrap_or_default());
    let said = match said.char_indices().nth(SHOWN_MAX) {
        Some((cut, _)) => format!("{}…", &said[..cut]),
        None => said,
    };
    let fields = [
        message.sequence.to_string(),
        message.kind.word().to_owned(),
        message.status.word().to_owned(),
        ui.instant(message.created_at),
        said,
    ];
    fields.join("\t")
}

async fn post(session: &mut Session<'_>, context: &Context, arguments: &ThreadPost) -> Result<Exit> {
    let command = if arguments.command.is_empty() {
        None
    } else {
        let surroundings = &arguments.surroundings;
        Some(surroundings.command(&arguments.command, &context.config, &context.environment)?)
    };
    let body = json!({
        "text": said_or_read(&arguments.text).await?,
        "command": command,
        "when_busy": arguments.when_busy.word(),
    });
    let call = Call::post(format!("/v1/threads/{}/messages", arguments.id), &body);
    told(session, &context.ui, &call.under(arguments.key.as_ref())).await
}

/// The text of the argument, or of stdin.
pub(super) async fn said_or_read(text: &str) -> Result<String> {
    if text != "-" {
        return Ok(text.to_owned());
    }
    let read = tokio::task::spawn_blocking(|| {
        let mut said = String::new();
        let mut stdin = std::io::stdin().take(MESSAGE_MAX as u64 + 1);
        stdin.read_to_string(&mut said).map(|_| said)
    });
    let said = read.await.expect("reading does not panic, and nobody cancels it");
    Ok(said.map_err(|error| Problem::new(Code::Usage, format!("stdin cannot be read as text: {error}")))?)
}

/// Asks, and prints what became of the message.
async fn told(session: &mut Session<'_>, ui: &Ui, call: &Call) -> Result<Exit> {
    let body = session.ask(call).await?;
    match ui.format {
        Format::Text => {
            let message: MessageView = listing::read(&body)?;
            let task = message.task.map(|task| task.to_string()).unwrap_or_default();
            ui.line(format!(
                "{}\t{}\t{}\t{task}",
                message.id,
                message.sequence,
                message.status.word()
            ))?;
        }
        Format::Json | Format::Jsonl => ui.line(&body)?,
    }
    Ok(Exit::Done)
}

/// Every message, whole, as it comes.
async fn export(session: &mut Session<'_>, ui: &Ui, id: &str) -> Result<Exit> {
    let mut after = None;
    // Ends with the last page.
    loop {
        let call = Call::get(format!("/v1/threads/{id}/messages"))
            .query("limit", Some(100))
            .query("cursor", after.take());
        let list: List<MessageView> = listing::read(&session.ask(&call).await?)?;
        for message in list.items {
            let is_whole = !message.is_cut && message.attachments.is_empty();
            let whole: Value = if is_whole {
                serde_json::to_value(&message).expect("views have text keys only")
            } else {
                let call = Call::get(format!("/v1/threads/{id}/messages/{}", message.sequence));
                listing::read(&session.ask(&call).await?)?
            };
            ui.line(whole.to_string())?;
        }
        session.deliver(ui, None).await?;
        after = list.next_cursor;
        if after.is_none() {
            return Ok(Exit::Done);
        }
    }
}

/// Asks whether it is meant: what goes does not come back.
async fn is_meant(session: &mut Session<'_>, ui: &Ui, what: &str, word: &str) -> Result<()> {
    if !has_person(ui) {
        let detail = format!("{what} would go for good, and there is no terminal to ask at");
        return Err(Problem::new(Code::Usage, detail)
            .hint("pass --yes if it is meant")
            .into());
    }
    // The person may think for long: nobody else waits for the store meanwhile.
    session.make_room().await?;
    let question = format!("{what} goes for good; type {word} if it is meant: ");
    if typed(&question, ui).await.as_deref() != Some(word) {
        return Err(Problem::new(Code::Usage, "nothing was changed")
            .hint(format!("type {word} as it is, or pass --yes"))
            .into());
    }
    Ok(())
}

fn row(thread: &ThreadView, ui: &Ui) -> Vec<String> {
    vec![
        thread.id.to_string(),
        thread.agent.to_string(),
        thread.state.word().to_owned(),
        thread.last_sequence.to_string(),
        thread.queued.to_string(),
        ui.instant(thread.last_activity),
        thread.active_run.map(|run| run.to_string()).unwrap_or_default(),
    ]
}

fn record(thread: &ThreadView, ui: &Ui) -> Vec<(&'static str, String)> {
    let mut pairs = vec![
        ("id", thread.id.to_string()),
        ("agent", thread.agent.to_string()),
        ("state", thread.state.word().to_owned()),
        ("last message", thread.last_sequence.to_string()),
    ];
    pairs.extend(thread.active_run.map(|run| ("run", run.to_string())));
    pairs.extend(thread.turn.map(|task| ("turn", task.to_string())));
    if thread.queued > 0 {
        pairs.push(("queued", thread.queued.to_string()));
    }
    pairs.extend(thread.session.map(|session| ("session", session.to_string())));
    pairs.push(("created", ui.instant(thread.created_at)));
    pairs.push(("activity", ui.instant(thread.last_activity)));
    pairs
}
