//! What is said in this process when a commit is done, whether or not its caller waits for it still: the rows are there
//! then, and whoever sleeps would find them only when it wakes by itself.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::TenantId;
use crate::core::Core;
use crate::draft::{Draft, Hints};
use crate::due::DueHint;
use crate::limits::DUE_LOOK;
use crate::rest;
use crate::session::Drivers;
use crate::task::SettleHint;
use crate::wake::Bell;

/// Says at its end which deadline a commit set, whom it rang, and which sessions it wrote: also when it is not known
/// whether it was done. Said for nothing it costs a look.
pub(crate) struct Telling {
    hints: Hints,
    tenant: TenantId,
    drivers: Arc<Drivers>,
    due: Arc<DueHint>,
    bell: Arc<Bell>,
    settling: Arc<SettleHint>,
    background: TaskTracker,
    leaving: CancellationToken,
    /// Who does what is left, where something is.
    rest: Option<Box<Core>>,
}

impl fmt::Debug for Telling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Telling({:?})", self.hints)
    }
}

impl Telling {
    /// What a draft is to say: from here on it has nothing to.
    pub(crate) fn of(core: &Core, draft: &mut Draft) -> Self {
        let hints = std::mem::take(draft.hints());
        Self {
            rest: (!hints.rest.is_empty()).then(|| Box::new(core.unasked())),
            hints,
            tenant: core.tenant.clone(),
            drivers: Arc::clone(&core.drivers),
            due: Arc::clone(&core.due),
            bell: Arc::clone(&core.bell),
            settling: Arc::clone(&core.settling),
            background: core.background.clone(),
            leaving: core.leaving.clone(),
        }
    }

    /// It is not known whether the commit was done: it may come to be when all were told already, so they are told again.
    pub(crate) fn doubted(&self) {
        let (due, bell) = (Arc::clone(&self.due), Arc::clone(&self.bell));
        let (settling, leaving) = (Arc::clone(&self.settling), self.leaving.clone());
        self.background.spawn(async move {
            tokio::select! {
                biased;
                () = leaving.cancelled() => {}
                () = sleep(DUE_LOOK) => tell_all(&due, &bell, &settling),
            }
        });
    }
}

/// Says that there may be something of each kind.
pub(crate) fn tell_all(due: &DueHint, bell: &Bell, settling: &SettleHint) {
    settling.ring();
    bell.free_all();
    bell.ring();
    due.sooner(Timestamp::MIN);
}

impl Drop for Telling {
    fn drop(&mut self) {
        let hints = std::mem::take(&mut self.hints);
        if hints.settles {
            self.settling.ring();
        }
        if let Some(at) = hints.due {
            self.due.sooner(at);
        }
        if hints.is_rung {
            self.bell.ring();
        }
        self.bell.room().made(hints.newly_due);
        for agent in hints.freed {
            self.bell.free(&self.tenant, agent);
        }
        hints.sessions.into_iter().for_each(|id| self.drivers.look(id));
        if let Some(core) = self.rest.take() {
            rest::spawn(*core, hints.rest);
        }
    }
}

/// A commit under way. It goes on in the background when its caller is dropped: the store may have it already, and only
/// its answer says when there is something to tell.
pub(crate) struct Landing<T: Send + 'static> {
    commit: Option<BoxFuture<'static, T>>,
    background: TaskTracker,
}

impl<T: Send + 'static> Landing<T> {
    pub(crate) fn new(commit: impl Future<Output = T> + Send + 'static, background: &TaskTracker) -> Self {
        Self {
            commit: Some(commit.boxed()),
            background: background.clone(),
        }
    }
}

impl<T: Send + 'static> Future for Landing<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        // Not put back after its answer, nor where it panics.
        let mut commit = self.commit.take().expect("nobody asks after the answer");
        let polled = commit.poll_unpin(context);
        if polled.is_pending() {
            self.commit = Some(commit);
        }
        polled
    }
}

impl<T: Send + 'static> Drop for Landing<T> {
    fn drop(&mut self) {
        // Without a runtime nothing goes on: what is to be told is told as the commit is dropped.
        if let Some(commit) = self.commit.take()
            && let Ok(runtime) = Handle::try_current()
        {
            self.background.spawn_on(commit.map(drop), &runtime);
        }
    }
}
