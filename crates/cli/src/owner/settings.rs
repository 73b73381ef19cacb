//! What an owner runs with, and reading it again.

use std::sync::{Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::config::Config;
use crate::context::Context;
use crate::problem::Problem;

/// The settings of an owner: those it runs with, and where they come from.
#[derive(Debug)]
pub(crate) struct Settings {
    /// As it was at the start: where to read.
    first: Context,
    running: Mutex<Config>,
    turn: Semaphore,
}

impl Settings {
    /// As this process was started.
    pub(super) fn of(context: &Context) -> Self {
        Self {
            running: Mutex::new(context.config.clone()),
            first: context.clone(),
            turn: Semaphore::new(1),
        }
    }

    /// The turn of who reads them again: one at a time, so that what is read last holds last.
    pub(crate) async fn turn(&self) -> SemaphorePermit<'_> {
        self.turn.acquire().await.expect("it is never closed")
    }

    /// Reads everything again, from where it was read at the start, as it was read then. Takes nothing over.
    ///
    /// # Errors
    /// As the start.
    pub(crate) async fn read_again(&self) -> Result<Context, Problem> {
        let first = self.first.clone();
        let read = tokio::task::spawn_blocking(move || first.again()).await;
        read.expect("reading settings does not panic, and nobody cancels it")
    }

    /// Works with those it runs with.
    pub(crate) fn running<T>(&self, with: impl FnOnce(&mut Config) -> T) -> T {
        with(&mut self.running.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
