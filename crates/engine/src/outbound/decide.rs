//! What an attempt at a call came to, and what follows.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{BACKOFF_FIRST, BACKOFF_MAX, Options, retry_after};

/// Whether a call may happen twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// It must not.
    Never,
    /// It does no harm: it reads, or sets what is set.
    Harmless,
    /// It carries a key by which who is called does it once.
    Keyed,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Nothing was sent: no connection, no name, no handshake.
    NotSent,
    /// It was sent, or may have been, and nobody answered.
    Unanswered,
    /// It was answered.
    Status {
        /// The HTTP status.
        status: u16,
        /// The header `Retry-After`, as it came.
        retry_after: Option<String>,
    },
}

/// What was tried by now, this attempt included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct So {
    /// How often, from 1.
    pub attempts: u32,
    /// For how long.
    pub elapsed: Duration,
    /// Whether an attempt before this one was sent and not answered.
    pub was_unanswered: bool,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It was done.
    Done,
    /// It is tried again after this.
    Again {
        /// How long to wait.
        wait: Duration,
    },
    /// It is not tried again before this, which is beyond the deadline.
    Later {
        /// When.
        at: Timestamp,
    },
    /// It was not done.
    GivenUp(Why),
    /// It may have been done. Nobody sends it again, by any channel.
    Unknown,
}

/// Why a call was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It was answered so, and is answered so again.
    Refused(u16),
    /// It was tried as often as it may be.
    Attempts,
    /// It took as long as it may.
    Deadline,
}

/// What follows from an attempt. `drawn` is any number; the wait is drawn by it, evenly, from nothing to the whole backoff.
///
/// ```
/// use std::time::Duration;
/// use dormouse_engine::outbound::{Answer, Next, Options, Repeat, So, decide};
///
/// let now = "2026-11-27T03:00:00Z".parse()?;
/// let so = So { attempts: 1, elapsed: Duration::ZERO, was_unanswered: false };
/// let next = |repeat| decide(repeat, so, &Answer::Unanswered, now, 0, &Options::default());
/// assert_eq!(next(Repeat::Never), Next::Unknown);
/// assert_eq!(next(Repeat::Keyed), Next::Again { wait: Duration::ZERO });
/// # Ok::<(), jiff::Error>(())
/// ```
#[must_use]
pub fn decide(
    repeat: Repeat,
    so: So,
    answer: &Answer,
    now: Timestamp,
    drawn: u64,
    options: &Options,
) -> Next {
    let asked = match answer {
        Answer::Status {
            retry_after: value, ..
        } => value
            .as_deref()
            .and_then(|value| retry_after(value, now, options.retry_after_max)),
        Answer::NotSent | Answer::Unanswered => None,
    };
    match answer {
        Answer::Status { status, .. } if (200..400).contains(status) => return Next::Done,
        // Whatever came before: who is called says that it is not, and will not be.
        Answer::Status { status, .. } if !is_retried(*status, repeat) => {
            return Next::GivenUp(Why::Refused(*status));
        }
        Answer::Unanswered if repeat != Repeat::Keyed => return Next::Unknown,
        Answer::Status { .. } | Answer::Unanswered | Answer::NotSent => {}
    }
    let is_in_doubt = so.was_unanswered || *answer == Answer::Unanswered;
    let over = |why| {
        if is_in_doubt {
            Next::Unknown
        } else {
            Next::GivenUp(why)
        }
    };
    if so.attempts >= options.attempts_max {
        return over(Why::Attempts);
    }
    let backoff = backoff(so.attempts, drawn);
    let wait = asked.map_or(backoff, |asked| asked.max(backoff));
    if so.elapsed.saturating_add(wait) <= options.deadline {
        return Next::Again { wait };
    }
    match asked {
        Some(_) => Next::Later { at: after(now, wait) },
        None => over(Why::Deadline),
    }
}

fn is_retried(status: u16, repeat: Repeat) -> bool {
    match status {
        429 | 503 => true,
        500 | 502 | 504 => repeat != Repeat::Never,
        _ => false,
    }
}

