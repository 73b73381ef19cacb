//! The rows of the table, each where it is decided.

use dormouse_secrets::{Scrubbed, Scrubber};

use super::{End, Finish, NotStarted, Observed, Stopped};
use crate::outcome::{Exit, FailReason, OUTCOME_TEXT_MAX, Outcome, PartialCause};

/// What to do where there is nothing to say to a provider.
const WORDS: &str = "give the task words (task add --prompt), or name a file (--stdin FILE)";

/// What to do where a worker is to be resumable that is not.
const EFFECTS: &str =
    "say of its agent what is so (agent set NAME effects=opaque), or of the task (--effects opaque)";

/// Row 1: a block, whatever else was seen.
pub(super) fn blocked(observed: &Observed<'_>) -> Option<Outcome> {
    let (reason, evidence) = observed.block.clone()?;
    Some(Outcome::Blocked { reason, evidence })
}

/// Rows 4 and 8 where they succeed, also after a stop had begun (row 2): the worker finished by itself. An exit
/// after our signal is none.
pub(super) fn finished(observed: &Observed<'_>) -> Option<Outcome> {
    let text = observed.text.clone();
    match &observed.end {
        End::Finished(Finish::Whole) => Some(Outcome::Success { text }),
        End::Finished(Finish::Part(PartialCause::Declared)) => Some(Outcome::Partial {
            cause: PartialCause::Declared,
            text,
        }),
        // A limit that was reached with nothing to show is no part of the work.
        End::Finished(Finish::Part(cause)) => text.map(|t| Outcome::Partial {
            cause: *cause,
            text: Some(t),
        }),
        End::Exited {
            exit,
            signalled: false,
        } => match exit.code? {
            0 => Some(Outcome::Success { text }),
            code if observed.codes.partial.contains(&code) => Some(Outcome::Partial {
                cause: PartialCause::Declared,
                text,
            }),
            _ => None,
        },
        End::Exited { .. }
        | End::Finished(_)
        | End::StreamEnded
        | End::KeeperLost
        | End::Abandoned
        | End::Panicked(_)
        | End::NotStarted(_) => None,
    }
}

/// Row 3.
pub(super) fn stopped(stop: &Stopped) -> Outcome {
    match stop {
        Stopped::By(by, reason) => Outcome::Cancelled {
            by: *by,
            reason: reason.clone(),
        },
        Stopped::Clock(expired) => Outcome::Timeout {
            clock: expired.clock,
            limit_ms: u64::try_from(expired.limit.as_millis()).unwrap_or(u64::MAX),
        },
    }
}

/// Rows 5 to 11 where they fail.
pub(super) fn failed(observed: &Observed<'_>, scrubber: &Scrubber) -> Outcome {
    match &observed.end {
        End::Finished(finish) => unfinished(finish),
        End::StreamEnded => fail(
            FailReason::StreamEnded,
            false,
            Scrubbed::constant("the stream ended without its last event"),
        ),
        // It was made to leave, and nobody stopped it: whoever had the run let go of it. What its code says is said too late.
        End::Exited { signalled: true, .. } => abandoned(),
        End::Exited {
            exit,
            signalled: false,
        } => left(exit, observed.codes.permanent, scrubber),
        End::KeeperLost => fail(
            FailReason::KeeperLost,
            false,
            Scrubbed::constant("the worker's keeper vanished"),
        ),
        End::Abandoned => abandoned(),
        End::Panicked(message) => fail(FailReason::Panic, true, message.clone()),
        End::NotStarted(why) => not_started(why, scrubber),
    }
}

/// Rows 5 and 6, and a limit that was reached with nothing to show.
fn unfinished(finish: &Finish) -> Outcome {
    match finish {
        Finish::Refused(reason, message) => fail(*reason, true, message.clone()),
        Finish::RateLimited(retry_at, message) => Outcome::Failed {
            reason: FailReason::RateLimited,
            permanent: false,
            retry_at: *retry_at,
            message: message.clone().truncate_to(OUTCOME_TEXT_MAX),
            hint: None,
        },
        Finish::Overloaded(message) => fail(FailReason::Overloaded, false, message.clone()),
        Finish::Failed {
            permanent,
            retry_at,
            message,
        } => Outcome::Failed {
            reason: FailReason::Worker,
            permanent: *permanent,
            retry_at: *retry_at,
            message: message.clone().truncate_to(OUTCOME_TEXT_MAX),
            hint: None,
        },
        Finish::Whole | Finish::Part(_) => fail(
            FailReason::Worker,
            false,
            Scrubbed::constant("a limit was reached with nothing to show"),
        ),
    }
}

/// Row 8 for codes that fail, row 9 for signals.
fn left(exit: &Exit, permanent: &[i32], scrubber: &Scrubber) -> Outcome {
    let say = |text: String| scrubber.scrub(&text);
    match (exit.code, exit.signal) {
        (Some(code), _) => fail(
            FailReason::Exit,
            permanent.contains(&code),
            say(format!("exited with code {code}")),
        ),
        // Killed by us, and nobody stopped it.
        (None, _) if exit.by_us => abandoned(),
        (None, Some(signal)) if exit.oom => fail(
            FailReason::Signal,
            false,
            say(format!(
                "ended by the kernel for want of memory (signal {signal})"
            )),
        ),
        (None, Some(signal)) => fail(
            FailReason::Signal,
            false,
            say(format!("ended by signal {signal}")),
        ),
        (None, None) => fail(
            FailReason::Signal,
            false,
            Scrubbed::constant("it is not known how it ended"),
        ),
    }
}

/// Row 11.
fn not_started(why: &NotStarted<'_>, scrubber: &Scrubber) -> Outcome {
    match why {
        NotStarted::Spawn(error) => {
            let hint = error.hint().map(Scrubbed::constant);
            let message = scrubber.scrub(&error.to_string());
            hinted(fail(error.fail_reason(), error.is_permanent(), message), hint)
        }
        NotStarted::Secret { locked, message } => {
            fail(FailReason::SecretUnavailable, !locked, message.clone())
        }
        NotStarted::Wordless(why) => hinted(
            fail(FailReason::Spawn, true, why.clone()),
            Some(Scrubbed::constant(WORDS)),
        ),
        NotStarted::Unresumable(why) => hinted(
            fail(FailReason::Spawn, true, why.clone()),
            Some(Scrubbed::constant(EFFECTS)),
        ),
        NotStarted::Environment(error) => fail(FailReason::Spawn, true, scrubber.scrub(&error.to_string())),
    }
}

/// Whoever had the run let go of it.
fn abandoned() -> Outcome {
    fail(
        FailReason::Abandoned,
        false,
        Scrubbed::constant("the run was abandoned"),
    )
}

fn fail(reason: FailReason, permanent: bool, message: Scrubbed) -> Outcome {
    Outcome::Failed {
        reason,
        permanent,
        retry_at: None,
        message: message.truncate_to(OUTCOME_TEXT_MAX),
        hint: None,
    }
}

/// A failure, and what to do about it.
fn hinted(mut outcome: Outcome, what: Option<Scrubbed>) -> Outcome {
    if let Outcome::Failed { hint, .. } = &mut outcome {
        *hint = what.map(|what| what.truncate_to(OUTCOME_TEXT_MAX));
    }
    outcome
}
