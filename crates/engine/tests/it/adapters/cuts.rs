//! Streams that end too early.

use std::io::BufReader;

use dormouse_engine::adapter::rollout::{self, FIRST_LINE_MAX, ROLLOUT_MAX, Rollout};
use dormouse_engine::adapter::{Provider, Source, ToolEnd, What};
use dormouse_engine::outcome::{FailReason, Outcome};

use super::{fixtures, folder, lines, outcome, play, provider, whats};

/// WK-31: cut after any line before the terminal one, whatever the exit code, the stream has ended too early: the words so far are
/// kept, and each call that was open ends unknown.
#[test]
fn a_stream_cut_anywhere_ended_too_early() {
    let mut cuts = 0;
    for name in fixtures() {
        let (of, lines) = (provider(&name), lines(&name));
        let terminal =
            (1..=lines.len()).find(|end| play(of, &lines[..*end], Some(1)).stream.last().is_some());
        let Some(terminal) = terminal else { continue };
        for end in 0..terminal {
            for code in [0, 1, 143] {
                let played = play(of, &lines[..end], Some(code));
                let Outcome::Failed {
                    reason, permanent, ..
                } = outcome(&played)
                else {
                    panic!("{name} cut at {end} with {code} is {:?}", outcome(&played));
                };
                assert_eq!(
                    (reason, permanent),
                    (FailReason::StreamEnded, false),
                    "{name} at {end}"
                );
                check_open(&played, &format!("{name} at {end}"));
                cuts += 1;
            }
        }
        let said = play(of, &lines[..terminal - 1], Some(0));
        let has_words = whats(&said.events)
            .iter()
            .any(|what| matches!(what, What::Message { text, .. } if !text.is_empty()));
        let has_answer = lines[..terminal - 1].iter().any(|line| {
            line.contains("assistant") || line.contains("agent_message") || line.contains("agentMessage")
        });
        assert!(
            !(has_answer && has_words) || said.stream.text().is_some(),
            "{name} keeps its words"
        );
    }
    assert!(cuts > 200, "{cuts} cuts were tried");
}

/// The calls that were begun and had no end are those that the end names, each ended unknown just before.
fn check_open(played: &super::Played, about: &str) {
    let mut begun = Vec::new();
    for what in whats(&played.events) {
        match what {
            What::ToolStarted { id, .. } => begun.push(id.clone()),
            What::ToolFinished { id, how, .. } if *how != ToolEnd::Unknown => begun.retain(|open| open != id),
            What::StreamEnded { clean, open } => {
                assert!(!clean, "{about}");
                assert_eq!(*open, begun, "{about}");
            }
            _ => {}
        }
    }
}

#[test]
fn a_call_in_the_middle_of_which_the_worker_was_stopped_may_have_happened() {
    for name in ["codex-0.169.0/sleep_INT.jsonl", "codex-0.169.0/sleep_TERM.jsonl"] {
        let played = play(Provider::Codex, &lines(name), None);
        let ended = whats(&played.events);
        let is_unknown = |what: &&What| {
            matches!(
                what,
                What::ToolFinished {
                    how: ToolEnd::Unknown,
                    ..
                }
            )
        };
        assert_eq!(
            ended.iter().copied().filter(|what| is_unknown(what)).count(),
            1,
            "{name}"
        );
    }
}

fn look(thread: &str, text: &str) -> Rollout {
    rollout::read(thread, text.len() as u64, BufReader::new(text.as_bytes())).unwrap()
}

#[test]
fn a_rollout_tells_whether_its_last_turn_is_complete() {
    let text = std::fs::read_to_string(folder().join("codex-0.169.0/rollout_shell_trimmed.jsonl")).unwrap();
    let thread = "01a1f9f3-5a96-7803-affe-f003d3c409ab";
    assert_eq!(look(thread, &text), Rollout::Complete(Some("hello".to_owned())));
    // The same file, cut where the second turn has begun: what the first one ended with is not its end.
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    let begun = lines
        .iter()
        .rposition(|line| line.contains("task_started"))
        .unwrap();
    assert_eq!(look(thread, &lines[..=begun].concat()), Rollout::Open);
    assert_eq!(
        look(thread, &lines[..begun].concat()),
        Rollout::Complete(Some("The command exited with code 3.".to_owned()))
    );
    assert_eq!(look("another", &text), Rollout::NotIt);
}

#[test]
fn a_rollout_that_is_too_large_is_said_and_not_read() {
    let read = rollout::read("t", ROLLOUT_MAX + 1, BufReader::new(&b""[..])).unwrap();
    assert_eq!(read, Rollout::TooLarge);
    let long = format!(
        "{{\"type\":\"session_meta\",\"payload\":{{\"id\":\"t\",\"x\":\"{}\"}}}}\n",
        "x".repeat(FIRST_LINE_MAX as usize)
    );
    assert_eq!(look("t", &long), Rollout::NotIt);
    let mut stream = dormouse_engine::adapter::Stream::new(Provider::Codex, Default::default());
    let said = stream.logged(Rollout::TooLarge);
    assert!(
        matches!(
            &said[0].what,
            What::Warning {
                code: "rollout_too_large",
                ..
            }
        ),
        "{said:?}"
    );
    assert!(stream.last().is_none());
}

#[test]
fn a_cut_stream_whose_rollout_is_complete_is_done_by_the_log() {
    let mut played = play(
        Provider::Codex,
        &lines("codex-0.169.0/sleep_TERM.jsonl"),
        Some(143),
    );
    let said = played.stream.logged(Rollout::Complete(Some("done".to_owned())));
    assert_eq!(said[0].evidence, Source::Log);
    assert!(outcome(&played).is_success());
}
