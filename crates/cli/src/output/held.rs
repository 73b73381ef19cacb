//! What is held back for stdout, and written beside: whoever reads it may take as long as it likes.

use std::sync::{Arc, Mutex, PoisonError};

use super::write;
use crate::problem::{Code, Problem, Result};

/// Bytes after which what holds back writes before it goes on.
const BYTES_MAX: usize = 1024 * 1024;

/// What is held back. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Held(Arc<Mutex<Vec<u8>>>);

impl Held {
    pub(super) fn take(&self, bytes: &[u8]) {
        self.with(|held| held.extend_from_slice(bytes));
    }

    /// Whether it is time to write.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.with(|held| held.len() >= BYTES_MAX)
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.with(|held| held.is_empty())
    }

    /// Writes what is held back, on a thread that may wait for the reader. Dropped, the thread goes on.
    ///
    /// # Errors
    /// As [`Ui::bytes`](super::Ui::bytes).
    pub async fn written(&self) -> Result<()> {
        let bytes = self.with(std::mem::take);
        let written = tokio::task::spawn_blocking(move || write(&mut std::io::stdout().lock(), &bytes)).await;
        written.unwrap_or_else(|panic| {
            Err(Problem::new(Code::Internal, format!("stdout was not written: {panic}")).into())
        })
    }

    fn with<T>(&self, f: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
