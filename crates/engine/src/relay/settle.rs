//! What an answer of a sink makes of its cursor: one commit, under the lease of its relay.

use std::time::Duration;

use dormouse_filesystem::{Position, Record, Records, Version, Versioned};
use dormouse_secrets::Scrubbed;
use jiff::{SignedDuration, Timestamp};

use super::page::Next;
use super::table::{SinkEvent, decide};
use super::{DeadLetter, OnRefused, RelayCursor, Sent, Sink, SinkOptions, SinkState};
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::event::{Change, EventAt};
use crate::lease::{LeaseEvent, LeaseGuard, check};
use crate::limits::RELAY_ERROR_MAX;
use crate::{CommandError, Decision, Principal, SinkName, Subject};

/// What was sent, and what was answered.
pub(super) struct Answered<'a> {
    pub(super) sink: &'a dyn Sink,
    pub(super) next: &'a Next,
    pub(super) sent: &'a Sent,
    /// The log that was read.
    pub(super) incarnation: Option<Version>,
}

/// Writes down what was answered.
pub(super) async fn settle(
    core: &Core,
    guard: &LeaseGuard,
    answered: &Answered<'_>,
) -> Result<(), CommandError> {
    let by = Principal::engine();
    let done = core.command(&by, |mut draft| async move {
        let held = check(core, guard, LeaseEvent::Write, draft.now()).await?;
        held.stage_check(core, &mut draft);
        let rows = Records::<RelayCursor>::new(&core.space);
        // Somebody removed it meanwhile: it begins anew.
        let Some(read) = rows.get(guard.subject()).await? else {
            return Ok(Verdict::Nothing(()));
        };
        let mut cursor = RelayCursor::clone(&read);
        let mut settling = Settling {
            core,
            draft: &mut draft,
            cursor: &mut cursor,
            name: answered.sink.name(),
            options: answered.sink.options(),
        };
        settling.answer(answered.next, answered.sent).await?;
        cursor.incarnation = cursor.incarnation.or(answered.incarnation);
        replace(core, &mut draft, &read, cursor).await?;
        Ok(Verdict::Commit(draft, ()))
    });
    done.await.map(|done| done.answer)
}

pub(super) async fn replace(
    core: &Core,
    draft: &mut Draft,
    read: &Versioned<RelayCursor>,
    cursor: RelayCursor,
) -> Result<RelayCursor, CommandError> {
    // It never goes back, unless to the beginning of another log.
    let is_of_another = read.incarnation.is_some() && cursor.incarnation != read.incarnation;
    let least = if is_of_another {
        Position::START
    } else {
        read.after
    };
    let cursor = RelayCursor {
        after: cursor.after.max(least),
        updated_at: draft.now(),
        op: draft.op(),
        ..cursor
    };
    let rows = Records::<RelayCursor>::new(&core.space);
    rows.stage_replace(draft.batch(), read, &cursor).await?;
    Ok(cursor)
}

struct Settling<'a> {
    core: &'a Core,
    draft: &'a mut Draft,
    cursor: &'a mut RelayCursor,
    name: &'a SinkName,
    options: &'a SinkOptions,
}

