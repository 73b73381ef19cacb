//! The owner task of one run: it holds the lease, the clocks and the writes, and ends the run on every exit.

use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use dormouse_filesystem::{Records, ScopedBatch, Versioned};
use dormouse_secrets::Scrubber;
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};

use super::OnGate;
use super::asks::Asks;
use super::endpoint::Endpoints;
use super::finish::{finish, lost, observed_panic, park};
use super::heart::{self, Pulseless};
use super::inbox::Letter;
use super::work::{self, Signals, Worked};
use super::{RunEnd, SupervisorOptions};
use crate::block::BlockSlot;
use crate::lease::Lease;
use crate::run::Claimed;
use crate::step::StepContext;
use crate::transcript::Transcript;
use crate::worker::{Gone, ProcessRow, orphans};
use crate::{Clock, Principal, Tenant};

/// How long the outcome waits for the rest of the transcript.
const TRANSCRIPT_MAX: Duration = Duration::from_secs(10);
/// How often what the kernel does not let go of is ended again; each takes up to 8 s.
const ENDINGS_MAX: u32 = 3;
/// How often the lease of a transcript is asked for, while the store does not answer.
const LEASE_READS_MAX: u32 = 30;
/// The delay between two such reads.
const LEASE_READ_DELAY: Duration = Duration::from_secs(1);

/// What an owner task owns.
pub(super) struct Parts {
    pub(super) tenant: Tenant,
    pub(super) claimed: Arc<Claimed>,
    pub(super) options: Arc<SupervisorOptions>,
    pub(super) transcript: Transcript,
    pub(super) kill: Arc<Notify>,
    /// What is to be said to its worker; none once it is read.
    pub(super) inbox: Mutex<Option<mpsc::Receiver<Letter>>>,
    /// What all its texts pass, once its worker's secrets are known.
    pub(super) scrubber: Arc<OnceLock<Scrubber>>,
    /// What they pass before.
    pub(super) fallback: Scrubber,
    pub(super) clock: Arc<dyn Clock>,
    /// The processes of the run, once there are any: what ends them when nothing else does.
    pub(super) processes: Mutex<Option<ProcessRow>>,
    /// Who started it.
    pub(super) by: Principal,
    /// What becomes of it when it asks a person.
    pub(super) on_gate: OnGate,
    /// Its durable steps.
    pub(super) steps: StepContext,
    /// What it asks.
    pub(super) asks: Asks,
    /// The block it met, once it met one.
    pub(super) block: BlockSlot,
    /// What its stream says is used is over a limit of its budgets.
    pub(super) over_budget: Notify,
    /// A call of its provider goes on, and that cannot be written down.
    pub(super) unwritten: Notify,
    /// Where its worker may ask.
    pub(super) endpoints: Option<Arc<dyn Endpoints>>,
}

impl Parts {
    /// What is to be said to its worker, for the one that says it; of another there is nothing.
    pub(super) fn take_inbox(&self) -> mpsc::Receiver<Letter> {
        let taken = self.inbox.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.unwrap_or_else(|| mpsc::channel(1).1)
    }

    /// What the texts of the run pass.
    pub(super) fn scrubber(&self) -> &Scrubber {
        self.scrubber.get().unwrap_or(&self.fallback)
    }
}

/// Runs the run to its end. The work is a task of its own, so that its panic is seen here and the run still ends.
pub(super) async fn own(parts: Parts) -> RunEnd {
    let parts = Arc::new(parts);
    let mut writer = tokio::spawn(write_transcript(Arc::clone(&parts)));
    let worked = match tokio::spawn(attend(Arc::clone(&parts))).await {
        Ok(worked) => worked,
        Err(panic) => {
            // Its worker was let go of, not waited for: no outcome is written while it lives.
            match let_go_of(&parts).await {
                0 => Worked::Ended(Box::new(observed_panic(&panic))),
                alive => Worked::Lost(alive),
            }
        }
    };
    parts.transcript.close();
    // The outcome does not wait for a store that takes no output.
    if timeout(TRANSCRIPT_MAX, &mut writer).await.is_err() {
        writer.abort();
    }
    let printed = parts.transcript.end();
    let ended = match worked {
        Worked::Ended(end) => finish(&parts, *end, printed).await,
        Worked::Parks(gate, end) => park(&parts, gate, *end, printed).await,
        // A lease that is another's by now is left alone; one whose time is up lapses.
        Worked::Lost(alive) | Worked::Fenced(alive) => lost(&parts, alive).await,
    };
    launch_folder_gone(&parts).await;
    ended
}

