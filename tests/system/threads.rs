//! Threads, as they are used at a terminal.

use crate::home::Home;

/// What a command printed that succeeded.
#[track_caller]
pub(crate) fn ok<const N: usize>(home: &Home, words: [&str; N]) -> String {
    home.dormouse(words).exits(0).stdout.clone()
}

#[test]
fn a_conversation_is_begun_said_into_shown_and_taken_elsewhere() {
    let home = Home::new();
    ok(&home, ["agent", "add", "alice"]);
    let thread = ok(&home, ["thread", "add", "--agent", "alice"]);
    let thread = thread.trim();
    let posted = ok(&home, ["thread", "post", thread, "what is left?", "--", "cat"]);
    let fields: Vec<&str> = posted.trim().split('\t').collect();
    assert_eq!(fields[1..3], ["1", "submitted"]);
    let task = fields[3];
    assert!(task.starts_with("tsk_"));
    assert_eq!(
        ok(&home, ["run", task]).trim(),
        "what is left?",
        "its worker reads it"
    );

    let shown = ok(&home, ["thread", "show", thread]);
    assert!(
        shown.contains("what is left?") && shown.contains("submitted"),
        "{shown}"
    );
    assert_eq!(home.items("thread list").len(), 1);
    let exported = ok(&home, ["thread", "export", thread]);
    let first: serde_json::Value = serde_json::from_str(exported.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["text"], &first["kind"]),
        (&"what is left?".into(), &"user".into())
    );

    ok(&home, ["thread", "redact", thread, "1", "--yes"]);
    assert!(!ok(&home, ["thread", "export", thread]).contains("what is left?"));
    ok(&home, ["thread", "close", thread]);
    ok(&home, ["thread", "delete", thread, "--yes"]);
    assert!(home.items("thread list").is_empty());
}
