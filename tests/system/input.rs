//! What users mistype: a clear error, the exit code of the table, and no change.

use crate::home::Home;

#[test]
fn an_id_of_another_kind_is_refused_and_named() {
    let home = Home::new();
    home.type_line("run --agent alice -- true").exits(0);
    let run = home.items("runs list")[0]["id"].as_str().unwrap().to_owned();
    let task = home.items("task list")[0]["id"].as_str().unwrap().to_owned();
    home.type_line(&format!("task show {run}"))
        .exits(2)
        .errs(&[&run, "tsk_"]);
    home.type_line(&format!("runs show {task}"))
        .exits(2)
        .errs(&[&task, "run_"]);
}

#[test]
fn an_id_that_nothing_has_is_not_found() {
    let home = Home::new();
    let id = format!("run_{}", "0198c0de7f3a7c11a2b3c4d5e6f70819");
    home.type_line(&format!("runs show {id}"))
        .exits(3)
        .errs(&[&id])
        .hints();
}

#[test]
fn a_duration_below_its_bounds_is_refused_before_anything_happens() {
    let home = Home::new();
    for bad in ["0s", "-1s", "0", "soon", "61y", "NaN"] {
        let ran = home.dormouse([
            "run",
            "--agent",
            "alice",
            &format!("--timeout={bad}"),
            "--",
            "true",
        ]);
        ran.exits(2).errs(&["timeout"]);
    }
    assert_eq!(home.items("agent list").len(), 0, "no agent was made");
}

#[test]
fn an_unknown_word_gets_the_nearest() {
    let home = Home::new();
    home.type_line("tsak list").exits(2).errs(&["tsak", "task"]);
    home.type_line("run --agnet alice -- true")
        .exits(2)
        .errs(&["--agent"]);
}

#[test]
fn names_that_are_no_names_are_refused() {
    let home = Home::new();
    for bad in ["..", "a/b", "a\nb", "Alice", &"a".repeat(64)] {
        home.dormouse(["agent", "add", bad]).exits(2).errs(&[]);
    }
    assert_eq!(home.items("agent list").len(), 0);
}

#[test]
fn an_error_with_json_is_one_problem_document() {
    let home = Home::new();
    let ran = home.type_line("runs show run_0198c0de7f3a7c11a2b3c4d5e6f70819 -o json");
    ran.exits(3);
    assert_eq!(ran.stdout, "");
    let problem: serde_json::Value =
        serde_json::from_str(&ran.stderr).expect("standard error is one document");
    assert_eq!(problem["status"], 404, "{problem:#}");
    assert_eq!(problem["type"], "urn:dormouse:problem:not_found", "{problem:#}");
}
