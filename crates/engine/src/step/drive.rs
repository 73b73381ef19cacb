//! Driving a claimed run by a future: it is kept alive, stopped, parked, and ends with exactly one outcome.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dormouse_secrets::{Scrubbed, Scrubber};
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

use super::ends::{Said, plain, verdict};
use super::guard::{Guard, Work};
use super::{Failure, Leave, Report, StepContext};
use crate::command::{CommandSpec, GRACE_DEFAULT};
use crate::credentials::Credentials;
use crate::outcome::{ClockKind, Facts, FailReason, Outcome, ResourceUsage};
use crate::pause::pause_until;
use crate::run::{Claimed, RunWait, Runs, Started, StopReason, give_up};
use crate::supervisor::RunEnd;
use crate::worker::classify::Verdict;
use crate::{CommandError, RunId};

/// How long after a commit that was not done the next one is tried.
const RETRY: Duration = Duration::from_secs(1);

/// What became of the work.
pub(super) enum Worked {
    /// It ended by itself, or was ended.
    Ended(Verdict),
    /// The run waits.
    Parks(RunWait),
    /// Whether a step happened is not known.
    Lost,
    /// The lease is another's: nothing is written.
    Fenced,
}

/// How the work was left, before it is gone.
enum Gone {
    /// It is known what became of it.
    As(Worked),
    /// It was stopped for this, and said nothing.
    Stopped(StopReason),
}

impl Runs {
    /// Works on a claimed run by this future, and ends the run with what became of it: its report, its failure, its panic,
    /// the stop it was told, or that it waits. Heartbeats go on beside it. Told to stop, it has its grace to end by itself
    /// ([`StepContext::stopped`]), then it is dropped. What it does durably it does in steps.
    ///
    /// Dropping this drops the work, and the run ends as abandoned behind it, in the background of the engine; one whose end
    /// was being written ends so. Where no runtime goes on with that the run lapses when its lease expires.
    ///
    /// # Example
    /// The [crate's page](crate) has one.
    pub async fn drive<F, Fut, R>(&self, claimed: Claimed, work: F) -> RunEnd
    where
        F: FnOnce(StepContext) -> Fut,
        Fut: Future<Output = Result<R, Failure>> + Send + 'static,
        R: Into<Report> + Send + 'static,
    {
        let claimed = Arc::new(claimed);
        let scrubber = Arc::default();
        let hand = Arc::new(Driving {
            runs: self.clone(),
            steps: StepContext::new(&self.core, &claimed, &scrubber),
            claimed,
            scrubber,
            begun: Instant::now(),
        });
        let mut guard = Guard::new(&hand);
        let worked = match hand.started().await {
            Ok(Started::Go) => {
                self.core.live.listen(hand.claimed.run.id, hand.steps.inbox());
                let work = work(hand.steps.clone());
                let work = async move { work.await.map(Into::<Report>::into) };
                let (task, slot) = self.core.workers.spawn(work);
                guard.attend(Work::new(task, slot)).await
            }
            Ok(Started::Stop(reason)) => Worked::Ended(plain(reason.outcome())),
            Err(error) => hand.unstarted(&error),
        };
        guard.ends(worked).await
    }
}

/// One run that is driven.
pub(super) struct Driving {
    runs: Runs,
    claimed: Arc<Claimed>,
    steps: StepContext,
    scrubber: Arc<OnceLock<Scrubber>>,
    begun: Instant,
}

impl Driving {
    pub(super) fn run(&self) -> RunId {
        self.claimed.run.id
    }

    pub(super) fn background(&self) -> TaskTracker {
        self.runs.core.background.clone()
    }

    /// Ends a run whose driver was dropped: as it ended by then, else as abandoned.
    pub(super) async fn abandoned(&self, work: Option<Work>, worked: Option<Worked>) {
        let worked = match (worked, work) {
            (Some(worked), _) => worked,
            (None, Some(mut work)) => {
                work.ended(self).await;
                self.left(&mut work).await
            }
            (None, None) => {
                let stop = self.claimed.stop.reason();
                Worked::Ended(self.verdict(Said::Nothing, stop.as_ref()).await)
            }
        };
        self.ended(&worked).await;
    }

    async fn started(&self) -> Result<Started, CommandError> {
        // Ends when it is written, refused, or the lease's time is up.
        loop {
            match self.runs.started(&self.claimed, None).await {
                Err(error) if self.may_pass(&error) => sleep(RETRY).await,
                answered => return answered,
            }
        }
    }

    fn unstarted(&self, error: &CommandError) -> Worked {
        tracing::warn!(run = %self.claimed.run.id, %error, "the work did not begin");
        match error {
            CommandError::Fenced { .. } | CommandError::LeaseExpired { .. } => Worked::Fenced,
            _ => Worked::Ended(plain(failed(
                FailReason::Abandoned,
                Scrubbed::constant("that the work begins could not be written"),
            ))),
        }
    }

