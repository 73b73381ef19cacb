//! Loops of the engine that panic: begun again a few times, and then it is known which one is missing.

use std::collections::VecDeque;
use std::sync::PoisonError;

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::engine::Engine;
use crate::limits::{RESTARTS_MAX, RESTARTS_WITHIN};

impl Engine {
    /// Runs one of the engine's loops, and begins it again when it panics: at most [`RESTARTS_MAX`] times within
    /// [`RESTARTS_WITHIN`]. Then it stays away, and [`degraded`](Self::degraded) names it. Returns when the loop does, or
    /// when it is given up. Dropping this drops the loop.
    ///
    /// # Example
    /// ```no_run
    /// # async fn example(engine: dormouse_engine::Engine) {
    /// let (of, told) = (engine.clone(), || std::future::pending());
    /// engine.keep("due", move || {
    ///     let (of, told) = (of.clone(), told());
    ///     async move { of.serve_due(told).await }
    /// }).await;
    /// # }
    /// ```
    pub async fn keep<F, Fut>(&self, name: &'static str, mut begin: F)
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let mut panics = VecDeque::new();
        // Ends with the loop, or when it panics too often.
        loop {
            let running = AbortOnDropHandle::new(tokio::spawn(begin()));
            match running.await {
                Err(error) if error.is_panic() => {}
                Ok(()) | Err(_) => return,
            }
            let now = Instant::now();
            panics.push_back(now);
            panics.retain(|at| now.duration_since(*at) < RESTARTS_WITHIN);
            if panics.len() > RESTARTS_MAX {
                tracing::error!(
                    name,
                    "a loop of the engine panics again and again; it is not begun any more"
                );
                self.degrade(name);
                return;
            }
            tracing::error!(name, "a loop of the engine panicked; it is begun again");
        }
    }

    fn degrade(&self, name: &'static str) {
        let mut missing = self.missing().lock().unwrap_or_else(PoisonError::into_inner);
        missing.insert(name);
    }

    /// The loops that panicked too often and are missing, by name. Where there are none the engine is whole.
    #[must_use]
    pub fn degraded(&self) -> Vec<&'static str> {
        let missing = self.missing().lock().unwrap_or_else(PoisonError::into_inner);
        missing.iter().copied().collect()
    }
}
