//! What a former attempt saved, as the worker of this one finds it: the file `checkpoint` in its run's folder.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::attempt::Parts;

/// The file in the run's folder, which goes with it.
const FILE: &str = "checkpoint";

/// Writes it, where there is one. A worker that does not find it begins at the beginning, so what goes wrong is logged.
pub(super) async fn write(parts: &Parts, run_folder: &Path) {
    let run = parts.claimed.run.id;
    let saved = match parts.tenant.runs.saved_before(&parts.claimed).await {
        Ok(Some(saved)) => saved,
        Ok(None) => return,
        Err(error) => {
            tracing::warn!(%run, %error, "what a former attempt saved was not read");
            return;
        }
    };
    let file = run_folder.join(FILE);
    let write = move || {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(file)?;
        file.write_all(saved.as_str().as_bytes())
    };
    let written = tokio::task::spawn_blocking(write).await;
    if let Err(error) = written.expect("writing does not panic, and nobody cancels it") {
        tracing::warn!(%run, %error, "what a former attempt saved was not handed to its worker");
    }
}