impl Settling<'_> {
    async fn answer(&mut self, next: &Next, sent: &Sent) -> Result<(), CommandError> {
        match sent {
            Sent::Taken => self.took(next.through),
            Sent::Refused { taken, reason } => match next.events.get(*taken) {
                Some(refused) => self.refused(next, *taken, refused, reason).await?,
                None => self.took(next.through),
            },
            Sent::Unknown { reason, retry_after } => self.failed(next, reason, *retry_after).await?,
            Sent::Gone { reason } => {
                if self.apply(SinkEvent::Gone) {
                    self.tell_disabled(reason)?;
                }
            }
        }
        Ok(())
    }

    /// It has everything up to here.
    fn took(&mut self, through: Position) {
        self.apply(SinkEvent::Taken);
        self.cursor.after = through;
        self.forget_failures();
    }

    async fn refused(
        &mut self,
        next: &Next,
        taken: usize,
        refused: &EventAt,
        reason: &Scrubbed,
    ) -> Result<(), CommandError> {
        let last = taken.checked_sub(1).map(|last| next.events[last].position);
        self.cursor.after = last.unwrap_or(next.before).max(self.cursor.after);
        let policy = self.options.on_refused;
        if !self.apply(SinkEvent::Refused(policy)) {
            return Ok(());
        }
        match policy {
            OnRefused::Disable => self.tell_disabled(reason),
            OnRefused::DeadLetter => self.lay_apart(refused, reason).await,
        }
    }

    async fn failed(
        &mut self,
        next: &Next,
        reason: &Scrubbed,
        retry_after: Option<Duration>,
    ) -> Result<(), CommandError> {
        if !self.apply(SinkEvent::Failed) {
            return Ok(());
        }
        let attempts = self.cursor.attempts.saturating_add(1);
        let wait = self.delay(attempts, retry_after);
        self.cursor.attempts = attempts;
        self.cursor.next_attempt_at = Some(later(self.draft.now(), wait));
        self.cursor.last_error = Some(short(reason));
        if self.options.attempts_max.is_none_or(|max| attempts < max) {
            return Ok(());
        }
        let policy = self.options.on_refused;
        self.apply(SinkEvent::UsedUp(policy));
        match (policy, next.events.first()) {
            (OnRefused::DeadLetter, Some(first)) => self.lay_apart(first, reason).await,
            _ => self.tell_disabled(reason),
        }
    }

    /// Whether it applies; the state is what it becomes.
    fn apply(&mut self, event: SinkEvent) -> bool {
        match decide(self.cursor.state, event) {
            Decision::Apply(state) => {
                self.cursor.state = state;
                true
            }
            Decision::Same => true,
            Decision::Ignore(_) | Decision::Reject(_) => false,
        }
    }

    fn forget_failures(&mut self) {
        self.cursor.attempts = 0;
        self.cursor.next_attempt_at = None;
        self.cursor.last_error = None;
    }

    /// The event lies apart in the commit that passes it.
    async fn lay_apart(&mut self, event: &EventAt, reason: &Scrubbed) -> Result<(), CommandError> {
        let letter = DeadLetter {
            sink: self.name.clone(),
            position: event.position,
            event: serde_json::to_value(event).expect("an event is plain data"),
            reason: short(reason),
            at: self.draft.now(),
            op: self.draft.op(),
        };
        let rows = Records::<DeadLetter>::new(&self.core.space);
        // A sink of the name may have been removed, and its letters stay: it refused the same before.
        match rows.get(&letter.id()).await? {
            None => rows.stage_create(self.draft.batch(), &letter)?,
            Some(before) => rows.stage_replace(self.draft.batch(), &before, &letter).await?,
        }
        self.cursor.after = event.position;
        self.forget_failures();
        // Two sinks that refuse what is told of sinks would tell it of each other for ever.
        if event.event.kind.starts_with("sink.") {
            return Ok(());
        }
        let change = Change::SinkDeadLettered {
            position: event.position.get(),
            event: Some(event.event.id),
            reason: letter.reason,
        };
        self.draft.tell(&self.cursor.about(), &change)
    }

    fn tell_disabled(&mut self, reason: &Scrubbed) -> Result<(), CommandError> {
        self.cursor.next_attempt_at = None;
        self.cursor.last_error = Some(short(reason));
        let change = Change::SinkDisabled {
            after: self.cursor.after.get(),
            reason: short(reason),
        };
        self.draft.tell(&self.cursor.about(), &change)
    }

    /// Twice as long each time, half of it by chance; or as long as the sink said.
    fn delay(&self, attempts: u32, retry_after: Option<Duration>) -> Duration {
        let factor = 1_u32.checked_shl(attempts - 1).unwrap_or(u32::MAX);
        let ceiling = self.options.delay_min.saturating_mul(factor);
        let ceiling = ceiling.min(self.options.delay_max);
        if let Some(said) = retry_after {
            return said.min(self.options.delay_max);
        }
        let half = u64::try_from(ceiling.as_millis() / 2).unwrap_or(u64::MAX / 2);
        ceiling / 2 + Duration::from_millis(self.core.environment.random.up_to(half))
    }
}

/// Writes that a filter left everything out up to a position: it was this relay that read as far, by its own filter.
pub(super) async fn pass_over(
    core: &Core,
    guard: &LeaseGuard,
    through: Position,
    incarnation: Option<Version>,
) -> Result<(), CommandError> {
    let by = Principal::engine();
    let done = core.command(&by, |mut draft| async move {
        let held = check(core, guard, LeaseEvent::Write, draft.now()).await?;
        held.stage_check(core, &mut draft);
        let rows = Records::<RelayCursor>::new(&core.space);
        let Some(read) = rows.get(guard.subject()).await? else {
            return Ok(Verdict::Nothing(()));
        };
        if through <= read.after {
            return Ok(Verdict::Nothing(()));
        }
        let cursor = RelayCursor {
            after: through,
            incarnation: read.incarnation.or(incarnation),
            ..RelayCursor::clone(&read)
        };
        replace(core, &mut draft, &read, cursor).await?;
        Ok(Verdict::Commit(draft, ()))
    });
    done.await.map(|done| done.answer)
}

