//! Waiting between two looks of a loop.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

/// Waits for so long; without a time for ever: nothing comes by itself, whatever comes rings.
pub(crate) async fn pause(wait: Option<Duration>) {
    match wait {
        Some(wait) => sleep(wait).await,
        None => std::future::pending().await,
    }
}

/// Waits until then; without an instant for ever.
pub(crate) async fn pause_until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
