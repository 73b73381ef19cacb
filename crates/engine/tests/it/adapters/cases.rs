//! What ends a turn and what only looks so; what was used; what kind of failure.

use dormouse_engine::adapter::{
    Class, GateChoice, Options, Provider, Say, Stream, Tokens, ToolEnd, TurnEnd, What, permission,
};
use dormouse_engine::outcome::{FailReason, Outcome, PartialCause};
use jiff::Timestamp;
use serde_json::json;

use super::{now, outcome, play, play_fixture, whats};

fn ends(events: &[dormouse_engine::adapter::Seen]) -> usize {
    whats(events)
        .iter()
        .filter(|what| matches!(what, What::TurnFinished(_)))
        .count()
}

/// WK-32: what only looks like an end is none.
#[test]
fn what_only_looks_like_an_end_ends_no_turn() {
    let none: &[(Provider, &[&str])] = &[
        (Provider::Codex, &[r#"{"type":"error","message":"x"}"#]),
        (
            Provider::Codex,
            &[r#"{"type":"item.completed","item":{"id":"i","type":"error","message":"x"}}"#],
        ),
        (
            Provider::CodexAppServer,
            &[r#"{"method":"error","params":{"error":{"message":"x"},"willRetry":true}}"#],
        ),
        (
            Provider::Gemini,
            &[r#"{"type":"error","severity":"error","message":"x"}"#],
        ),
        (
            Provider::Opencode,
            &[r#"{"type":"step_finish","part":{"id":"p","reason":"tool-calls"}}"#],
        ),
        (
            Provider::Codex,
            &[
                r#"{"type":"item.completed","item":{"id":"i","type":"command_execution","command":"false","exit_code":1,"status":"failed"}}"#,
            ],
        ),
        (
            Provider::Claude,
            &[
                r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t","is_error":true,"content":"x"}]}}"#,
            ],
        ),
        (
            Provider::Claude,
            &[r#"{"type":"system","subtype":"task_notification","task_id":"t","status":"completed"}"#],
        ),
        (
            Provider::Claude,
            &[r#"{"type":"system","subtype":"compact_boundary","compact_metadata":{}}"#],
        ),
        (
            Provider::Acp,
            &[
                r#"{"method":"session/update","params":{"update":{"sessionUpdate":"tool_call_update","toolCallId":"c","status":"failed"}}}"#,
            ],
        ),
    ];
    for (provider, lines) in none {
        let lines: Vec<_> = lines.iter().map(|line| (*line).to_owned()).collect();
        let played = play(*provider, &lines, Some(0));
        assert_eq!(ends(&played.events), 0, "{lines:?}");
        assert_eq!(played.stream.unknown(), 0, "{lines:?}");
    }
    // Of several results the last one counts, and a turn that has begun after one is not ended by it.
    let played = play_fixture("own/claude_subagent_compaction.jsonl", 0);
    assert_eq!(ends(&played.events), 2);
    assert_eq!(
        played.stream.last().unwrap().text.as_deref(),
        Some("Nothing is there.")
    );
    let lines = super::lines("own/claude_subagent_compaction.jsonl");
    assert!(
        play(Provider::Claude, &lines[..lines.len() - 1], Some(0))
            .stream
            .last()
            .is_none()
    );
}

/// WK-33: the word for success is read beside what contradicts it.
#[test]
fn claude_success_is_not_taken_by_its_word() {
    let failed = outcome(&play_fixture("own/claude_is_error.jsonl", 1));
    assert!(
        matches!(
            failed,
            Outcome::Failed {
                reason: FailReason::Auth,
                permanent: true,
                ..
            }
        ),
        "{failed:?}"
    );
    let Outcome::Partial {
        cause: PartialCause::MaxTurns,
        text: Some(text),
    } = outcome(&play_fixture("own/claude_max_turns.jsonl", 1))
    else {
        panic!("a limit with words is a part");
    };
    assert_eq!(text.as_str(), "Half of it is done.");
    let denied = play_fixture("own/claude_denials.jsonl", 0);
    assert!(matches!(outcome(&denied), Outcome::Success { .. }));
    assert_eq!(denied.stream.denials(), 1);
}

/// WK-34: a rejection at exit 0 is a failure, and a success without exit code is none of the command.
#[test]
fn exit_0_is_not_done_and_success_is_no_exit_code() {
    let rejected = outcome(&play_fixture("own/opencode_rejected.jsonl", 0));
    assert!(
        matches!(
            rejected,
            Outcome::Failed {
                reason: FailReason::PermissionDenied,
                permanent: true,
                ..
            }
        ),
        "{rejected:?}"
    );
    let cut = outcome(&play_fixture("own/opencode_rejected.jsonl", 1));
    assert!(
        matches!(
            cut,
            Outcome::Failed {
                reason: FailReason::StreamEnded,
                ..
            }
        ),
        "{cut:?}"
    );
    // The command of this recording left with 3.
    let played = play_fixture("gemini-0.61.0/shell.stream.jsonl", 0);
    let exits: Vec<_> = whats(&played.events)
        .into_iter()
        .filter_map(|what| match what {
            What::ToolFinished { how, exit_code, .. } => Some((*how, *exit_code)),
            _ => None,
        })
        .collect();
    assert_eq!(exits, [(ToolEnd::Ok, None)]);
}

fn used(provider: Provider, known: Vec<(String, Tokens)>, lines: &[&str]) -> Stream {
    let mut stream = Stream::new(provider, Options { tz: None, known });
    for line in lines {
        stream.line(now(), line.as_bytes());
    }
    stream
}

/// WK-35: the last value of a counter, less what it showed before; never a sum of events.
#[test]
fn usage_is_the_last_value_of_each_counter_less_what_it_showed_before() {
    let known = Tokens {
        input: 2400,
        ..Tokens::default()
    };
    let codex = used(
        Provider::Codex,
        vec![("t".to_owned(), known)],
        &[
            r#"{"type":"thread.started","thread_id":"t"}"#,
            r#"{"type":"turn.completed","usage":{"input_tokens":3600}}"#,
        ],
    );
    assert_eq!(codex.used().input, 1200);
    let result = |input: u64| {
        format!(
            r#"{{"type":"result","subtype":"success","total_cost_usd":0.5,"modelUsage":{{"m":{{"inputTokens":{input}}}}}}}"#
        )
    };
    let claude = used(Provider::Claude, Vec::new(), &[&result(100), &result(250)]);
    assert_eq!(
        (claude.used().input, claude.used().usd_micros),
        (250, Some(500_000))
    );
    let step = |id: &str| {
        format!(
            r#"{{"type":"step_finish","part":{{"id":"{id}","reason":"tool-calls","tokens":{{"input":7}}}}}}"#
        )
    };
    let opencode = used(
        Provider::Opencode,
        Vec::new(),
        &[&step("a"), &step("b"), &step("a")],
    );
    assert_eq!(opencode.used().input, 14);
    let turn = |input: u64| format!(r#"{{"type":"turn.completed","usage":{{"input_tokens":{input}}}}}"#);
    let fell = used(Provider::Codex, Vec::new(), &[&turn(50), &turn(20)]);
    assert_eq!(fell.used().input, 70, "a lower value is a new base");
    // Ids that begin anew with the next turn are other calls.
    let item = |event: &str, code: u64| {
        format!(
            r#"{{"type":"item.{event}","item":{{"id":"item_0","type":"command_execution","command":"x","exit_code":{code},"status":"completed"}}}}"#
        )
    };
    let again = used(
        Provider::Codex,
        Vec::new(),
        &[
            &item("started", 0),
            &item("completed", 0),
            &turn(1),
            &item("started", 0),
            &item("completed", 0),
        ],
    );
    assert_eq!(again.calls(), 2);
}

fn codex_failure(text: &str) -> (Option<Class>, Option<Timestamp>, Outcome) {
    let line = json!({"type": "turn.failed", "error": {"message": text}}).to_string();
    let played = play(Provider::Codex, &[line], Some(1));
    let last = played.stream.last().unwrap();
    (last.class, last.retry_at, outcome(&played))
}

fn permanent(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed { permanent: true, .. })
}

/// WK-37: a usage limit says until when, or a quarter of an hour; what no retry mends, and what passes.
#[test]
fn failures_have_the_class_that_their_words_say() {
    let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
    let (class, retry_at, said) =
        codex_failure("You've hit your usage limit. Try again at Nov 25th, 2026 3:05 PM.");
    assert_eq!(
        (class, retry_at),
        (Some(Class::RateLimited), at("2026-11-25T15:05:00Z"))
    );
    assert!(
        matches!(said, Outcome::Failed { reason: FailReason::RateLimited, permanent: false, retry_at, .. } if retry_at == at("2026-11-25T15:05:00Z"))
    );
    // A time of day is its next one: it is 17:20 now.
    assert_eq!(
        codex_failure("usage limit reached, try again at 5:30 PM.").1,
        at("2026-11-20T17:30:00Z")
    );
    assert_eq!(
        codex_failure("usage limit reached, try again at 3:05 PM.").1,
        at("2026-11-21T15:05:00Z")
    );
    assert_eq!(
        codex_failure("You've hit your usage limit.").1,
        at("2026-11-20T17:35:00Z")
    );
    for (text, reason) in [
        (
            "unexpected status 401 Unauthorized: Incorrect API key provided, url: http://127.0.0.1:429/",
            FailReason::Auth,
        ),
        (
            "Codex ran out of room in the model's context window.",
            FailReason::ContextOverflow,
        ),
        (
            r#"{"error":{"message":"no","type":"invalid_request_error","code":"unsupported_parameter"}}"#,
            FailReason::BadRequest,
        ),
    ] {
        let (_, retry_at, said) = codex_failure(text);
        assert!(
            matches!(said, Outcome::Failed { reason: found, .. } if found == reason),
            "{text}: {said:?}"
        );
        assert!(permanent(&said) && retry_at.is_none(), "{text}");
    }
    for text in [
        "We’re currently experiencing high demand.",
        "unexpected status 503 Service Unavailable",
    ] {
        let (class, _, said) = codex_failure(text);
        assert!(
            class == Some(Class::Overloaded) && !permanent(&said),
            "{text}: {said:?}"
        );
    }
    // An unknown failure is tried again.
    let (class, _, said) = codex_failure("the moon is full");
    assert!(class.is_none() && !permanent(&said));
}

#[test]
fn a_time_of_day_is_that_of_the_workers_zone() {
    let tz = jiff::tz::TimeZone::fixed(jiff::tz::offset(2));
    let mut stream = Stream::new(
        Provider::Codex,
        Options {
            tz: Some(tz),
            known: Vec::new(),
        },
    );
    let line = json!({"type": "turn.failed", "error": {"message": "usage limit, try again at 8:00 PM"}});
    stream.line(now(), line.to_string().as_bytes());
    assert_eq!(
        stream.last().unwrap().retry_at,
        Some("2026-11-20T18:00:00Z".parse().unwrap())
    );
}

/// WK-39: each of the two sides has ids of its own; an answer is the option whose kind fits, else none.
#[test]
fn acp_asks_and_is_answered_by_kind() {
    let played = play_fixture("own/acp_asks.jsonl", 0);
    let whats = whats(&played.events);
    // The agent asks under the id that our prompt has: a question, and no end of the turn.
    let asked = whats
        .iter()
        .position(|what| matches!(what, What::GateRequested { .. }))
        .unwrap();
    let begun = whats
        .iter()
        .position(|what| matches!(what, What::ToolStarted { id, .. } if id == "c1"))
        .unwrap();
    assert!(
        begun < asked,
        "a call that is asked about without its start begins: {whats:?}"
    );
    assert_eq!(ends(&played.events), 1);
    assert_eq!(played.stream.last().unwrap().how, TurnEnd::Cancelled);

    let option = |id: &str, kind: &str| GateChoice {
        id: id.to_owned(),
        kind: kind.to_owned(),
    };
    let no_reject = [option("always", "allow_always"), option("once", "allow_once")];
    let answer =
        |options: &[GateChoice], say| permission(&json!(0), options, say)["result"]["outcome"].clone();
    assert_eq!(
        answer(&no_reject, Say::Yes),
        json!({"outcome": "selected", "optionId": "once"})
    );
    assert_eq!(answer(&no_reject, Say::No), json!({"outcome": "cancelled"}));
    assert_eq!(answer(&no_reject, Say::Nothing), json!({"outcome": "cancelled"}));
    assert_eq!(
        answer(&no_reject[..1], Say::Yes),
        json!({"outcome": "cancelled"}),
        "one yes is not for ever"
    );
    let reject = [option("r", "reject_once")];
    assert_eq!(
        answer(&reject, Say::No),
        json!({"outcome": "selected", "optionId": "r"})
    );

    // A call that was not allowed and has no end ends with its turn.
    let mut stream = Stream::new(Provider::Acp, Options::default());
    let lines = super::lines("own/acp_asks.jsonl");
    let (last, before) = lines.split_last().unwrap();
    for line in before {
        stream.line(now(), line.as_bytes());
    }
    stream.answered("2", false);
    let said = stream.line(now(), last.as_bytes());
    assert!(
        matches!(&said[0].what, What::ToolFinished { id, how: ToolEnd::Denied, .. } if id == "c1"),
        "{said:?}"
    );
}