/// Tells a sink nothing more that is where it was read; whether it was so.
pub(crate) async fn detach(
    core: &Core,
    consumer: &Subject,
    after: Position,
    reason: &'static str,
) -> Result<bool, CommandError> {
    let by = Principal::engine();
    let done = core.command(&by, |mut draft| async move {
        let rows = Records::<RelayCursor>::new(&core.space);
        let Some(read) = rows.get(consumer).await? else {
            return Ok(Verdict::Nothing(false));
        };
        // It went on meanwhile.
        if read.after != after {
            return Ok(Verdict::Nothing(false));
        }
        let Decision::Apply(state) = decide(read.state, SinkEvent::Behind) else {
            return Ok(Verdict::Nothing(false));
        };
        let cursor = RelayCursor {
            state,
            next_attempt_at: None,
            ..RelayCursor::clone(&read)
        };
        let change = Change::SinkDetached {
            after: after.get(),
            reason: reason.to_owned(),
        };
        draft.tell(&cursor.about(), &change)?;
        replace(core, &mut draft, &read, cursor).await?;
        Ok(Verdict::Commit(draft, true))
    });
    done.await.map(|done| done.answer)
}

/// Behind which position the earliest event comes that is kept, and in which log. What is said to go counts as gone; that no
/// more is said meanwhile is a condition of the draft, and whoever cuts looks for new cursors when it has said so.
pub(super) async fn earliest(
    core: &Core,
    draft: &mut Draft,
) -> Result<(Position, Option<Version>), CommandError> {
    let rows = Records::<RelayCursor>::new(&core.space);
    let sweep = sweep_of_events();
    let said = rows.get(&sweep).await?;
    // Behind what was said: a cut that is said later than this fails the draft.
    let head = core.events.head().await?;
    let kept = Position::new(head.first.get() - 1);
    let Some(said) = said else {
        rows.stage_absent(draft.batch(), &sweep)?;
        return Ok((kept, head.incarnation));
    };
    rows.stage_check(draft.batch(), &said);
    let is_of_this = said.incarnation == head.incarnation;
    let after = if is_of_this { kept.max(said.after) } else { kept };
    Ok((after, head.incarnation))
}

/// Whose cursor says what is to go of the events.
pub(crate) fn sweep_of_events() -> Subject {
    Subject::Sweep("events".parse().expect("it is a name"))
}

/// What a person wants of a sink: it waits, or goes on. The cursor as it is then.
pub(super) async fn set(
    core: &Core,
    by: &Principal,
    consumer: &Subject,
    event: SinkEvent,
) -> Result<RelayCursor, CommandError> {
    let done = core.command(by, |mut draft| async move {
        let rows = Records::<RelayCursor>::new(&core.space);
        let read = rows.get(consumer).await?;
        let Some(read) = read else {
            return Err(CommandError::not_found("sink", &consumer.id()));
        };
        let state = match decide(read.state, event) {
            Decision::Apply(state) => state,
            Decision::Same | Decision::Ignore(crate::Reason::Same) => {
                return Ok(Verdict::Nothing(read.into_inner()));
            }
            Decision::Ignore(reason) | Decision::Reject(reason) => {
                return Err(CommandError::Rejected {
                    subject: consumer.clone(),
                    state: read.state.word(),
                    event: event.word(),
                    reason,
                });
            }
        };
        let (mut after, mut incarnation) = (read.after, read.incarnation);
        if read.state == SinkState::Detached {
            // What it missed may be gone: it goes on with the earliest that is kept, of the log that is there.
            let (earliest, present) = earliest(core, &mut draft).await?;
            after = if incarnation == present {
                after.max(earliest)
            } else {
                earliest
            };
            incarnation = present;
        }
        let cursor = RelayCursor {
            state,
            after,
            incarnation,
            attempts: 0,
            next_attempt_at: None,
            ..RelayCursor::clone(&read)
        };
        let after = after.get();
        let change = match event {
            SinkEvent::Pause => Change::SinkPaused { after },
            _ => Change::SinkResumed { after },
        };
        draft.tell(&cursor.about(), &change)?;
        let cursor = replace(core, &mut draft, &read, cursor).await?;
        Ok(Verdict::Commit(draft, cursor))
    });
    done.await.map(|done| done.answer)
}

fn short(reason: &Scrubbed) -> Scrubbed {
    reason.clone().truncate_to(RELAY_ERROR_MAX)
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}
