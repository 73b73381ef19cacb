//! Tasks as they are typed: those that wait for others, those that are changed, and those that a run gives away.

use serde_json::json;

use crate::home::Home;

fn agent(home: &Home, name: &str) {
    home.type_line(&format!("agent add {name}")).exits(0);
}

#[test]
fn a_task_for_an_unknown_agent_makes_it_as_run_does() {
    let home = Home::new();
    let agents = || home.items("agent list").len();
    home.type_line("task add --agent alice --no-create -- true")
        .exits(3)
        .errs(&["alice"])
        .hints();
    assert_eq!((agents(), home.items("task list").len()), (0, 0));
    let made = home.type_line("task add --agent alice -- true");
    made.exits(0);
    assert!(made.stderr.contains("made agent alice"), "{made:?}");
    assert_eq!(home.json("task show 1")["agent"], json!("alice"));
    let again = home.type_line("task add --agent alice --no-create -- true");
    again.exits(0);
    assert!(!again.stderr.contains("made agent"), "{again:?}");
    home.type_line("task add --agent alcie -- true")
        .exits(3)
        .errs(&["alice"])
        .hints();
    assert_eq!((agents(), home.items("task list").len()), (1, 2));
}

/// What the command line says wrongly is found before anything is made.
#[test]
fn a_task_that_cannot_be_added_makes_no_agent() {
    let home = Home::new();
    let ran = home.type_line("task add --agent alice --title sheep --prompt @no-such-file");
    assert_ne!(ran.code(), Some(0), "{ran:?}");
    assert_eq!(home.items("agent list").len(), 0);
}

#[test]
fn a_task_that_waits_for_another_is_run_when_that_is_done() {
    let home = Home::new();
    agent(&home, "alice");
    home.type_line("task add --agent alice --title first -- true")
        .exits(0);
    home.type_line("task add --agent alice --title second --after #1 -- true")
        .exits(0);
    let second = home.json("task show 2");
    assert_eq!(
        (&second["state"], &second["after"]),
        (&json!("waiting"), &json!([home.json("task show 1")["id"]]))
    );
    let early = home.type_line(&format!("run {}", second["id"].as_str().unwrap()));
    assert_ne!(early.code(), Some(0), "{early:?}");
    home.type_line(&format!(
        "run {}",
        home.json("task show 1")["id"].as_str().unwrap()
    ))
    .exits(0);
    home.type_line(&format!("run {}", second["id"].as_str().unwrap()))
        .exits(0);
    let waited = home.type_line("task wait 1 2");
    waited.exits(0);
    assert_eq!(waited.stdout.lines().count(), 2, "{waited:?}");
}

#[test]
fn what_waits_for_a_task_that_was_called_off_does_as_it_says_and_wait_tells_the_first_that_was_not_done() {
    let home = Home::new();
    agent(&home, "alice");
    home.type_line("task add --agent alice --title first --approval")
        .exits(0);
    for on_failed in ["fail", "run", "cancel"] {
        let line = format!("task add --agent alice --title {on_failed} --after 1 --on-failed {on_failed}");
        home.type_line(&line).exits(0);
    }
    home.type_line("task refuse 1").exits(0);
    let states: Vec<String> = (1..=4)
        .map(|number| {
            home.json(&format!("task show {number}"))["state"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(states, ["cancelled", "failed", "ready", "cancelled"]);
    assert_eq!(home.type_line("task wait 2 4").code(), Some(1));
    assert_eq!(home.type_line("task wait 4 2").code(), Some(130));
}

#[test]
fn a_task_is_set_shelved_taken_up_and_deleted() {
    let home = Home::new();
    agent(&home, "alice");
    agent(&home, "bob");
    home.dormouse([
        "task",
        "add",
        "--agent",
        "alice",
        "--title",
        "one",
        "--prompt",
        "count the sheep",
        "--priority",
        "low",
    ])
    .exits(0);
    home.dormouse([
        "task",
        "set",
        "1",
        "--title",
        "two words",
        "--metadata",
        "ticket=17",
        "--metadata",
        "label=red",
    ])
    .exits(0);
    home.dormouse([
        "task",
        "set",
        "1",
        "--patch",
        r#"{"label":null,"more":{"a":[1]}}"#,
    ])
    .exits(0);
    let task = home.json("task show 1");
    assert_eq!(task["title"], "two words");
    assert_eq!(
        (&task["body"], &task["priority"]),
        (&json!("count the sheep"), &json!("low"))
    );
    assert_eq!(task["metadata"], json!({ "ticket": 17, "more": { "a": [1] } }));
    home.type_line("task set 1").exits(2);
    home.type_line("task set 1 --agent bob").exits(0);
    assert_eq!(
        home.type_line("task shelve #1").stdout.trim().split('\t').nth(1),
        Some("backlog")
    );
    home.type_line("task set 1 --not-before 2999-01-01T00:00:00Z")
        .exits(0);
    assert_eq!(
        home.type_line("task enqueue 1").stdout.trim().split('\t').nth(1),
        Some("waiting")
    );
    home.type_line("task set 1 --not-before any").exits(0);
    home.type_line("task delete 1").exits(2).errs(&["--yes"]);
    home.type_line("task delete 1 --yes").exits(0);
    home.type_line("task show 1").exits(3);
    home.type_line("task add --agent alice --title next --in 1h")
        .exits(0);
    assert_eq!(home.json("task show 2")["state"], "waiting");
}

#[test]
fn a_run_gives_a_task_away_and_to_nobody_it_may_not() {
    let home = Home::new();
    agent(&home, "bob");
    let script = "dormouse delegate alice --title mine --prompt 'count the sheep' && \
                  dormouse delegate bob --title theirs; echo $?; dormouse task list; echo $?";
    let ran = home.dormouse(["run", "--agent", "alice", "--", "sh", "-c", script]);
    ran.exits(0);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    let mine = home.json(&format!("task show {}", lines[0]));
    assert_eq!(
        (&mine["owner"], &mine["agent"]),
        (&json!("alice"), &json!("alice"))
    );
    assert_eq!(mine["body"], "count the sheep");
    assert_eq!(
        lines[1..],
        ["4", "4"],
        "bob is not named, and no other command works: {ran:?}"
    );
    let given = home.items(&format!(
        "task list --parent {}",
        mine["parent"].as_str().unwrap()
    ));
    assert_eq!(given.len(), 1);
    home.type_line("delegate bob --title x")
        .exits(2)
        .errs(&["not inside of one"]);
}

#[test]
fn a_run_waits_for_what_it_gave_away_and_takes_what_was_said() {
    let home = Home::new();
    agent(&home, "alice");
    let script = "dormouse delegate alice --title mine > id && cat id && dormouse delegate --result $(cat id); echo $?";
    let mut running = home.start(["run", "--agent", "alice", "--", "sh", "-c", script]);
    let id = running.line();
    home.type_line(&format!("task cancel {id}")).exits(0);
    assert_eq!(running.line(), "130");
    assert_eq!(running.wait(), Some(0));
    let events = home.type_line("events tail --from 0 --type delegation.*");
    assert!(events.stdout.contains("delegation.consumed"), "{events:?}");
}
