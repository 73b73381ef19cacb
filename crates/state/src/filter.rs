//! Which observed events are believed: eight filters, in this order.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    Event, Evidence, Ignored, Observed, Party, Phase, Rejected, Step,
    chart::Refusal,
    display::Display,
    snapshot::{SOURCES_MAX, Snapshot},
};

/// Late reports of work by other sources than the one that ended a turn are taken for work on that turn for
/// so long.
pub(crate) const STRAGGLER: Duration = Duration::from_secs(1);

/// What the filters say of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Not of this session, or read before: its position is not noted.
    Unread(Refusal),
    /// Read, and not believed.
    Dropped(Refusal),
    /// Believed.
    Passed,
}

/// Says whether `event`, which happened at `at`, is believed.
pub(crate) fn filter(state: &Snapshot, event: &Observed, at: Timestamp, now: Timestamp) -> Verdict {
    if event.incarnation != state.incarnation {
        return Verdict::Unread(Refusal::Rejected(Rejected::Incarnation));
    }
    if event.run != state.run {
        return Verdict::Unread(Refusal::Ignored(Ignored::StaleRun));
    }
    match state.sources.get(&event.source) {
        Some(mark) if event.position <= mark.position => {
            return Verdict::Unread(Refusal::Ignored(Ignored::Duplicate));
        }
        None if state.sources.len() >= SOURCES_MAX => {
            return Verdict::Unread(Refusal::Rejected(Rejected::Sources));
        }
        Some(_) | None => {}
    }
    match disbelief(state, event, at, now) {
        Some(why) => Verdict::Dropped(Refusal::Ignored(why)),
        None => Verdict::Passed,
    }
}

fn disbelief(state: &Snapshot, event: &Observed, at: Timestamp, now: Timestamp) -> Option<Ignored> {
    if event.subagent && !is_about_people(&event.event) {
        return Some(Ignored::Subagent);
    }
    let is_from_authority = is_turn_authority(state, event);
    if !is_from_authority && state.turn.started_at.is_some_and(|started| at < started) {
        return Some(Ignored::StaleTurn);
    }
    // A newer turn outranks everything: neither weaker nor a late report of the one before.
    if announces_turn(state, event) {
        return None;
    }
    if is_weaker(state, event, now) {
        return Some(Ignored::Weaker);
    }
    is_straggler(state, event, at).then_some(Ignored::Straggler)
}

fn is_about_people(event: &Event) -> bool {
    matches!(
        event,
        Event::AwaitingHuman { .. } | Event::PermissionDenied { .. }
    )
}

/// Whether the event begins a turn because its source says so, and is the one that may.
pub(crate) fn announces_turn(state: &Snapshot, event: &Observed) -> bool {
    event.starts_turn
        && event.evidence.is_formal()
        && is_progress(&event.event)
        && is_turn_authority(state, event)
}

/// Whether the turns of the session are those that this source announces: the engine's while a run is
/// bound, else those of the first formal source that announced one.
pub(crate) fn is_turn_authority(state: &Snapshot, event: &Observed) -> bool {
    match (&state.run, &state.turn_authority) {
        (Some(_), _) => false,
        (None, Some(authority)) => *authority == event.source,
        (None, None) => event.starts_turn && event.evidence.is_formal() && is_progress(&event.event),
    }
}

/// Thinking, working, compaction.
fn is_progress(event: &Event) -> bool {
    matches!(
        event,
        Event::Thinking | Event::Working { .. } | Event::Compaction(_)
    )
}

/// Whether it is inferred, what is known is formal, and it does not outrank that.
fn is_weaker(state: &Snapshot, event: &Observed, now: Timestamp) -> bool {
    if evidence_of(event).is_formal() || !state.evidence.is_formal() {
        return false;
    }
    match inferred_rank(state, &event.event) {
        // A stall lies over what is known and replaces none of it: where it may, the table says.
        Some(Display::Stalled) => false,
        Some(rank) => rank <= Display::of(state, now),
        None => true,
    }
}

/// What an inferred signal would show; none if a formal state is not moved by it.
fn inferred_rank(state: &Snapshot, event: &Event) -> Option<Display> {
    match event {
        Event::Thinking | Event::Compaction(Step::Finished) => Some(Display::Thinking),
        Event::Working { .. } => Some(Display::Working),
        Event::Compaction(Step::Started) => Some(Display::Summarizing),
        Event::Stalled { .. } => Some(Display::Stalled),
        Event::AwaitingHuman { blocking: true, .. } if state.run.is_none() => Some(Display::AwaitingHuman),
        Event::AwaitingHuman { .. }
        | Event::SessionStarted
        | Event::TurnCompleted(_)
        | Event::Errored { .. }
        | Event::Ended
        | Event::TodoUpdated { .. }
        | Event::PermissionDenied { .. } => None,
    }
}

/// How well an event is known: silence is always an inference.
pub(crate) fn evidence_of(event: &Observed) -> Evidence {
    match event.event {
        Event::Stalled { .. } if event.evidence.is_formal() => Evidence::Inferred(crate::Confidence::Medium),
        _ => event.evidence,
    }
}

fn is_straggler(state: &Snapshot, event: &Observed, at: Timestamp) -> bool {
    let is_ender = matches!(&state.turn.ended_by, Some(Party::Source(source)) if *source == event.source);
    let Some(ended_at) = state.turn.ended_at else {
        return false;
    };
    let until = ended_at.checked_add(STRAGGLER).unwrap_or(Timestamp::MAX);
    state.turn.phase == Phase::Over && is_progress(&event.event) && !is_ender && at <= until
}