    /// From the start of the work to its end. Whatever ends it, it is gone when this returns.
    pub(super) async fn attend(&self, work: &mut Work) -> Worked {
        let (mut dead_at, mut wall_at) = (None, self.wall_at());
        let mut heart = std::pin::pin!(self.beat());
        // Ends with the work, or with what ends it.
        let ended = loop {
            // In this order, so that a simulation is the same history each time: how the work ended counts first.
            tokio::select! {
                biased;
                () = work.joined() => return self.left(work).await,
                () = &mut heart => break Gone::As(Worked::Fenced),
                left = self.steps.left() => break Gone::As(match left {
                    Leave::Park(wait) => Worked::Parks(wait),
                    Leave::Lose(_) => Worked::Lost,
                }),
                () = pause_until(wall_at), if dead_at.is_none() => {
                    wall_at = None;
                    self.run_out().await;
                }
                _ = self.claimed.stop.stopped(), if dead_at.is_none() => {
                    dead_at = Some(Instant::now() + self.grace());
                }
                () = pause_until(dead_at) => {
                    // It was told to stop, and said nothing in its grace.
                    break Gone::Stopped(self.claimed.stop.reason().unwrap_or(StopReason::Shutdown));
                }
                () = sleep(self.claimed.guard.stop_in()) => {
                    // No heartbeat was durable for too long: the work ends before anybody can take it over.
                    if self.claimed.guard.must_stop() {
                        break Gone::Stopped(StopReason::Shutdown);
                    }
                }
            }
        };
        // What it said in the last moment is said too late.
        work.ended(self).await;
        drop(work.take_said());
        match ended {
            Gone::As(worked) => worked,
            // Not before it is gone: what its secrets are may have to be asked of a store that does not answer.
            Gone::Stopped(reason) => Worked::Ended(self.verdict(Said::Nothing, Some(&reason)).await),
        }
    }

    /// When its wall clock runs out, if its task has a command, which has one.
    fn wall_at(&self) -> Option<Instant> {
        let left = self
            .wall_clock()?
            .saturating_sub(Duration::from_millis(self.claimed.run.clock_ms));
        self.begun.checked_add(left)
    }

    fn wall_clock(&self) -> Option<Duration> {
        self.claimed.task.command.as_ref().map(CommandSpec::wall_clock)
    }

    /// Its wall clock ran out: it is told to stop, as by whoever stops a run. A stop that came first stands.
    async fn run_out(&self) {
        let reason = StopReason::clock(ClockKind::Wall, self.wall_clock().unwrap_or_default());
        if let Err(error) = self.runs.stopping(&self.claimed, &reason).await {
            let run = self.claimed.run.id;
            tracing::warn!(%run, %error, "that its clock ran out was not recorded");
            self.runs.core.live.tell(run, reason);
        }
    }

    /// The work's own end, or that it was dropped.
    async fn left(&self, work: &mut Work) -> Worked {
        if work.is_fenced() {
            return Worked::Fenced;
        }
        let stop = self.claimed.stop.reason();
        // Read before what it said is taken: whoever is dropped meanwhile leaves that where it was.
        let scrubber = self.scrubber().await;
        let (said, block) = (work.take_said(), self.steps.block_slot());
        Worked::Ended(verdict(said, stop.as_ref(), block, &scrubber))
    }

    /// It was told to stop, and is gone.
    async fn stopped(&self) -> Verdict {
        let reason = self.claimed.stop.reason().unwrap_or(StopReason::Shutdown);
        self.verdict(Said::Nothing, Some(&reason)).await
    }

    async fn verdict(&self, said: Said, stop: Option<&StopReason>) -> Verdict {
        verdict(said, stop, self.steps.block_slot(), &self.scrubber().await)
    }

    fn grace(&self) -> Duration {
        let command = self.claimed.task.command.as_ref();
        command.map_or(GRACE_DEFAULT, CommandSpec::grace)
    }

    /// Renews the lease until it cannot be.
    async fn beat(&self) {
        let error = self.runs.beat(&self.claimed).await;
        tracing::warn!(run = %self.claimed.run.id, %error, "the run is no longer held; its work is dropped");
    }

    pub(super) async fn ended(&self, worked: &Worked) -> RunEnd {
        match worked {
            Worked::Ended(verdict) => self.finish(verdict).await,
            Worked::Parks(wait) => self.park(*wait).await,
            Worked::Lost => self.lose().await,
            Worked::Fenced => self.let_go().await,
        }
    }

