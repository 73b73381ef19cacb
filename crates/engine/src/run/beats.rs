//! Heartbeats share commits. All of a process beat at the same moments, and those of a tenant that are due go in one commit,
//! or in as few as hold them; those that come while it is in flight go in the next. One that lost its lease drops out, and
//! the rest is sent again.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use dormouse_filesystem::{CommitError, Records};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::heartbeat::{Beaten, Renewal};
use super::{Claimed, Run};
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::lease::{Heartbeat, Held, Lease, LeaseOptions, Progress};
use crate::limits::{HEARTBEATS_MAX, HEARTBEATS_WAITING_MAX};
use crate::{CommandError, Principal, RunId, Subject};
use dormouse_filesystem::Version;

/// The heartbeats of a tenant that wait for a commit.
pub(crate) struct Beats {
    queue: Mutex<Queue>,
    /// All beat at this moment and a whole number of pauses later.
    first: Instant,
    options: LeaseOptions,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Beat>,
    is_served: bool,
}

impl fmt::Debug for Beats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Beats({} wait)", self.with(|queue| queue.waiting.len()))
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
    answered.await.unwrap_or_else(|_| Err(unknown()))
}

fn enter(core: &Arc<Core>, beat: Beat) -> Result<(), CommandError> {
    let begins = core.beats.with(|queue| {
        if queue.waiting.len() >= HEARTBEATS_WAITING_MAX {
            return Err(CommandError::LOST_RACE);
        }
        queue.waiting.push_back(beat);
        Ok(!std::mem::replace(&mut queue.is_served, true))
    })?;
    if begins {
        core.background.spawn(serve(Arc::clone(core)));
    }
    Ok(())
}

/// Commits group after group. Ends when nobody waits.
async fn serve(core: Arc<Core>) {
    // Those that beat at the same moment have entered when this one's turn comes round again.
    tokio::task::yield_now().await;
    let cut_short = CutShort(&core.beats);
    while let Some(group) = cut_short.0.next() {
        answer(&core, group).await;
    }
    // Nobody serves any more, or already another does.
    std::mem::forget(cut_short);
}

/// Serving that ends by a panic, or with the runtime: who waits still is told by the drop of its sender, and the next
/// heartbeat begins anew.
struct CutShort<'b>(&'b Beats);

impl Drop for CutShort<'_> {
    fn drop(&mut self) {
        self.0.with(|queue| *queue = Queue::default());
    }
}

impl Beats {
    pub(crate) fn new(options: LeaseOptions) -> Self {
        Self {
            queue: Mutex::default(),
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

    fn with<T>(&self, f: impl FnOnce(&mut Queue) -> T) -> T {
        f(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The next group, in the order of arrival, a run once; none when nobody waits, and then nobody serves.
    fn next(&self) -> Option<Vec<Beat>> {
        let most = self.options.batch_max.clamp(1, HEARTBEATS_MAX);
        self.with(|queue| {
            let (mut group, mut again, mut runs) = (Vec::new(), VecDeque::new(), HashSet::new());
            while group.len() < most
                && let Some(beat) = queue.waiting.pop_front()
            {
                if beat.answer.is_closed() {
                    continue;
                }
                // Its row is named once in a batch.
                match runs.insert(beat.run) {
                    true => group.push(beat),
                    false => again.push_back(beat),
                }
            }
            while let Some(beat) = again.pop_back() {
                queue.waiting.push_front(beat);
            }
            queue.is_served = !group.is_empty();
            queue.is_served.then_some(group)
        })
    }
}

/// Commits a group and tells each its answer. One that spoils it for all is found by committing each alone.
async fn answer(core: &Core, group: Vec<Beat>) {
    match commit(core, &group).await {
        Ok(answers) => tell(group, answers),
        Err(error) if group.len() == 1 => tell(group, vec![Err(error)]),
        Err(error) if error.is_congestion() || matches!(error, CommandError::Indeterminate { .. }) => {
            let answers = group.iter().map(|_| Err(the_same(&error))).collect();
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

/// What befell the commit of all befell each.
fn the_same(error: &CommandError) -> CommandError {
    match error {
        CommandError::Indeterminate { .. } => unknown(),
        CommandError::Contended { attempts } => CommandError::Contended { attempts: *attempts },
        other => CommandError::Unavailable(other.to_string().into()),
    }
}

fn unknown() -> CommandError {
    CommandError::Indeterminate {
        op: None,
        source: CommitError::Indeterminate { source: None },
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
