//! What is due: one loop and one timer for the deadlines of all sessions, gates and capabilities of all tenants.
//!
//! Deadlines are rows and index entries. The loop reads the first of each index, sleeps until the earliest, and is
//! woken by a commit that stages an earlier one. So a thousand deadlines are one timer, and none is read while
//! nothing is due.

mod first;
mod pass;
mod rows;
mod serve;

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::sleep;

pub(crate) use pass::{DueRow, LeftLately, Pass, is_of_store};
pub use serve::DueServed;

use crate::clock::until;
use crate::engine::Engine;
use crate::limits::{DUE_LOOK, DUE_POLL, DUE_RETRY};
use crate::pause::pause;

/// Where commits say which deadline they staged.
#[derive(Debug)]
pub(crate) struct DueHint(watch::Sender<Option<Timestamp>>);

impl Default for DueHint {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl DueHint {
    /// A deadline was staged: whoever sleeps longer is woken.
    pub(crate) fn sooner(&self, at: Timestamp) {
        self.0.send_if_modified(|next| {
            let is_sooner = next.is_none_or(|next| at < next);
            if is_sooner {
                *next = Some(at);
            }
            is_sooner
        });
    }

    /// What is read from here on is as new as all hints before.
    fn forget(&self) {
        self.0.send_replace(None);
    }
}

/// When deadlines are to be looked at again.
#[derive(Debug, Clone, Copy)]
struct Next {
    /// The earliest deadline that there is.
    at: Option<Timestamp>,
    /// How long to wait at most, whatever the deadline; none where every other deadline comes with a hint.
    longest: Option<Duration>,
}

impl Engine {
    /// Serves every deadline of the store until `shutdown`: the program's one loop for them.
    ///
    /// A store that does not answer is tried again each second, and so is a session that its driver sees to. A row that
    /// cannot be believed is left, and looked at again each minute, however often others are: it keeps no other from its
    /// time. A deadline is
    /// kept by the clock of the [`Environment`](crate::Environment), so that one that passes while the machine sleeps
    /// is served within a minute of its waking. Dropping it at any time leaves all deadlines to the next one.
    pub async fn serve_due(&self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut hints = self.due().0.subscribe();
        let mut lately = LeftLately::default();
        // Ends with the shutdown.
        loop {
            self.due().forget();
            let next = tokio::select! {
                biased;
                () = &mut shutdown => return,
                next = self.serve_and_look(&mut lately) => next,
            };
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                () = pause(next.longest) => {}
                () = self.reached(next.at) => {}
                () = hinted(&mut hints, next.at) => {}
            }
        }
    }

    /// Serves what is due, and says when to look again.
    async fn serve_and_look(&self, lately: &mut LeftLately) -> Next {
        let clock = &self.environment().clock;
        let before = clock.now();
        let served = self.serve_due_but(lately).await;
        // What is due from then on was not served, also when the clock went back meanwhile.
        let from = before.min(clock.now());
        let looked = match served {
            Ok(served) => self.next_due(from).await.map(|at| (served, at)),
            Err(error) => Err(error),
        };
        match looked {
            Ok((served, at)) => Next {
                at,
                longest: self.longest(&served, lately),
            },
            Err(error) => {
                tracing::warn!(%error, "what is due was not served; it is tried again");
                Next {
                    at: None,
                    longest: Some(DUE_RETRY),
                }
            }
        }
    }

    /// How long to wait at most when this was served.
    fn longest(&self, served: &DueServed, lately: &LeftLately) -> Option<Duration> {
        if served.driven > 0 {
            Some(DUE_RETRY)
        } else if !self.is_exclusive() {
            // Another machine's deadlines come without a hint.
            Some(DUE_POLL)
        } else if served.left > 0 {
            Some(lately.again_in())
        } else {
            None
        }
    }

    /// Waits until the clock says so, which stops for no sleep of the machine as timers do; without an instant, for
    /// ever.
    async fn reached(&self, at: Option<Timestamp>) {
        let Some(at) = at else {
            return std::future::pending().await;
        };
        // Ends when the clock has come there.
        loop {
            let left = until(at, self.environment().clock.now());
            if left.is_zero() {
                return;
            }
            sleep(left.min(DUE_LOOK)).await;
        }
    }
}

/// Waits for a deadline that comes before this instant, if there is one.
async fn hinted(hints: &mut watch::Receiver<Option<Timestamp>>, next: Option<Timestamp>) {
    let is_sooner = |hint: &Option<Timestamp>| hint.is_some_and(|hint| next.is_none_or(|next| hint < next));
    if hints.wait_for(is_sooner).await.is_err() {
        std::future::pending::<()>().await;
    }
}
