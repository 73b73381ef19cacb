//! Events of a stream, as the session's machine takes them.

use dormouse_secrets::Scrubber;
use dormouse_state::{
    CallId, Completion, Confidence, Event, Evidence, Step as StateStep, TodoItem, TodoStatus,
};

use super::event::{Class, PlanItem, Seen, Source, Step, TurnEnd, TurnFinished, What};

/// What a session is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionEvent {
    /// What happened.
    pub event: Event,
    /// How well it is known.
    pub evidence: Evidence,
    /// Whether a new turn begins with it.
    pub starts_turn: bool,
    /// Whether a subagent did it.
    pub subagent: bool,
}

/// What the session is told of an event of its run's stream; of some, nothing. Texts are scrubbed here.
#[must_use]
pub fn session_event(seen: &Seen, scrubber: &Scrubber) -> Option<SessionEvent> {
    let evidence = match seen.evidence {
        Source::Stream | Source::Log => Evidence::Formal,
        Source::Text => Evidence::Inferred(Confidence::Medium),
    };
    let event = match &seen.what {
        What::Bound { .. } => Event::SessionStarted,
        What::TurnStarted | What::Message { .. } | What::Thought { .. } => Event::Thinking,
        What::TurnFinished(finished) => return of_turn(finished, evidence, scrubber),
        What::ToolStarted { id, .. } => working(id, StateStep::Started),
        What::ToolFinished { id, .. } => working(id, StateStep::Finished),
        What::Plan { items } => Event::TodoUpdated {
            items: items.iter().map(|item| todo(item, scrubber)).collect(),
        },
        What::Denied { call, tool, .. } => Event::PermissionDenied {
            tool: scrubber.scrub(tool.as_deref().unwrap_or("unknown")).into_string(),
            call: call.as_deref().map(CallId::new),
        },
        What::Compaction { step, .. } => Event::Compaction(match step {
            Step::Started => StateStep::Started,
            Step::Finished => StateStep::Finished,
        }),
        // Gates are told by whoever asks a person; the rest says nothing of the session.
        What::ToolProgress { .. }
        | What::FileChanged { .. }
        | What::GateRequested { .. }
        | What::GateWithdrawn { .. }
        | What::Usage(_)
        | What::RateLimited { .. }
        | What::Retrying { .. }
        | What::Subagent { .. }
        | What::Warning { .. }
        | What::Unknown { .. }
        | What::StreamEnded { .. } => return None,
    };
    Some(SessionEvent {
        event,
        evidence,
        starts_turn: matches!(seen.what, What::TurnStarted),
        subagent: seen.parent.is_some(),
    })
}

fn of_turn(turn: &TurnFinished, evidence: Evidence, scrubber: &Scrubber) -> Option<SessionEvent> {
    let event = match turn.how {
        TurnEnd::Ok | TurnEnd::Limit(_) => Event::TurnCompleted(Completion::Completed),
        TurnEnd::Cancelled => Event::TurnCompleted(Completion::Interrupted),
        TurnEnd::Deferred => return None,
        TurnEnd::Failed | TurnEnd::Refused => Event::Errored {
            reason: turn.class.map_or("failed", word).to_owned(),
            text: scrubber
                .scrub(turn.text.as_deref().unwrap_or_default())
                .into_string(),
        },
    };
    // That the turn ended is a fact; why it failed may be read from words.
    let evidence = match turn.how {
        TurnEnd::Failed if turn.class == Some(Class::PermissionDenied) => evidence,
        _ => Evidence::Formal,
    };
    Some(SessionEvent {
        event,
        evidence,
        starts_turn: false,
        subagent: false,
    })
}

fn word(class: Class) -> &'static str {
    match class {
        Class::Auth => "auth",
        Class::Billing => "billing",
        Class::RateLimited => "rate_limited",
        Class::Overloaded => "overloaded",
        Class::ContextOverflow => "context_overflow",
        Class::BadRequest => "bad_request",
        Class::Refused => "refused",
        Class::PermissionDenied => "permission_denied",
    }
}

fn working(id: &str, step: StateStep) -> Event {
    Event::Working {
        call: Some(CallId::new(id)),
        step,
    }
}

fn todo(item: &PlanItem, scrubber: &Scrubber) -> TodoItem {
    let status = match item.status.as_str() {
        "completed" => TodoStatus::Completed,
        "in_progress" | "inProgress" => TodoStatus::InProgress,
        _ => TodoStatus::Pending,
    };
    TodoItem {
        text: scrubber.scrub(&item.text).into_string(),
        status,
    }
}
