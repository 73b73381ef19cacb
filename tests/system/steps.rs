//! Durable steps of scripts: done once in the life of a task, whatever happens to the attempts at it.

use crate::gates::{id, terminals};
use crate::home::{Home, Ran};
use crate::process::{unique_sleep, until_count};

/// Runs a script of alice to its end.
fn run(home: &Home, script: &str) -> Ran {
    home.dormouse(["run", "--agent", "alice", "--", "sh", "-c", script])
}

/// The lines of a file in alice's workspace.
fn lines(home: &Home, file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(home.workspace("alice").join(file));
    text.unwrap_or_default().lines().map(str::to_owned).collect()
}

#[track_caller]
fn task(home: &Home) -> (String, String) {
    let task = home.items("task list").remove(0);
    let state = task["state"].as_str().unwrap().to_owned();
    (id(&task), state)
}

/// The next attempt at the latest task, by a person's word.
#[track_caller]
fn again(home: &Home) -> Ran {
    let (task, _) = task(home);
    home.type_line(&format!("task retry {task}")).exits(0);
    home.type_line(&format!("run {task}"))
}

#[test]
fn a_finished_step_prints_what_it_printed_and_is_not_run_again() {
    for terminals in terminals() {
        let home = &terminals.one;
        let script = "dormouse step draw -- sh -c 'echo drawn >> hat; echo one; printf two'; \
                      test -e again || { touch again; exit 1; }";
        let first = run(home, script);
        first.exits(1);
        assert_eq!(first.stdout, "one\ntwo");
        let second = again(home);
        second.exits(0);
        assert_eq!(second.stdout, "one\ntwo");
        assert_eq!(lines(home, "hat").len(), 1);
    }
}

/// Kills the owner while the step of this effect does its work, and gives back the task's state.
fn killed_in_a_step(home: &Home, effect: &str) -> String {
    let sleep = unique_sleep();
    let script = format!(
        "dormouse step pay --effect {effect} -- \
         sh -c 'echo \"$DORMOUSE_STEP_KEY\" >> {effect}; test -e {effect}.again || {{ touch {effect}.again; sleep {sleep}; }}'"
    );
    let running = home.start(["run", "--agent", "alice", "--", "sh", "-c", &script]);
    until_count(&sleep, 1);
    running.kill();
    task(home).1
}

/// ST-47, with `a_process_that_is_gone_in_a_step_repeats_what_may_be_and_nothing_else` on every backend
#[test]
fn killed_in_a_step_it_is_repeated_under_the_same_key_unless_it_is_external() {
    for terminals in terminals() {
        let home = &terminals.one;
        home.type_line("agent add alice").exits(0);
        home.type_line("agent set alice effects=repeatable").exits(0);
        for effect in ["pure", "idempotent"] {
            assert_eq!(killed_in_a_step(home, effect), "ready", "{effect}");
            home.type_line(&format!("run {}", task(home).0)).exits(0);
            let keys = lines(home, effect);
            assert_eq!(keys.len(), 2, "{effect}");
            assert!(keys[0].len() == 64 && keys[0] == keys[1], "{keys:?}");
        }
        assert_eq!(killed_in_a_step(home, "external"), "failed");
        assert_eq!(lines(home, "external").len(), 1, "it is not repeated by itself");
        let runs = home.items("runs list");
        assert_eq!(runs[0]["outcome"]["kind"], "lost", "{:#}", runs[0]);
        again(home).exits(0);
        assert_eq!(lines(home, "external").len(), 2, "a person said so");
    }
}

#[test]
fn what_an_agents_profile_says_of_effects_holds_for_its_commands() {
    let home = Home::new();
    home.type_line("agent add alice").exits(0);
    let sleep = unique_sleep();
    let killed = || {
        let running = home.start(["run", "--agent", "alice", "--", "sleep", &sleep]);
        until_count(&sleep, 2);
        running.kill();
        task(&home).1
    };
    assert_eq!(killed(), "failed", "what nobody saw is not repeated");
    home.type_line("agent set alice effects=repeatable").exits(0);
    assert_eq!(home.json("agent show alice")["effects"], "repeatable");
    assert_eq!(killed(), "ready");
    home.type_line("agent set alice effects=opaque").exits(0);
    assert_eq!(killed(), "failed");
    home.type_line("agent set alice effects=maybe").exits(2).hints();
}

