//! The end of a turn, as the outcome is decided by it.

use dormouse_secrets::Scrubber;

use super::event::{Class, Limit, TurnEnd, TurnFinished};
use crate::outcome::{FailReason, PartialCause};
use crate::worker::classify::Finish;

/// What the end of the last turn says of the run. Its text is scrubbed here.
#[must_use]
pub fn finish(turn: &TurnFinished, scrubber: &Scrubber) -> Finish {
    let message = || scrubber.scrub(turn.text.as_deref().unwrap_or("no reason given"));
    match turn.how {
        TurnEnd::Ok => Finish::Whole,
        TurnEnd::Limit(Limit::Turns) => Finish::Part(PartialCause::MaxTurns),
        TurnEnd::Limit(Limit::Tokens) => Finish::Part(PartialCause::MaxTokens),
        TurnEnd::Limit(Limit::Budget) => Finish::Part(PartialCause::MaxBudget),
        TurnEnd::Refused => Finish::Refused(FailReason::Refused, message()),
        TurnEnd::Cancelled => Finish::Failed {
            permanent: false,
            retry_at: None,
            message: scrubber.scrub("the turn was called off"),
        },
        TurnEnd::Deferred => Finish::Refused(
            FailReason::GateUnavailable,
            scrubber.scrub("a call waits for a decision that cannot be brought to it"),
        ),
        TurnEnd::Failed => match turn.class {
            Some(Class::Auth) => Finish::Refused(FailReason::Auth, message()),
            Some(Class::Billing) => Finish::Refused(FailReason::Billing, message()),
            Some(Class::ContextOverflow) => Finish::Refused(FailReason::ContextOverflow, message()),
            Some(Class::BadRequest) => Finish::Refused(FailReason::BadRequest, message()),
            Some(Class::Refused) => Finish::Refused(FailReason::Refused, message()),
            Some(Class::PermissionDenied) => Finish::Refused(FailReason::PermissionDenied, message()),
            Some(Class::RateLimited) => Finish::RateLimited(turn.retry_at, message()),
            Some(Class::Overloaded) => Finish::Overloaded(message()),
            None => Finish::Failed {
                permanent: false,
                retry_at: None,
                message: message(),
            },
        },
    }
}
