//! The owner task of one run: it holds the lease, the clocks and the writes, and ends the run on every exit.

use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::{Records, Versioned};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::finish::{End, finish, observed_panic};
use super::heart::{self, Pulseless};
use super::work::{self, Worked};
use super::{RunEnd, SupervisorOptions};
use crate::lease::Lease;
use crate::run::Claimed;
use crate::transcript::{Transcript, TranscriptEnd};
use crate::{Clock, Tenant};

/// How long the outcome waits for the rest of the transcript.
const TRANSCRIPT_MAX: Duration = Duration::from_secs(10);

/// What an owner task owns.
pub(super) struct Parts {
    pub(super) tenant: Tenant,
    pub(super) claimed: Claimed,
    pub(super) options: Arc<SupervisorOptions>,
    pub(super) transcript: Transcript,
    pub(super) kill: Arc<Notify>,
    pub(super) clock: Arc<dyn Clock>,
}

/// Runs the run to its end. The work is a task of its own, so that its panic is seen here and the run still ends.
pub(super) async fn own(parts: Parts) -> RunEnd {
    let parts = Arc::new(parts);
    let mut writer = tokio::spawn(write_transcript(Arc::clone(&parts)));
    let work = tokio::spawn(attend(Arc::clone(&parts)));
    let end = work.await.unwrap_or_else(|panic| Some(observed_panic(&panic)));
    parts.transcript.close();
    let printed = match timeout(TRANSCRIPT_MAX, &mut writer).await {
        Ok(printed) => printed.unwrap_or_default(),
        // The outcome does not wait for a store that takes no output.
        Err(_) => {
            writer.abort();
            TranscriptEnd::default()
        }
    };
    let ended = match end {
        Some(end) => finish(&parts, end, printed).await,
        None => RunEnd::Unrecorded,
    };
    launch_folder_gone(&parts).await;
    ended
}

/// The work, beside the heartbeat. None when the lease is another's: nothing more is written.
async fn attend(parts: Arc<Parts>) -> Option<End> {
    let self_stop = Notify::new();
    tokio::select! {
        worked = work::work(&parts, &self_stop) => match worked {
            Worked::Ended(end) => Some(*end),
            Worked::Fenced => None,
        },
        // Leaving this scope drops the worker, and its keeper kills the tree.
        Pulseless::Fenced = heart::beat(&parts, &self_stop) => None,
    }
}

/// Makes the transcript durable under the lease. What is not written in time is counted as left out.
async fn write_transcript(parts: Arc<Parts>) -> TranscriptEnd {
    let Some(lease) = lease_of(&parts).await else {
        return TranscriptEnd::default();
    };
    let leases = Records::<Lease>::new(parts.tenant.space());
    let guard = |batch: &mut dormouse_filesystem::ScopedBatch<_>| leases.stage_check(batch, &lease);
    match parts.transcript.write(parts.tenant.space(), guard).await {
        Ok(end) => end,
        Err(error) => {
            tracing::warn!(run = %parts.claimed.run.id, %error, "the transcript was not written to its end");
            TranscriptEnd::default()
        }
    }
}

async fn lease_of(parts: &Parts) -> Option<Versioned<Lease>> {
    let leases = Records::<Lease>::new(parts.tenant.space());
    let read = leases.get(&parts.claimed.run.subject()).await.ok().flatten();
    read.filter(|lease| lease.version() == parts.claimed.guard.token())
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