/// Full jitter: what is drawn from doubles with each attempt.
fn backoff(attempts: u32, drawn: u64) -> Duration {
    let doubled = BACKOFF_FIRST.saturating_mul(1 << attempts.saturating_sub(1).min(16));
    let most = u64::try_from(doubled.min(BACKOFF_MAX).as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(drawn % (most + 1))
}

fn after(now: Timestamp, wait: Duration) -> Timestamp {
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now() -> Timestamp {
        "2026-11-27T03:00:00Z".parse().unwrap()
    }

    fn status(status: u16) -> Answer {
        Answer::Status {
            status,
            retry_after: None,
        }
    }

    fn first(repeat: Repeat, answer: &Answer) -> Next {
        let so = So {
            attempts: 1,
            elapsed: Duration::ZERO,
            was_unanswered: false,
        };
        decide(repeat, so, answer, now(), 250, &Options::default())
    }

    const AGAIN: Next = Next::Again {
        wait: Duration::from_millis(250),
    };

    #[test]
    fn each_answer_is_retried_as_the_page_says() {
        for repeat in [Repeat::Never, Repeat::Harmless, Repeat::Keyed] {
            let may = repeat != Repeat::Never;
            assert_eq!(first(repeat, &Answer::NotSent), AGAIN);
            for code in [429, 503] {
                assert_eq!(first(repeat, &status(code)), AGAIN, "{code}");
            }
            for code in [500, 502, 504] {
                let expected = if may {
                    AGAIN
                } else {
                    Next::GivenUp(Why::Refused(code))
                };
                assert_eq!(first(repeat, &status(code)), expected, "{code}");
            }
            for code in [400, 401, 404, 409, 422, 501] {
                assert_eq!(first(repeat, &status(code)), Next::GivenUp(Why::Refused(code)));
            }
            for code in [200, 204, 304] {
                assert_eq!(first(repeat, &status(code)), Next::Done);
            }
            let expected = if repeat == Repeat::Keyed {
                AGAIN
            } else {
                Next::Unknown
            };
            assert_eq!(first(repeat, &Answer::Unanswered), expected);
        }
    }

    #[test]
    fn what_was_once_unanswered_is_never_given_up_as_not_done() {
        let so = So {
            attempts: 4,
            elapsed: Duration::ZERO,
            was_unanswered: true,
        };
        let end = |answer| decide(Repeat::Keyed, so, &answer, now(), 0, &Options::default());
        assert_eq!(end(Answer::NotSent), Next::Unknown);
        assert_eq!(end(status(503)), Next::Unknown);
        assert_eq!(end(status(200)), Next::Done);
        assert_eq!(end(status(404)), Next::GivenUp(Why::Refused(404)));
    }

    proptest! {
        #[test]
        fn it_ends_and_no_wait_is_shorter_than_was_asked_for(
            drawn in any::<u64>(),
            attempts in 1u32..10,
            elapsed_ms in 0u64..70_000,
            asked in prop::option::of(0u64..200_000),
        ) {
            let so = So { attempts, elapsed: Duration::from_millis(elapsed_ms), was_unanswered: false };
            let answer = Answer::Status { status: 429, retry_after: asked.map(|asked| asked.to_string()) };
            let options = Options::default();
            match decide(Repeat::Never, so, &answer, now(), drawn, &options) {
                Next::Again { wait } => {
                    prop_assert!(attempts < options.attempts_max);
                    prop_assert!(so.elapsed + wait <= options.deadline);
                    prop_assert!(wait >= Duration::from_secs(asked.unwrap_or(0)));
                }
                Next::Later { at } => {
                    let asked = asked.expect("only who asks for it is called later").min(86_400);
                    prop_assert!(at >= now() + SignedDuration::from_secs(asked as i64));
                }
                Next::GivenUp(Why::Attempts) => prop_assert!(attempts >= options.attempts_max),
                Next::GivenUp(Why::Deadline) => prop_assert!(asked.is_none()),
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }
}
