//! What the worker of a turn reads on standard input: the message, where its command names nothing else.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::attempt::Parts;
use crate::CommandError;
use crate::command::Stdin;
use crate::task::Task;
use crate::thread::MessageAt;

/// The file in the run's folder, which goes with it.
const FILE: &str = "message";

/// What the worker reads. A message that cannot be read or written down is a file that is not there, which is refused
/// before anything runs; one that was redacted says nothing.
pub(super) async fn stdin(parts: &Parts, named: &Stdin, run_folder: &Path) -> Stdin {
    let task = &parts.claimed.task;
    if *named != Stdin::Null || task.turn.is_none() {
        return named.clone();
    }
    let file = run_folder.join(FILE);
    match written(parts, task, file.clone()).await {
        Ok(true) => Stdin::File(file),
        Ok(false) => Stdin::Null,
        Err(error) => {
            tracing::warn!(run = %parts.claimed.run.id, %error, "the message of a turn was not handed to its worker");
            Stdin::File(file)
        }
    }
}

/// Whether there was something to write.
async fn written(parts: &Parts, task: &Task, file: PathBuf) -> Result<bool, CommandError> {
    let Some(turn) = task.turn else { return Ok(false) };
    let at = MessageAt {
        thread: turn.thread,
        sequence: turn.message,
    };
    let threads = &parts.tenant.threads;
    let message = match threads.message(at).await {
        Ok(message) => message,
        Err(CommandError::NotFound { .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    let Some(kept) = &message.text else {
        return Ok(false);
    };
    let text = threads.text(kept).await?.into_string();
    let write = move || {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(file)?;
        file.write_all(text.as_bytes())
    };
    tokio::task::spawn_blocking(write)
        .await
        .expect("writing does not panic, and nobody cancels it")
        .map_err(|error| CommandError::Unavailable(error.into()))?;
    Ok(true)
}
