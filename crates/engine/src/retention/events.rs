//! Events go from the front of their log: those that are too old, or too many. None goes that a sink has yet to be told,
//! unless it is so far behind that it is detached.

use std::collections::HashMap;
use std::time::Duration;

use dormouse_filesystem::{LogHead, Position, Records, Versioned};
use jiff::Timestamp;

use super::Retention;
use super::sweep::{ago, later};
use crate::core::Core;
use crate::draft::Verdict;
use crate::event::{About, Change, EventFilter, Events, Truncation};
use crate::lease::{LeaseEvent, check, give_back, take_up};
use crate::limits::{RELAY_LAG_GRACE, SWEEP_EVENT_PAGES, SWEEP_EVENTS_EVERY, SWEEP_PAGE};
use crate::relay::{RelayCursor, SinkState, detach, live_of, sweep_of_events};
use crate::{CommandError, Principal, Subject};

/// Looks after the events of one tenant.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// When there is something to look at again; none before the first time.
    pub(super) due: Option<Timestamp>,
    /// Sinks that are too far behind: where they were when that was seen first, and when.
    behind: HashMap<Subject, (Position, Timestamp)>,
}

/// What a look at a log did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Cut {
    /// How many events went.
    pub(super) events: u64,
    /// How many sinks were detached.
    pub(super) detached: usize,
    /// Whether more is too old than one look cuts.
    pub(super) is_more: bool,
}

impl Log {
    /// Cuts what is to go, and says when to look again.
    pub(super) async fn look(
        &mut self,
        core: &std::sync::Arc<Core>,
        retention: &Retention,
    ) -> Result<Cut, CommandError> {
        let now = core.environment.clock.now();
        let events = Events::new(core);
        finish(core).await?;
        let head = core.events.head().await?;
        let mut cut = Cut::default();
        let kept_for = self.kept_for(core, &events, &head, retention, &mut cut).await?;
        let floor = kept_for.floor;
        let old = Old::find(core, &events, &head, retention, now).await?;
        let many = Position::new(head.next.get().saturating_sub(retention.events_max));
        let before = old.before.max(many).min(floor).min(head.next);
        if before > head.first {
            cut.events = truncate(core, &head, before).await?;
        }
        cut.is_more = old.is_more && floor > old.before;
        let by_age = old.oldest_left.map(|at| later(at, retention.events));
        let next = kept_for.due.min(later(now, by_number(&head, retention)));
        // What is too old already is held by a sink.
        let next = by_age.filter(|at| *at > now).map_or(next, |at| at.min(next));
        self.due = (!cut.is_more).then_some(next);
        Ok(cut)
    }

    /// What sinks have yet to be told. Those that are too far behind for longer are detached.
    async fn kept_for(
        &mut self,
        core: &Core,
        events: &Events,
        head: &LogHead,
        retention: &Retention,
        cut: &mut Cut,
    ) -> Result<KeptFor, CommandError> {
        let now = core.environment.clock.now();
        let mut kept = KeptFor {
            floor: head.next,
            due: Timestamp::MAX,
        };
        let mut behind = HashMap::new();
        for sink in live_of(core).await? {
            let consumer = sink.consumer.clone();
            let mut due = behind_at(core, events, head, &sink, retention, now).await?;
            if due <= now {
                let seen = self.behind.get(&consumer).filter(|(at, _)| *at == sink.after);
                let since = seen.map_or(now, |(_, since)| *since);
                if later(since, RELAY_LAG_GRACE) <= now
                    && detach(core, &consumer, sink.after, "behind").await?
                {
                    cut.detached += 1;
                    continue;
                }
                behind.insert(consumer, (sink.after, since));
                due = later(now, RELAY_LAG_GRACE);
            }
            kept.due = kept.due.min(due);
            kept.floor = kept.floor.min(sink.after.next());
        }
        self.behind = behind;
        Ok(kept)
    }
}

/// What events are kept for sinks.
struct KeptFor {
    /// The first position that one has yet to be told.
    floor: Position,
    /// When one may be too far behind.
    due: Timestamp,
}

/// In how long there may be too many events.
fn by_number(head: &LogHead, retention: &Retention) -> Duration {
    let count = head.next.get() - head.first.get();
    if count < retention.events_max / 10 {
        SWEEP_EVENTS_EVERY * 24
    } else if count < retention.events_max / 2 {
        SWEEP_EVENTS_EVERY
    } else {
        SWEEP_EVENTS_EVERY / 6
    }
}

/// When a sink is further behind than it may be, as far as is known.
async fn behind_at(
    core: &Core,
    events: &Events,
    head: &LogHead,
    sink: &RelayCursor,
    retention: &Retention,
    now: Timestamp,
) -> Result<Timestamp, CommandError> {
    let next = sink.after.next();
    if next < head.first {
        return Ok(now);
    }
    let at = if next < head.next {
        let logged = core.events.tail(sink.after, SWEEP_PAGE).await?;
        logged.iter().find_map(|logged| events.decoded(logged))
    } else {
        None
    };
    // It has all there is: what comes is not older than now.
    let since = at.map_or(now, |event| event.event.at);
    Ok(later(since, retention.lag_max))
}