#[test]
fn how_a_command_fails_decides_what_becomes_of_its_step() {
    let home = Home::new();
    // Nobody knows how far it came: the run is over, at once.
    let lost = run(
        &home,
        "dormouse step pay --effect external -- sh -c 'echo paid >> paid; exit 3'; sleep 60",
    );
    lost.exits(12);
    assert_eq!(task(&home).1, "failed");
    // It says how far it came.
    let script = |code: u8| {
        format!(
            "dormouse step pay --effect external --not-done-code 3 --permanent-code 4 -- \
             sh -c 'echo paid >> of-{code}; exit {code}'; echo code $?; exit 1"
        )
    };
    for (code, times, said) in [(3, 2, "was not done"), (4, 1, "failed for good")] {
        for first in [run(&home, &script(code)), again(&home)] {
            first.exits(1);
            assert!(first.stderr.contains(said), "{first:?}");
            assert_eq!(first.stdout, "code 1\n");
        }
        assert_eq!(lines(&home, &format!("of-{code}")).len(), times);
    }
    // A program that is not there did nothing.
    run(
        &home,
        "dormouse step pay --effect external -- ./is-not-there; test $? = 1",
    )
    .exits(0);
}

#[test]
fn what_cannot_be_kept_or_is_another_step_is_refused() {
    let home = Home::new();
    let script = "dormouse step large -- sh -c 'echo x >> times; head -c 262143 /dev/zero | tr \"\\0\" x'; echo code $?; \
                  dormouse step small --input '{\"a\":1}' -- true; dormouse step x --key k -- echo keyed; \
                  test -e again || { touch again; exit 1; }";
    for ran in [run(&home, script), again(&home)] {
        assert!(ran.stderr.contains("262145"), "{ran:?}");
        assert_eq!(ran.stdout, "code 9\nkeyed\n");
    }
    assert_eq!(lines(&home, "times").len(), 1);
    let other = "test -e other && n=2 || n=1; touch other; dormouse step pay --input \"$n\" -- echo paid; echo code $?; exit 1";
    assert_eq!(run(&home, other).stdout, "paid\ncode 0\n");
    assert_eq!(again(&home).stdout, "code 7\n");
    home.type_line("step pay -- true").exits(2).hints();
    run(&home, "dormouse step Pay -- true; test $? = 2").exits(0);
}

#[test]
fn a_secret_is_in_no_result_of_a_step() {
    let home = Home::new();
    let mut put = home.command(["secret", "set", "GH_TOKEN", "--agent", "alice"]);
    home.type_line("agent add alice").exits(0);
    let file = home.path().join("value");
    std::fs::write(&file, "kR7-wombat-sleep-quietly").unwrap();
    put.stdin(std::fs::File::open(&file).unwrap());
    Ran::of(&mut put).exits(0);
    let script = "dormouse step login -- sh -c 'echo \"$GH_TOKEN\"' > told; \
                  grep -c wombat told; cat told; test -e again || { touch again; exit 1; }";
    for ran in [run(&home, script), again(&home)] {
        assert_eq!(ran.stdout, "0\n[redacted:GH_TOKEN]\n");
    }
}

/// A script that is killed in the middle of this step, and calls it again.
fn cut_and_called_again(home: &Home, step: &str) -> Ran {
    let script = format!(
        "pay() {{ exec dormouse step pay {step} -- sh -c 'echo \"$DORMOUSE_STEP_KEY\" >> keys; test -e again || {{ touch begun; exec sleep 60; }}; echo paid'; }}; \
         pay & until test -e begun; do sleep 0.1; done; touch again; kill -9 $!; wait; (pay); echo code $?; sleep 1"
    );
    run(home, &script)
}

#[test]
fn a_step_whose_client_was_killed_is_the_same_one_when_it_is_called_again() {
    for key in ["", "--key k"] {
        let home = Home::new();
        let step = format!("--effect idempotent {key}");
        let ran = cut_and_called_again(&home, &step);
        ran.exits(0);
        assert_eq!(ran.stdout, "paid\ncode 0\n");
        let keys = lines(&home, "keys");
        assert!(keys.len() == 2 && keys[0] == keys[1], "{keys:?}");

        let home = Home::new();
        let step = format!("--effect external {key}");
        cut_and_called_again(&home, &step).exits(12);
        assert_eq!(lines(&home, "keys").len(), 1, "it may have happened");
        assert_eq!(task(&home).1, "failed");
    }
}

#[test]
fn a_step_is_not_called_twice_at_once() {
    let home = Home::new();
    let script = "dormouse step pay --effect external -- sh -c 'touch begun; until test -e go; do sleep 0.1; done; echo paid >> paid' & \
                  until test -e begun; do sleep 0.1; done; \
                  dormouse step pay --effect external -- sh -c 'echo paid >> paid'; echo code $?; touch go; wait";
    let ran = run(&home, script);
    ran.exits(0);
    assert_eq!(ran.stdout, "code 7\n");
    assert!(ran.stderr.contains("--key"), "{ran:?}");
    assert_eq!(lines(&home, "paid").len(), 1);
}
