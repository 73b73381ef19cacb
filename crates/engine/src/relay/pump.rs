//! One sink and one tenant: reads behind the cursor, sends, writes down what was answered.

use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::{LogCursor, LogHead, Position, Records, Version, Versioned};
use dormouse_secrets::Scrubbed;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::page::{self, Next};
use super::settle::{Answered, detach, pass_over, settle};
use super::{Delivery, Portion, RelayCursor, Sent, Sink, SinkState};
use crate::clock::until;
use crate::core::Core;
use crate::draft::Verdict;
use crate::event::Events;
use crate::lease::{LeaseGuard, give_back, renew, take_up};
use crate::limits::{
    RELAY_BATCH_MAX, RELAY_HELD_RETRY, RELAY_LINGER, RELAY_PASSED_MAX, RELAY_POLL, RELAY_TIMEOUT_MAX,
};
use crate::{CommandError, Principal, Subject};

/// What is left of a lease's time when it is renewed, beside the time that a sink has.
const SPARE: Duration = Duration::from_secs(5);
/// How long a store that does not answer is left alone.
const TROUBLE_RETRY: Duration = Duration::from_secs(5);

/// Sends the events of one tenant to one sink.
pub(super) struct Pump {
    core: Arc<Core>,
    events: Events,
    sink: Arc<dyn Sink>,
    consumer: Subject,
    guard: Option<LeaseGuard>,
    /// The log, once it has an entry.
    incarnation: Option<Version>,
    /// Up to here it was read, and what is behind the cursor left out.
    passed: Position,
    /// Since when that is unsaid, or nothing was sent.
    since: Instant,
    /// Another relays until then at least.
    others_until: Option<Instant>,
}

/// What comes next.
enum Step {
    /// There may be more.
    Again,
    /// Nothing before the next hint.
    Hinted,
    /// Nothing before so long, or the next hint.
    In(Duration),
}

impl Pump {
    pub(super) fn new(core: &Arc<Core>, sink: Arc<dyn Sink>) -> Self {
        Self {
            core: Arc::clone(core),
            events: Events::new(core),
            consumer: Subject::Relay(sink.name().clone()),
            sink,
            guard: None,
            incarnation: None,
            passed: Position::START,
            since: Instant::now(),
            others_until: None,
        }
    }

    /// Goes on until it is told to leave. Whatever it was at then is done by the next one.
    pub(super) async fn serve(mut self, mut rung: watch::Receiver<u64>, mut leaving: watch::Receiver<bool>) {
        // Ends when it is told to.
        loop {
            rung.borrow_and_update();
            let step = tokio::select! {
                biased;
                _ = leaving.wait_for(|leaves| *leaves) => break,
                step = self.step() => step,
            };
            let wait = match step {
                Ok(Step::Again) => continue,
                Ok(Step::Hinted) => self.poll(),
                Ok(Step::In(wait)) => Some(wait),
                Err(error) => {
                    tracing::warn!(tenant = %self.core.tenant, sink = %self.sink.name(), %error, "events were not relayed; it is tried again");
                    Some(TROUBLE_RETRY)
                }
            };
            tokio::select! {
                biased;
                _ = leaving.wait_for(|leaves| *leaves) => break,
                rang = rung.changed() => if rang.is_err() { break },
                () = after(wait) => {}
            }
        }
        if let Err(error) = self.rest().await {
            tracing::debug!(%error, "a relay left without giving its lease back");
        }
    }

    /// Another machine's commits come by hints that may be lost.
    fn poll(&self) -> Option<Duration> {
        (!self.core.is_exclusive).then_some(RELAY_POLL)
    }

