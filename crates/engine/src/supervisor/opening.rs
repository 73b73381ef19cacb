//! With what a dialogue begins: the folder, the words, and the provider's session that goes on.

use std::io::Read;
use std::path::{Path, PathBuf};

use dormouse_secrets::Scrubbed;

use super::attempt::Parts;
use crate::adapter::Provider;
use crate::adapter::dialogue::{Opening, Resumes};
use crate::command::{CommandSpec, Stdin};
use crate::run::OpenCall;
use crate::thread::MessageAt;

/// Longest words, in bytes.
const PROMPT_MAX: u64 = 1024 * 1024;
/// What is said to a session that goes on behind an answer.
const GO_ON: &str =
    "Go on where you were. What you asked has been answered: ask again, and you get the answer.";
/// What is said to a session that goes on behind a crash.
const CUT_OFF: &str = "The program that ran you was cut off, and you go on where you were.";
/// What is said to one that begins anew behind one: its provider did not resume the former.
const BEFORE: &str =
    "An attempt at this before you was cut off. What it did is done: look before you do it again.";
/// What stands before the calls that nobody saw end.
const CALLS: &str = "These calls were cut off, or nobody heard how they ended. Each may have happened, wholly or in part: \
    look what is there before you make one again.";
/// What stands before the words that a session has heard, unless it was cut off before.
const TOLD: &str = "What you were told in the beginning:";
/// Why there is none.
const NO_WORDS: &str = "the provider is spoken to, and there is nothing to say to it";

const NO_FILE: &str = "what --stdin names is no regular file that is there: it holds no words to say";
const UNREAD: &str =
    "the words to say cannot be read from the file that --stdin names: it is not to be opened, or no UTF-8";
const TOO_LONG: &str = "the file that --stdin names has more than 1 MiB: it is too long for words to say";

/// What a worker that is spoken to hears first.
#[derive(Debug)]
pub(super) enum Words {
    /// A provider's.
    Dialogue(Opening),
    /// Any other: a line, if there is one.
    Lines(Option<String>),
}

/// The opening of the run's dialogue. `is_anew` where its session was refused, and another takes its place.
///
/// # Errors
/// Why nothing can be said; the worker is not started.
pub(super) async fn opening(
    parts: &Parts,
    command: &CommandSpec,
    workspace: &Path,
    provider: Provider,
    is_anew: bool,
) -> Result<Opening, Scrubbed> {
    let cwd = command.cwd.as_deref().unwrap_or(workspace);
    let cwd = cwd.to_string_lossy().into_owned();
    let session = session(parts, provider).filter(|_| !is_anew);
    let run = &parts.claimed.run;
    let is_parked = run.spawn > 1;
    let prompt = prompt(parts, command).await;
    let go_on = match &prompt {
        _ if is_parked => said(&[GO_ON, &listed(&run.calls)]),
        // It may have been cut off before it heard it.
        Ok(prompt) => said(&[CUT_OFF, &listed(&run.calls), TOLD, prompt]),
        Err(_) => said(&[CUT_OFF, &listed(&run.calls)]),
    };
    let prompt = match prompt {
        // A session that goes on has heard it.
        Err(_) if session.is_some() => go_on.clone(),
        // Between two calls, too, it has done what came before them.
        Ok(prompt) if run.continues.is_some() => said(&[BEFORE, &listed(&run.calls), &prompt]),
        prompt => prompt?,
    };
    Ok(Opening {
        cwd,
        prompt,
        resumes: session.map(|session| Resumes { session, go_on }),
        inbox_max: parts.options.inbox_max,
    })
}

/// These parts, an empty line between two.
fn said(parts: &[&str]) -> String {
    let parts: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    parts.join("\n\n")
}

/// The calls of which nobody knows whether they happened, a line each; nothing where there are none.
fn listed(calls: &[OpenCall]) -> String {
    if calls.is_empty() {
        return String::new();
    }
    let lines = calls.iter().map(|call| {
        let title: Vec<&str> = call.title.as_str().split_whitespace().collect();
        format!("- {}: {} ({})", call.kind.word(), title.join(" "), call.id)
    });
    std::iter::once(CALLS.to_owned())
        .chain(lines)
        .collect::<Vec<_>>()
        .join("\n")
}

/// The provider's session that goes on behind a park, or in place of a run that was lost: by its own name, or that of the run.
fn session(parts: &Parts, provider: Provider) -> Option<String> {
    let run = &parts.claimed.run;
    if run.spawn <= 1 && run.continues.is_none() {
        return None;
    }
    let bound = run.provider_session.as_ref().map(|id| id.as_str().to_owned());
    bound.or_else(|| (!provider.names_session()).then(|| run.id.to_string()))
}

/// What a worker that is no provider's hears first, if there is anything. Behind a park it begins from its beginning, so it
/// hears it again.
///
/// # Errors
/// What there is cannot be read.
pub(super) async fn first_line(parts: &Parts) -> Result<Option<String>, Scrubbed> {
    if let Some(text) = message(parts).await? {
        return Ok(Some(text));
    }
    let body = &parts.claimed.task.body;
    Ok((!body.trim().is_empty()).then(|| body.to_string()))
}

async fn prompt(parts: &Parts, command: &CommandSpec) -> Result<String, Scrubbed> {
    if let Some(text) = message(parts).await? {
        return Ok(text);
    }
    if let Stdin::File(file) = &command.stdin {
        return read(file.clone()).await;
    }
    let body = &parts.claimed.task.body;
    if body.trim().is_empty() {
        return Err(Scrubbed::constant(NO_WORDS));
    }
    Ok(body.to_string())
}

/// The message of a turn.
async fn message(parts: &Parts) -> Result<Option<String>, Scrubbed> {
    let Some(turn) = parts.claimed.task.turn else {
        return Ok(None);
    };
    let at = MessageAt {
        thread: turn.thread,
        sequence: turn.message,
    };
    let threads = &parts.tenant.threads;
    let text = async {
        let message = threads.message(at).await?;
        match &message.text {
            Some(kept) => threads.text(kept).await.map(Some),
            None => Ok(None),
        }
    };
    match text.await {
        Ok(text) => Ok(text.map(Scrubbed::into_string)),
        Err(error) => {
            let why = format!("the message of the turn cannot be read: {error}");
            Err(parts.scrubber().scrub(&why))
        }
    }
}

async fn read(file: PathBuf) -> Result<String, Scrubbed> {
    let read = move || {
        // Who opens a pipe waits for its other end.
        if !std::fs::metadata(&file).is_ok_and(|found| found.is_file()) {
            return Err(NO_FILE);
        }
        let mut text = String::new();
        let file = std::fs::File::open(file).map_err(|_| UNREAD)?;
        let read = file.take(PROMPT_MAX + 1).read_to_string(&mut text);
        match text.len() as u64 {
            0..=PROMPT_MAX => read.map(|_| text).map_err(|_| UNREAD),
            _ => Err(TOO_LONG),
        }
    };
    let text = tokio::task::spawn_blocking(read).await;
    text.expect("reading does not panic, and nobody cancels it")
        .map_err(Scrubbed::constant)
}
