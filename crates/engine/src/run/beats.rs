//! Heartbeats share commits. All of a process beat at the same moments, and those of a tenant that are due go in one commit,
//! or in as few as hold them; those that come while it is in flight go in the next. One that lost its lease drops out, and
//! the rest is sent again.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use dormouse_filesystem::{Records, Version};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::heartbeat::{Beaten, Renewal};
use super::{Claimed, Run};
use crate::combine::{Combiner, Waits};
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::lease::{Heartbeat, Held, Lease, LeaseOptions, Progress};
use crate::limits::{HEARTBEATS_MAX, HEARTBEATS_WAITING_MAX};
use crate::resolve::{the_same, unknown};
use crate::{CommandError, Principal, RunId, Subject};

/// The heartbeats of a tenant that wait for a commit.
pub(crate) struct Beats {
    waiting: Combiner<Beat>,
    /// All beat at this moment and a whole number of pauses later.
    first: Instant,
    options: LeaseOptions,
}

impl fmt::Debug for Beats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Beats({:?})", self.waiting)
    }
}

/// One heartbeat, and where its answer is waited for.
pub(super) struct Beat {
    pub(super) run: RunId,
    pub(super) subject: Subject,
    pub(super) token: Version,
    pub(super) progress: Option<Progress>,
    answer: oneshot::Sender<Answer>,
}

type Answer = Result<Beaten, CommandError>;

/// Renews a run's lease, in a commit with the others that wait.
pub(super) async fn beat(core: &Arc<Core>, claimed: &Claimed, progress: Option<&Progress>) -> Answer {
    let (answer, answered) = oneshot::channel();
    let beat = Beat {
        run: claimed.run.id,
        subject: claimed.guard.subject().clone(),
        token: claimed.guard.token(),
        progress: progress.cloned(),
        answer,
    };
    enter(core, beat)?;
    // Without an answer the process is ending: the commit may have been sent.
    answered.await.unwrap_or_else(|_| Err(unknown(None)))
}

fn enter(core: &Arc<Core>, beat: Beat) -> Result<(), CommandError> {
    if core.beats.waiting.enter(beat, HEARTBEATS_WAITING_MAX)? {
        core.background.spawn(serve(Arc::clone(core)));
    }
    Ok(())
}

/// Commits group after group. Ends when nobody waits.
async fn serve(core: Arc<Core>) {
    // Those that beat at the same moment have entered when this one's turn comes round again.
    tokio::task::yield_now().await;
    let most = core.beats.options.batch_max.clamp(1, HEARTBEATS_MAX);
    let room = || {
        // Its row is named once in a batch.
        let mut runs = HashSet::new();
        move |beat: &Beat| runs.insert(beat.run) && runs.len() <= most
    };
    let served = &core;
    let settle = |group| async move {
        answer(served, group).await;
        Vec::new()
    };
    core.beats.waiting.serve(room, settle).await;
}

impl Waits for Beat {
    fn is_gone(&self) -> bool {
        self.answer.is_closed()
    }

    fn not_before(&self) -> Option<Instant> {
        None
    }
}

impl Beats {
    pub(crate) fn new(options: LeaseOptions) -> Self {
        Self {
            waiting: Combiner::default(),
            first: Instant::now(),
            options,
        }
    }

    /// The next moment at which all beat.
    pub(super) fn next_after(&self, now: Instant) -> Instant {
        let every = self.options.heartbeat;
        let passed = now.saturating_duration_since(self.first);
        let beats = passed.as_millis() / every.as_millis().max(1) + 1;
        // After a hundred years they beat apart.
        let next = u32::try_from(beats)
            .ok()
            .and_then(|beats| every.checked_mul(beats));
        next.map_or(now + every, |next| self.first + next)
    }
}

/// Commits a group and tells each its answer. One that spoils it for all is found by committing each alone.
async fn answer(core: &Core, group: Vec<Beat>) {
    match commit(core, &group).await {
        Ok(answers) => tell(group, answers),
        Err(error) if group.len() == 1 => tell(group, vec![Err(error)]),
        Err(error) if error.is_congestion() || matches!(error, CommandError::Indeterminate { .. }) => {
            let answers = group.iter().map(|_| Err(the_same(&error, None))).collect();
            tell(group, answers);
        }
        Err(_) => {
            for beat in group {
                let alone = [beat];
                let answers = commit(core, &alone).await;
                tell(alone, answers.unwrap_or_else(|error| vec![Err(error)]));
            }
        }
    }
}

fn tell(group: impl IntoIterator<Item = Beat>, answers: Vec<Answer>) {
    for (beat, answer) in group.into_iter().zip(answers) {
        // Nobody waits any more: the row says it all the same.
        drop(beat.answer.send(answer));
    }
}

/// One commit of them all. A lost race is decided again on fresh rows: who was replaced is fenced then.
async fn commit(core: &Core, group: &[Beat]) -> Result<Vec<Answer>, CommandError> {
    // Before the clock is read, by which they expire.
    let sent = Instant::now();
    let by = Principal::engine();
    let done = core
        .command(&by, |draft| staged(core, draft, group, sent))
        .await?;
    Ok(done.answer)
}

async fn staged(
    core: &Core,
    mut draft: Draft,
    group: &[Beat],
    sent: Instant,
) -> Result<Verdict<Vec<Answer>>, CommandError> {
    let read = read(core, group).await?;
    let rows = Records::<Heartbeat>::new(&core.space);
    let (mut answers, mut is_any) = (Vec::with_capacity(group.len()), false);
    for (beat, (held, run)) in group.iter().zip(read) {
        answers.push(
            match Renewal::decide(core, beat, held, run.as_ref(), draft.now()) {
                Err(error) => Err(error),
                Ok(renewal) => {
                    renewal.held.stage_check(core, &mut draft);
                    rows.stage_replace(draft.batch(), &renewal.held.heartbeat, &renewal.beat)
                        .await?;
                    is_any = true;
                    Ok(renewal.beaten(sent))
                }
            },
        );
    }
    Ok(match is_any {
        true => Verdict::Commit(draft, answers),
        false => Verdict::Nothing(answers),
    })
}

/// The leases of a group with their heartbeats, and the runs. They are read one kind after the other: a lease that was
/// given up in between is none.
async fn read(core: &Core, group: &[Beat]) -> Result<Vec<(Option<Held>, Option<Run>)>, CommandError> {
    let subjects: Vec<Subject> = group.iter().map(|beat| beat.subject.clone()).collect();
    let runs: Vec<RunId> = group.iter().map(|beat| beat.run).collect();
    let leases = Records::<Lease>::new(&core.space).get_many(&subjects).await?;
    let heartbeats = Records::<Heartbeat>::new(&core.space).get_many(&subjects).await?;
    let runs = Records::<Run>::new(&core.space).get_many(&runs).await?;
    let held = leases.into_iter().zip(heartbeats).map(|both| match both {
        (Some(lease), Some(heartbeat)) => Some(Held { lease, heartbeat }),
        (None, _) | (_, None) => None,
    });
    let runs = runs.into_iter().map(|run| run.map(|run| run.into_inner()));
    Ok(held.zip(runs).collect())
}