    /// One batch at most.
    async fn step(&mut self) -> Result<Step, CommandError> {
        if let Some(until) = self.others_until.filter(|until| *until > Instant::now()) {
            return Ok(Step::In(until.saturating_duration_since(Instant::now())));
        }
        let Some(row) = self.row().await? else {
            return Ok(Step::Hinted);
        };
        match row.state {
            SinkState::Active => {}
            SinkState::BackingOff => {
                let now = self.core.environment.clock.now();
                let wait = row.next_attempt_at.map(|at| until(at, now)).unwrap_or_default();
                if !wait.is_zero() {
                    self.give_back().await?;
                    return Ok(Step::In(wait));
                }
            }
            SinkState::Paused | SinkState::Disabled | SinkState::Detached => {
                self.give_back().await?;
                return Ok(Step::Hinted);
            }
        }
        match self.read(&row).await {
            Ok(next) if next.events.is_empty() => self.nothing(&row, &next).await,
            Ok(next) => self.deliver(&row, next).await,
            Err(CommandError::ReplayGap { .. } | CommandError::CursorScope) => {
                detach(&self.core, &self.consumer, row.after, "gap").await?;
                Ok(Step::Again)
            }
            Err(error) => Err(error),
        }
    }

    /// The cursor, made if there is none; none while there is no event.
    async fn row(&mut self) -> Result<Option<Versioned<RelayCursor>>, CommandError> {
        let rows = Records::<RelayCursor>::new(&self.core.space);
        let read = rows.get(&self.consumer).await?;
        if let (Some(read), Some(_)) = (&read, self.incarnation)
            && read.filter == self.sink.options().filter
        {
            return Ok(Some(read.clone()));
        }
        if read.is_none() {
            self.passed = Position::START;
        }
        let head = self.core.events.head().await?;
        if head.incarnation.is_none() {
            return Ok(None);
        }
        self.incarnation = head.incarnation;
        self.begin(head).await.map(Some)
    }

    /// A new cursor begins with the earliest event that is kept.
    async fn begin(&self, head: LogHead) -> Result<Versioned<RelayCursor>, CommandError> {
        let (core, consumer) = (&*self.core, &self.consumer);
        let filter = &self.sink.options().filter;
        let by = Principal::engine();
        let done = core.command(&by, |mut draft| async move {
            let rows = Records::<RelayCursor>::new(&core.space);
            let Some(read) = rows.get(consumer).await? else {
                let cursor = RelayCursor {
                    consumer: consumer.clone(),
                    incarnation: head.incarnation,
                    after: Position::new(head.first.get() - 1),
                    filter: filter.clone(),
                    state: SinkState::Active,
                    attempts: 0,
                    next_attempt_at: None,
                    last_error: None,
                    created_at: draft.now(),
                    updated_at: draft.now(),
                    op: draft.op(),
                };
                rows.stage_create(draft.batch(), &cursor)?;
                return Ok(Verdict::Commit(draft, ()));
            };
            if read.filter == *filter {
                return Ok(Verdict::Nothing(()));
            }
            let cursor = RelayCursor {
                filter: filter.clone(),
                updated_at: draft.now(),
                op: draft.op(),
                ..RelayCursor::clone(&read)
            };
            rows.stage_replace(draft.batch(), &read, &cursor).await?;
            Ok(Verdict::Commit(draft, ()))
        });
        done.await?;
        let row = Records::<RelayCursor>::new(&core.space).get(consumer).await?;
        row.ok_or(CommandError::LOST_RACE)
    }

    async fn read(&mut self, row: &RelayCursor) -> Result<Next, CommandError> {
        if let Some(incarnation) = row.incarnation
            && Some(incarnation) != self.incarnation
        {
            // The log was moved from another store, or is another.
            let after = row.after;
            let head = self.core.events.head().await?;
            head.resume(LogCursor { incarnation, after })?;
        }
        let after = row.after.max(self.passed);
        let options = self.sink.options();
        let at_once = match options.portion {
            // One that is bad is found among the others.
            Portion::UpTo(_) if row.attempts > 0 => 1,
            Portion::UpTo(most) => most.clamp(1, RELAY_BATCH_MAX),
            Portion::Commit => usize::MAX,
        };
        page::next(&self.core, &self.events, &self.consumer, options, after, at_once).await
    }

