//! The endpoint of a run: where its worker reaches whoever asks people for it.

use std::fmt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use tokio_util::task::AbortOnDropHandle;

use super::Asking;

/// What a supervisor needs of the endpoints of its runs.
#[async_trait]
pub trait Endpoints: fmt::Debug + Send + Sync + 'static {
    /// Opens the endpoint of a run in the run's own folder. Its worker starts when this has returned.
    ///
    /// # Errors
    /// The system's. The run goes on without an endpoint then.
    async fn open(&self, folder: &Path, asking: Asking) -> std::io::Result<Endpoint>;
}

/// An open endpoint. Dropped, it is closed.
#[derive(Debug)]
pub struct Endpoint {
    /// Serves it.
    pub serving: AbortOnDropHandle<()>,
    /// A folder whose programs the worker finds first.
    pub programs: Option<PathBuf>,
    /// What the worker may read to run them, beside the system and its own folders.
    pub readable: Vec<PathBuf>,
}
