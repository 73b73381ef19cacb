//! Where Codex keeps its own log of a thread.

use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::attempt::Parts;
use super::launch::workspace;
use crate::adapter::rollout::{Rollout, read};

/// Most entries of folders that are looked at.
const ENTRIES_MAX: usize = 100_000;
/// Folders of year, month and day.
const DEPTH: u32 = 3;

/// What the rollout of this thread says, if it has one that can be read.
pub(super) async fn look(parts: &Parts, thread: String) -> Option<Rollout> {
    let home = parts
        .claimed
        .task
        .command
        .as_ref()
        .and_then(|command| command.env.get("CODEX_HOME"));
    let home = home.map_or_else(|| workspace(parts).join(".codex"), PathBuf::from);
    let run = parts.claimed.run.id;
    let looked = tokio::task::spawn_blocking(move || {
        let name = format!("-{thread}.jsonl");
        let mut left = ENTRIES_MAX;
        let Some(file) = find(&home.join("sessions"), &name, DEPTH, &mut left) else {
            return Ok(None);
        };
        let open = std::fs::File::open(&file)?;
        let bytes = open.metadata()?.len();
        read(&thread, bytes, BufReader::new(open)).map(Some)
    });
    match looked.await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            tracing::warn!(%run, %error, "the provider's log was not read");
            None
        }
        Err(error) => {
            tracing::error!(%run, %error, "reading the provider's log panicked");
            None
        }
    }
}

/// A plain file of this name's end. Links are not followed: the worker may have made them.
fn find(folder: &Path, name: &str, depth: u32, left: &mut usize) -> Option<PathBuf> {
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        *left = left.checked_sub(1)?;
        let kind = entry.file_type().ok()?;
        if kind.is_file() && entry.file_name().to_string_lossy().ends_with(name) {
            return Some(entry.path());
        }
        if kind.is_dir()
            && depth > 0
            && let Some(found) = find(&entry.path(), name, depth - 1, left)
        {
            return Some(found);
        }
    }
    None
}