/// The work, beside the heartbeat.
async fn attend(parts: Arc<Parts>) -> Worked {
    let signals = Signals::default();
    let mut work = pin!(work::work(&parts, &signals));
    tokio::select! {
        worked = &mut work => return worked,
        Pulseless::Fenced = heart::beat(&parts, &signals.self_stop) => {}
        // A script parks for no step: the only reason to leave is one that is lost.
        _ = parts.steps.left() => {
            // Killed first; the lease lives for longer than that takes.
            signals.fenced.notify_one();
            return Worked::Lost(work.await.alive());
        }
    }
    signals.fenced.notify_one();
    // The lease is another's: nothing more is written.
    Worked::Fenced(work.await.alive())
}

/// Ends whatever lives of the run, by its row. How many of its processes live still; none where that is not known.
pub(super) async fn end_processes(parts: &Parts) -> Option<u32> {
    let row = parts
        .processes
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    match orphans::end(&row?).await {
        Ok(_) => Some(0),
        Err(error) => {
            tracing::error!(run = %parts.claimed.run.id, %error, "processes of the run could not be ended");
            Some(error.left()).filter(|left| *left > 0)
        }
    }
}

/// Ends whatever lives of a run that nobody watches any more. How many of its processes live still.
async fn let_go_of(parts: &Parts) -> u32 {
    let mut alive = 0;
    for _ in 0..ENDINGS_MAX {
        alive = end_processes(parts).await.unwrap_or(0);
        if alive == 0 {
            break;
        }
    }
    alive
}

/// What was seen of the end of its processes, once those that were left of them were ended again by their row: nothing is
/// said of the end before, while its lease is renewed.
pub(super) async fn emptied(parts: &Parts, mut gone: Gone) -> Gone {
    for _ in 0..ENDINGS_MAX {
        if gone.left == 0 {
            break;
        }
        gone.left = end_processes(parts).await.unwrap_or(gone.left);
    }
    gone
}

/// Makes the transcript durable under the lease. What is not written in time is counted as left out.
async fn write_transcript(parts: Arc<Parts>) {
    let Some(lease) = lease_of(&parts).await else {
        return;
    };
    let leases = Records::<Lease>::new(parts.tenant.space());
    let guard = |batch: &mut ScopedBatch<_>| leases.stage_check(batch, &lease);
    if let Err(error) = parts.transcript.write(parts.tenant.space(), guard).await {
        tracing::warn!(run = %parts.claimed.run.id, %error, "the transcript was not written to its end");
    }
}

/// The lease by which the transcript is written; none when it is another's, or cannot be read for long.
async fn lease_of(parts: &Parts) -> Option<Versioned<Lease>> {
    let leases = Records::<Lease>::new(parts.tenant.space());
    for _ in 0..LEASE_READS_MAX {
        match leases.get(&parts.claimed.run.subject()).await {
            Ok(read) => return read.filter(|lease| lease.version() == parts.claimed.guard.token()),
            Err(error) => {
                tracing::warn!(run = %parts.claimed.run.id, %error, "the lease of a transcript was not read");
                sleep(LEASE_READ_DELAY).await;
            }
        }
    }
    None
}

/// The run's own folder goes with it. What cannot be removed is of no consequence to anybody: the name is never
/// used again.
async fn launch_folder_gone(parts: &Parts) {
    let folder = super::launch::run_folder(parts);
    if let Err(error) = tokio::fs::remove_dir_all(&folder).await
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(run = %parts.claimed.run.id, %error, "the run's folder was not removed");
    }
}