    /// Nothing of what was read is wanted.
    async fn nothing(&mut self, row: &RelayCursor, next: &Next) -> Result<Step, CommandError> {
        if self.passed <= row.after && next.through > row.after {
            self.since = Instant::now();
        }
        self.passed = next.through.max(self.passed);
        let unsaid = self.passed.get().saturating_sub(row.after.get());
        if unsaid >= RELAY_PASSED_MAX {
            pass_over(&self.core, &self.consumer, self.passed, self.incarnation).await?;
        }
        if !next.is_end {
            return Ok(Step::Again);
        }
        if unsaid == 0 && self.guard.is_none() {
            return Ok(Step::Hinted);
        }
        let left = RELAY_LINGER.saturating_sub(self.since.elapsed());
        if left.is_zero() {
            self.rest().await?;
            return Ok(Step::Hinted);
        }
        Ok(Step::In(left))
    }

    async fn deliver(&mut self, row: &Versioned<RelayCursor>, next: Next) -> Result<Step, CommandError> {
        match self.hold().await? {
            Hold::Had => {}
            // Who had it before may have sent what was read: it is read again.
            Hold::Taken => return Ok(Step::Again),
            Hold::Others => {
                self.others_until = Some(Instant::now() + RELAY_HELD_RETRY);
                return Ok(Step::Again);
            }
        }
        let sent = self.send(row, &next).await;
        let answered = Answered {
            sink: &*self.sink,
            next: &next,
            sent: &sent,
            incarnation: self.incarnation,
        };
        let guard = self.guard.as_ref().expect("it holds the lease");
        if let Err(error) = settle(&self.core, guard, &answered).await {
            // It may be another's by now.
            self.guard = None;
            return Err(error);
        }
        self.since = Instant::now();
        Ok(Step::Again)
    }

    async fn hold(&mut self) -> Result<Hold, CommandError> {
        if let Some(guard) = &self.guard {
            let needed = self.given() + SPARE;
            if guard.stop_in() >= needed {
                return Ok(Hold::Had);
            }
            match renew(&self.core, guard).await {
                Ok(()) => return Ok(Hold::Had),
                Err(CommandError::Fenced { .. } | CommandError::LeaseExpired { .. }) => self.guard = None,
                Err(error) => return Err(error),
            }
        }
        self.guard = take_up(&self.core, &self.consumer).await?;
        Ok(if self.guard.is_some() {
            Hold::Taken
        } else {
            Hold::Others
        })
    }

    /// How long the sink has for a batch: no longer than its relay surely holds its lease.
    fn given(&self) -> Duration {
        let held_for = self.core.lease.self_stop * 2 / 3;
        self.sink.options().timeout.min(RELAY_TIMEOUT_MAX).min(held_for)
    }

    /// In a task of its own: a sink that panics or hangs does so alone.
    async fn send(&self, row: &RelayCursor, next: &Next) -> Sent {
        let delivery = Delivery {
            tenant: self.core.tenant.clone(),
            events: next.events.clone(),
            attempt: row.attempts.saturating_add(1),
        };
        let sink = Arc::clone(&self.sink);
        let mut sending = JoinSet::new();
        sending.spawn(async move { sink.send(&delivery).await });
        let unknown = |reason| Sent::Unknown {
            reason: Scrubbed::constant(reason),
            retry_after: None,
        };
        match timeout(self.given(), sending.join_next()).await {
            Ok(Some(Ok(sent))) => sent,
            Ok(Some(Err(_)) | None) => unknown("it panicked"),
            Err(_) => unknown("it did not answer in time"),
        }
    }

    /// Says what was left out, and gives the lease back.
    async fn rest(&mut self) -> Result<(), CommandError> {
        if self.passed > Position::START {
            pass_over(&self.core, &self.consumer, self.passed, self.incarnation).await?;
        }
        self.give_back().await
    }

    async fn give_back(&mut self) -> Result<(), CommandError> {
        match self.guard.take() {
            Some(guard) => give_back(&self.core, guard).await,
            None => Ok(()),
        }
    }
}

enum Hold {
    Had,
    Taken,
    Others,
}

async fn after(wait: Option<Duration>) {
    match wait {
        Some(wait) => sleep(wait).await,
        None => std::future::pending().await,
    }
}
