//! With what a dialogue begins: the folder, the words, and the provider's session that goes on.

use std::io::Read;
use std::path::{Path, PathBuf};

use dormouse_secrets::Scrubbed;

use super::attempt::Parts;
use crate::adapter::dialogue::Opening;
use crate::command::{CommandSpec, Stdin};
use crate::thread::MessageAt;

/// Longest words, in bytes.
const PROMPT_MAX: u64 = 1024 * 1024;
/// What is said to a session that goes on behind an answer.
const GO_ON: &str =
    "Go on where you were. What you asked has been answered: ask again, and you get the answer.";
/// Why there is none.
const NO_WORDS: &str = "the provider is spoken to, and there is nothing to say to it";

const NO_FILE: &str = "what --stdin names is no regular file that is there: it holds no words to say";
const UNREAD: &str =
    "the words to say cannot be read from the file that --stdin names: it is not to be opened, or no UTF-8";
const TOO_LONG: &str = "the file that --stdin names has more than 1 MiB: it is too long for words to say";

/// The opening of the run's dialogue.
///
/// # Errors
/// Why nothing can be said; the worker is not started.
pub(super) async fn opening(
    parts: &Parts,
    command: &CommandSpec,
    workspace: &Path,
) -> Result<Opening, Scrubbed> {
    let run = &parts.claimed.run;
    let cwd = command.cwd.as_deref().unwrap_or(workspace);
    let cwd = cwd.to_string_lossy().into_owned();
    let resumes = run.provider_session.as_ref().map(|id| id.as_str().to_owned());
    let prompt = match (&resumes, run.spawn) {
        (Some(_), 2..) => GO_ON.to_owned(),
        _ => prompt(parts, command).await?,
    };
    Ok(Opening { cwd, prompt, resumes })
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