    async fn finish(&self, verdict: &Verdict) -> RunEnd {
        let (outcome, facts) = (&verdict.outcome, self.facts(verdict.after_stop));
        // Ends when it is recorded, refused, or the lease's time is up. The same end again is answered as the first time.
        loop {
            match self.runs.finish(&self.claimed, outcome, &facts).await {
                Ok(finished) => return RunEnd::Recorded(Box::new(finished)),
                Err(error) => {
                    if let Some(end) = self.not_written(error, "the outcome").await {
                        return end;
                    }
                }
            }
        }
    }

    /// A run that cannot be parked was told to stop meanwhile: that is its end.
    async fn park(&self, wait: RunWait) -> RunEnd {
        // Ends when it is recorded, refused, or the lease's time is up.
        loop {
            match self.runs.park_for(&self.claimed, wait, self.used()).await {
                Ok(parked) => return RunEnd::Parked(Box::new(parked)),
                Err(CommandError::Rejected { .. }) => return self.finish(&self.stopped().await).await,
                Err(error) => {
                    if let Some(end) = self.not_written(error, "that the run waits").await {
                        return end;
                    }
                }
            }
        }
    }

    async fn lose(&self) -> RunEnd {
        // Ends when it is recorded, refused, or the lease's time is up: then recovery does the same.
        loop {
            match give_up(&self.runs.core, &self.claimed).await {
                Ok(Some(finished)) => return RunEnd::Recorded(Box::new(finished)),
                Ok(None) => return RunEnd::Unrecorded,
                Err(error) => {
                    if let Some(end) = self.not_written(error, "that a step is lost").await {
                        return end;
                    }
                }
            }
        }
    }

    /// The work is gone, and the lease is another's or its time is up. One that nobody took yet lapses now; of another's
    /// nothing is written.
    async fn let_go(&self) -> RunEnd {
        match give_up(&self.runs.core, &self.claimed).await {
            Ok(Some(finished)) => RunEnd::Recorded(Box::new(finished)),
            Ok(None) => RunEnd::Unrecorded,
            Err(error) => {
                tracing::warn!(run = %self.claimed.run.id, %error, "that the run is lost was not written");
                RunEnd::Unrecorded
            }
        }
    }

    /// Waits a little after an error that may pass; any other ends the run unrecorded.
    async fn not_written(&self, error: CommandError, what: &str) -> Option<RunEnd> {
        let run = self.claimed.run.id;
        if let CommandError::LeaseExpired { .. } = error {
            // The machine was asleep for longer than the lease lives: where nobody else could take it meanwhile, it goes on.
            let is_renewed = self.runs.heartbeat(&self.claimed, None).await.is_ok();
            return if is_renewed {
                None
            } else {
                Some(self.let_go().await)
            };
        }
        if self.may_pass(&error) {
            tracing::warn!(%run, %error, "{what} was not written; it is tried again");
            sleep(RETRY).await;
            return None;
        }
        tracing::error!(%run, %error, "{what} was not written");
        Some(RunEnd::Unrecorded)
    }

    fn may_pass(&self, error: &CommandError) -> bool {
        (error.is_congestion() || matches!(error, CommandError::Indeterminate { .. }))
            && !self.claimed.guard.left().is_zero()
    }

    /// What the report passes: the set of its steps, or what its agent sees now.
    async fn scrubber(&self) -> Scrubber {
        if let Some(scrubber) = self.scrubber.get() {
            return scrubber.clone();
        }
        let credentials = Credentials::new(&self.runs.core);
        match credentials.scrubber(&self.claimed.run.agent).await {
            Ok(scrubber) => scrubber,
            Err(error) => {
                tracing::warn!(run = %self.claimed.run.id, %error, "the agent's secrets were not read; shapes alone are taken out");
                self.runs.core.scrubber.clone()
            }
        }
    }

    /// What the processes and futures of the run used of the wall clock.
    fn used(&self) -> Duration {
        Duration::from_millis(self.claimed.run.clock_ms) + self.begun.elapsed()
    }

    fn facts(&self, after_stop: bool) -> Facts {
        Facts {
            exit: None,
            usage: ResourceUsage::default(),
            clock_ms: u64::try_from(self.used().as_millis()).unwrap_or(u64::MAX),
            spawns: 0,
            segments_completed: 0,
            segment_current: None,
            elided_bytes: 0,
            after_stop,
            strays: 0,
            alive: 0,
            isolation: "off".to_owned(),
            formats: BTreeMap::new(),
            stream: None,
            reports: None,
        }
    }
}

fn failed(reason: FailReason, message: Scrubbed) -> Outcome {
    Outcome::Failed {
        reason,
        permanent: false,
        retry_at: None,
        message,
        hint: None,
    }
}
