//! The calls of a provider that have an effect, made durable before they begin: what is found after a crash is what may have
//! happened.
//!
//! ```text
//! yes of a person ──▶ begin ──▶ written: open, side_effect ──▶ the provider is told yes ──▶ its result ──▶ end ──▶ written: safe
//! ```
//!
//! One task writes, always the latest that is known, so calls that come and go fast share commits.

mod books;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dormouse_secrets::Scrubbed;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use self::books::Books;
use super::attempt::Parts;
use super::heart::{insist, is_renewed};
use crate::adapter::Tokens;
use crate::adapter::dialogue::Call;
use crate::run::{CallFate, Noted, OpenCall};

/// Most bytes of a call's id that are kept.
const ID_MAX: usize = 128;
/// Most bytes of a call's title that are kept.
const TITLE_MAX: usize = 256;
/// How long the end of a run waits for what is still to be written.
const SETTLE_MAX: Duration = Duration::from_secs(10);

/// What the stream of a provider has told by now, as whoever goes on with its session needs it.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    /// Its session.
    pub(super) bound: watch::Receiver<Option<Scrubbed>>,
    /// What its threads show.
    pub(super) shown: watch::Receiver<BTreeMap<String, Tokens>>,
}

/// The calls of one process.
#[derive(Debug)]
pub(super) struct Calls {
    shared: Arc<Shared>,
    /// The revision that is stored; its sender is gone where nothing more can be.
    stored: watch::Receiver<u64>,
    _writer: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Shared {
    books: Mutex<Books>,
    changed: Notify,
}

impl Calls {
    /// Of a process that has made none; what it was told of former ones stands in the run's row.
    pub(super) fn new(parts: &Arc<Parts>, heard: Heard) -> Self {
        let former = parts.claimed.run.calls.clone();
        let shared = Arc::new(Shared {
            books: Mutex::new(Books::new(former)),
            changed: Notify::new(),
        });
        let (durable, stored) = watch::channel(0);
        let writer = write(Arc::clone(parts), Arc::clone(&shared), heard, durable);
        Self {
            shared,
            stored,
            _writer: AbortOnDropHandle::new(tokio::spawn(writer)),
        }
    }

    /// A call was allowed: whether it may begin, once that is stored. It is open from now on, until it [`end`](Self::end)s or
    /// is [`withdraw`](Self::withdraw)n.
    pub(super) fn begin(&self, parts: &Parts, call: &Call) -> impl Future<Output = bool> + Send + use<> {
        let revision = self.books().begin(&call.id, kept(parts, call));
        self.shared.changed.notify_one();
        let (mut stored, shared, id) = (self.stored.clone(), Arc::clone(&self.shared), call.id.clone());
        async move {
            let Some(revision) = revision else { return false };
            let stored = stored.wait_for(|stored| *stored >= revision).await;
            let Ok(stored) = stored.map(|stored| *stored) else {
                return false;
            };
            // Meanwhile it may have ended, and what is stored has it no more.
            let books = shared.lock();
            books.is_begun(&id, stored)
        }
    }

    /// A call goes on that nobody was asked for, or not yet.
    pub(super) fn note(&self, parts: &Parts, call: &Call) {
        if !self.books().note(&call.id, kept(parts, call)) {
            tracing::warn!(run = %parts.claimed.run.id, "more calls go on than are kept");
        }
        self.shared.changed.notify_one();
    }

    /// It is asked for: it has not begun.
    pub(super) fn ask(&self, call: &Call) {
        self.books().ask(&call.id);
        self.shared.changed.notify_one();
    }

    /// It was to begin, and does not.
    pub(super) fn withdraw(&self, call: &Call) {
        self.books().withdraw(&call.id);
        self.shared.changed.notify_one();
    }

    /// It has ended.
    pub(super) fn end(&self, id: &str, is_cut: bool) {
        self.books().end(id, is_cut);
        self.shared.changed.notify_one();
    }

    /// Waits until all is stored that is known, or cannot be: then this is what is known.
    pub(super) async fn settled(&mut self) -> Option<Vec<OpenCall>> {
        let (revision, calls) = self.books().shown();
        self.shared.changed.notify_one();
        // Its writer has ended where nothing more can be written.
        let stored = self.stored.wait_for(|stored| *stored >= revision);
        let is_stored = matches!(timeout(SETTLE_MAX, stored).await, Ok(Ok(_)));
        (!is_stored).then_some(calls)
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.shared.lock()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is kept of a call, clean and short.
fn kept(parts: &Parts, call: &Call) -> OpenCall {
    let scrubber = parts.scrubber();
    OpenCall {
        id: scrubber.scrub(&call.id).truncate_to(ID_MAX),
        kind: call.kind,
        title: scrubber.scrub(&call.title).truncate_to(TITLE_MAX),
        fate: CallFate::Open,
    }
}

/// Writes what is known until nothing more can be: then no call begins any more, and one that goes on unasked ends its process.
async fn write(parts: Arc<Parts>, shared: Arc<Shared>, heard: Heard, durable: watch::Sender<u64>) {
    write_on(&parts, &shared, &heard, &durable).await;
    let stored = *durable.borrow();
    // Who waits for a yes has a no.
    drop(durable);
    // Ends with the process, or ends it.
    while !shared.lock().goes_on_unasked(stored) {
        shared.changed.notified().await;
    }
    tracing::warn!(run = %parts.claimed.run.id, "a call goes on that cannot be written down: the run stops");
    parts.unwritten.notify_one();
}

async fn write_on(parts: &Parts, shared: &Shared, heard: &Heard, durable: &watch::Sender<u64>) {
    let mut written = parts.claimed.run.calls.clone();
    // Ends with the process, or with the lease.
    loop {
        shared.changed.notified().await;
        let (revision, calls) = shared.lock().shown();
        if calls != written {
            let begins = calls
                .iter()
                .any(|call| call.fate == CallFate::Open && !written.contains(call));
            // Before an effect enough of the lease is left.
            if begins && !parts.claimed.guard.has_runway() && !is_renewed(parts).await {
                tracing::warn!(run = %parts.claimed.run.id, "the lease could not be renewed: no call begins any more");
                return;
            }
            if let Err(error) = store(parts, &calls, heard).await {
                let run = parts.claimed.run.id;
                tracing::warn!(%run, %error, "the calls of the provider were not written down: none begins any more");
                return;
            }
            written = calls;
        }
        durable.send_replace(revision);
    }
}

async fn store(parts: &Parts, calls: &[OpenCall], heard: &Heard) -> Result<(), crate::CommandError> {
    let (session, shown) = (heard.bound.borrow().clone(), heard.shown.borrow().clone());
    let noted = Noted {
        calls,
        session: session.as_ref(),
        shown: &shown,
        step_is_open: &|| parts.steps.has_open(),
    };
    let runs = &parts.tenant.runs;
    insist(parts, "the calls of a provider", || {
        runs.note_calls(&parts.claimed, &noted)
    })
    .await
}