/// The events that are too old.
#[derive(Debug)]
struct Old {
    /// The first position that is not.
    before: Position,
    /// When that was; none where it was not seen.
    oldest_left: Option<Timestamp>,
    /// Whether there may be more than were looked at.
    is_more: bool,
}

impl Old {
    async fn find(
        core: &Core,
        events: &Events,
        head: &LogHead,
        retention: &Retention,
        now: Timestamp,
    ) -> Result<Self, CommandError> {
        let mut old = Self {
            before: head.first,
            oldest_left: None,
            is_more: false,
        };
        let Some(limit) = ago(now, retention.events) else {
            return Ok(old);
        };
        // One is enough where nothing is old.
        let mut size = 1;
        for _ in 0..SWEEP_EVENT_PAGES {
            let page = core
                .events
                .tail(Position::new(old.before.get() - 1), size)
                .await?;
            if page.is_empty() {
                return Ok(old);
            }
            for logged in &page {
                // What is no event goes with those behind it.
                let Some(at) = events.decoded(logged).map(|event| event.event.at) else {
                    continue;
                };
                if at >= limit {
                    old.oldest_left = Some(at);
                    return Ok(old);
                }
                old.before = logged.position.next();
            }
            size = SWEEP_PAGE;
        }
        old.is_more = true;
        Ok(old)
    }
}

/// What a former process said it would cut, and did not.
async fn finish(core: &Core) -> Result<(), CommandError> {
    let said = Records::<RelayCursor>::new(&core.space)
        .get(&sweep_of_events())
        .await?;
    let Some(said) = said else { return Ok(()) };
    let head = core.events.head().await?;
    let before = said.after.next();
    let is_of_this = said.incarnation == head.incarnation;
    if is_of_this && before <= head.next {
        cut(core, &head, before).await?;
    }
    Ok(())
}

/// Cuts what was said, but for what a sink needs that came while it was said: one that comes now begins behind it. How many
/// went.
async fn cut(core: &Core, head: &LogHead, before: Position) -> Result<u64, CommandError> {
    let sinks = live_of(core).await?;
    let is_of_this = |sink: &&Versioned<RelayCursor>| sink.incarnation == head.incarnation;
    let needed = sinks
        .iter()
        .filter(is_of_this)
        .map(|sink| sink.after.next())
        .min();
    let before = needed.map_or(before, |needed| needed.min(before));
    if before <= head.first {
        return Ok(0);
    }
    core.events.truncate(before).await?;
    Ok(before.get() - head.first.get())
}

/// Says what goes, and cuts it. How many went.
async fn truncate(core: &Core, head: &LogHead, before: Position) -> Result<u64, CommandError> {
    let Some(guard) = take_up(core, &sweep_of_events()).await? else {
        return Ok(0);
    };
    let (by, held_by) = (Principal::engine(), &guard);
    let count = before.get() - head.first.get();
    let done = core.command(&by, |mut draft| async move {
        let held = check(core, held_by, LeaseEvent::Write, draft.now()).await?;
        held.stage_check(core, &mut draft);
        let rows = Records::<RelayCursor>::new(&core.space);
        let read = rows.get(&sweep_of_events()).await?;
        let cursor = RelayCursor {
            consumer: sweep_of_events(),
            incarnation: head.incarnation,
            after: Position::new(before.get() - 1),
            filter: EventFilter::default(),
            state: SinkState::Active,
            attempts: 0,
            next_attempt_at: None,
            last_error: None,
            created_at: read.as_ref().map_or(draft.now(), |read| read.created_at),
            updated_at: draft.now(),
            op: draft.op(),
        };
        match read {
            Some(read) => rows.stage_replace(draft.batch(), &read, &cursor).await?,
            None => rows.stage_create(draft.batch(), &cursor)?,
        }
        // No sink may have come since it was looked which there are, with less: its row would be new.
        for sink in live_of(core).await? {
            if sink.after.next() < before {
                return Ok(Verdict::Nothing(false));
            }
            stage_check(core, &mut draft, &sink);
        }
        let about = About {
            subject: sweep_of_events(),
            agent: None,
        };
        let first = before.get();
        draft.tell(&about, &Change::EventsTruncated(Truncation { first, count }))?;
        Ok(Verdict::Commit(draft, true))
    });
    let done = done.await;
    let gone = match done {
        Ok(done) if done.answer => cut(core, head, before).await,
        Ok(_) => Ok(0),
        Err(error) => {
            give_back(core, guard).await?;
            return Err(error);
        }
    };
    give_back(core, guard).await?;
    gone
}

/// A sink that is detached, and so could be resumed, meanwhile makes the cut a lost race.
fn stage_check(core: &Core, draft: &mut crate::Draft, sink: &Versioned<RelayCursor>) {
    Records::<RelayCursor>::new(&core.space).stage_check(draft.batch(), sink);
}
