use std::io;
use std::time::Duration;

use super::*;
use crate::outcome::ClockKind;

fn left(code: Option<i32>, signal: Option<i32>) -> Exit {
    Exit {
        code,
        signal,
        by_us: false,
        oom: false,
    }
}

fn end_by(code: i32, signalled: bool) -> End<'static> {
    End::Exited {
        exit: left(Some(code), None),
        signalled,
    }
}

fn observed(end: End<'_>) -> Observed<'_> {
    let codes = Codes {
        partial: &[75],
        permanent: &[126, 127],
    };
    Observed {
        block: None,
        stop: None,
        end,
        text: None,
        codes,
    }
}

fn said(text: &'static str) -> Scrubbed {
    Scrubbed::constant(text)
}

fn verdict(observed: &Observed<'_>) -> Verdict {
    classify(observed, &Scrubber::empty())
}

/// The variant, its class, whether it is permanent, whether it came after the stop.
fn brief(observed: &Observed<'_>) -> String {
    let Verdict { outcome, after_stop } = verdict(observed);
    let class = match &outcome {
        Outcome::Failed {
            reason, permanent, ..
        } => format!("{reason:?} permanent={permanent}"),
        Outcome::Partial { cause, .. } => format!("{cause:?}"),
        Outcome::Timeout { clock, limit_ms } => format!("{clock:?} {limit_ms}"),
        Outcome::Cancelled { by, .. } => format!("{by:?}"),
        Outcome::Success { .. } | Outcome::Blocked { .. } | Outcome::Lost { .. } => String::new(),
    };
    let after = if after_stop { "after_stop" } else { "" };
    [outcome.name(), &class, after].join(" ").trim().to_owned()
}

fn clock(clock: ClockKind) -> Stopped {
    Stopped::Clock(Expired {
        clock,
        limit: Duration::from_secs(1),
    })
}

fn by(who: CancelledBy) -> Stopped {
    Stopped::By(who, None)
}

fn check(row: u32, end: End<'_>, expected: &str) {
    assert_eq!(brief(&observed(end)), expected, "row {row}");
}

fn check_stopped(row: u32, stop: Stopped, end: End<'_>, expected: &str) {
    let observed = Observed {
        stop: Some(stop),
        ..observed(end)
    };
    assert_eq!(brief(&observed), expected, "row {row}");
}

#[test]
fn a_block_comes_before_every_other_row() {
    for (stop, end) in [
        (None, end_by(0, false)),
        (Some(by(CancelledBy::Principal)), End::KeeperLost),
    ] {
        let block = Some((BlockReason::LoginWall, None));
        assert_eq!(
            brief(&Observed {
                block,
                stop,
                ..observed(end)
            }),
            "blocked"
        );
    }
}

#[test]
fn what_finished_by_itself_before_our_signal_stands_though_a_stop_had_begun() {
    let wall = || clock(ClockKind::Wall);
    check_stopped(2, wall(), end_by(0, false), "success  after_stop");
    check_stopped(2, wall(), end_by(75, false), "partial Declared after_stop");
    check_stopped(2, wall(), End::Finished(Finish::Whole), "success  after_stop");
    check_stopped(
        2,
        wall(),
        End::Finished(Finish::Part(PartialCause::Declared)),
        "partial Declared after_stop",
    );
}

#[test]
fn an_exit_after_our_signal_is_no_success() {
    check_stopped(3, clock(ClockKind::Wall), end_by(0, true), "timeout Wall 1000");
    check_stopped(
        3,
        by(CancelledBy::Principal),
        end_by(75, true),
        "cancelled Principal",
    );
}

#[test]
fn nor_is_one_after_our_signal_to_leave_though_nobody_stopped_it() {
    for code in [0, 75, 126, 3] {
        check(9, end_by(code, true), "failed Abandoned permanent=false");
    }
}

#[test]
fn a_stop_is_the_outcome_whatever_else_went_wrong() {
    let hung = SpawnError::KeeperLost { keeper: "k".into() };
    check_stopped(3, clock(ClockKind::Idle), end_by(3, false), "timeout Idle 1000");
    check_stopped(
        3,
        clock(ClockKind::Wall),
        End::NotStarted(NotStarted::Spawn(&hung)),
        "timeout Wall 1000",
    );
    check_stopped(
        3,
        by(CancelledBy::Shutdown),
        End::StreamEnded,
        "cancelled Shutdown",
    );
    check_stopped(
        3,
        by(CancelledBy::AgentPause),
        End::KeeperLost,
        "cancelled AgentPause",
    );
}

#[test]
fn a_finished_turn_is_success_and_a_limit_with_text_is_partial() {
    check(4, End::Finished(Finish::Whole), "success");
    for (cause, expected) in [
        (PartialCause::MaxTurns, "partial MaxTurns"),
        (PartialCause::MaxTokens, "partial MaxTokens"),
        (PartialCause::MaxBudget, "partial MaxBudget"),
    ] {
        let text = Some(said("half of it"));
        let observed = Observed {
            text,
            ..observed(End::Finished(Finish::Part(cause)))
        };
        assert_eq!(brief(&observed), expected);
    }
    check(
        4,
        End::Finished(Finish::Part(PartialCause::MaxTurns)),
        "failed Worker permanent=false",
    );
}

#[test]
fn what_a_provider_refuses_is_permanent() {
    for (reason, expected) in [
        (FailReason::Refused, "failed Refused permanent=true"),
        (FailReason::Auth, "failed Auth permanent=true"),
        (FailReason::Billing, "failed Billing permanent=true"),
        (
            FailReason::ContextOverflow,
            "failed ContextOverflow permanent=true",
        ),
        (FailReason::BadRequest, "failed BadRequest permanent=true"),
        (
            FailReason::PermissionDenied,
            "failed PermissionDenied permanent=true",
        ),
    ] {
        check(5, End::Finished(Finish::Refused(reason, said("no"))), expected);
    }
}

#[test]
fn a_rate_limit_keeps_its_time_and_an_overload_is_tried_again() {
    let at: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let limited = observed(End::Finished(Finish::RateLimited(Some(at), said("slow down"))));
    let Outcome::Failed {
        reason: FailReason::RateLimited,
        permanent: false,
        retry_at: Some(found),
        ..
    } = verdict(&limited).outcome
    else {
        panic!("{:?}", verdict(&limited));
    };
    assert_eq!(found, at);
    check(
        6,
        End::Finished(Finish::Overloaded(said("busy"))),
        "failed Overloaded permanent=false",
    );
}

#[test]
fn a_stream_without_its_last_event_failed() {
    check(7, End::StreamEnded, "failed StreamEnded permanent=false");
}

#[test]
fn exit_codes_mean_what_the_profile_says() {
    check(8, end_by(0, false), "success");
    check(8, end_by(75, false), "partial Declared");
    check(8, end_by(127, false), "failed Exit permanent=true");
    check(8, end_by(3, false), "failed Exit permanent=false");
}

#[test]
fn a_signal_that_is_not_ours_failed_and_want_of_memory_is_named() {
    let end = |exit| End::Exited {
        exit,
        signalled: false,
    };
    check(9, end(left(None, Some(9))), "failed Signal permanent=false");
    let oom = observed(end(Exit {
        oom: true,
        ..left(None, Some(9))
    }));
    let Outcome::Failed { message, .. } = verdict(&oom).outcome else {
        panic!("it failed")
    };
    assert_eq!(
        message.as_str(),
        "ended by the kernel for want of memory (signal 9)"
    );
    check(9, End::KeeperLost, "failed KeeperLost permanent=false");
    check(9, End::Abandoned, "failed Abandoned permanent=false");
    check(
        9,
        end(Exit {
            by_us: true,
            ..left(None, Some(15))
        }),
        "failed Abandoned permanent=false",
    );
}

#[test]
fn a_panic_is_permanent() {
    check(
        10,
        End::Panicked(said("worker.rs:7")),
        "failed Panic permanent=true",
    );
}

#[test]
fn a_spawn_that_lacked_what_passes_is_tried_again_and_any_other_is_not() {
    for (errno, expected) in [
        (rustix::io::Errno::AGAIN, "failed Spawn permanent=false"),
        (rustix::io::Errno::NOMEM, "failed Spawn permanent=false"),
        (rustix::io::Errno::TXTBSY, "failed Spawn permanent=false"),
        (rustix::io::Errno::ACCESS, "failed Spawn permanent=true"),
        (rustix::io::Errno::NOENT, "failed Spawn permanent=true"),
    ] {
        let source = io::Error::from(errno);
        let error = SpawnError::Exec {
            program: "/bin/x".into(),
            source,
        };
        check(11, End::NotStarted(NotStarted::Spawn(&error)), expected);
    }
    let missing = SpawnError::NotFound {
        program: "x".into(),
        path: "/bin".into(),
    };
    check(
        11,
        End::NotStarted(NotStarted::Spawn(&missing)),
        "failed Spawn permanent=true",
    );
    let wall = SpawnError::IsolationUnavailable(crate::worker::isolation::IsolationUnavailable);
    check(
        11,
        End::NotStarted(NotStarted::Spawn(&wall)),
        "failed Isolation permanent=true",
    );
    for (locked, expected) in [
        (true, "failed SecretUnavailable permanent=false"),
        (false, "failed SecretUnavailable permanent=true"),
    ] {
        check(
            11,
            End::NotStarted(NotStarted::Secret {
                locked,
                message: said("KEY"),
            }),
            expected,
        );
    }
}

#[test]
fn an_error_says_what_to_do() {
    let missing = SpawnError::NotFound {
        program: "no-such".into(),
        path: "/bin".into(),
    };
    let seen = observed(End::NotStarted(NotStarted::Spawn(&missing)));
    let outcome = verdict(&seen).outcome;
    assert_eq!(
        outcome.failure(),
        Some((
            "the program `no-such` was not found on the worker's PATH (/bin)",
            Some("install it, or give its whole path; the worker's PATH is not yours")
        ))
    );
}

#[test]
fn a_hint_is_told_from_what_a_worker_says_and_found_in_rows_of_former_builds() {
    let failed = |reason: &str| {
        let row = format!(
            r#"{{"kind":"failed","reason":"{reason}","permanent":true,"message":"it is not there\nhint: install it"}}"#
        );
        serde_json::from_str::<Outcome>(&row).unwrap()
    };
    assert_eq!(
        failed("spawn").failure(),
        Some(("it is not there", Some("install it")))
    );
    let said = "it is not there\nhint: install it";
    assert_eq!(failed("worker").failure(), Some((said, None)));
    assert_eq!(failed("exit").failure(), Some((said, None)));
}
