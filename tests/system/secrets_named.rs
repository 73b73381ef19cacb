//! A secret that a worker has under another name.

use crate::home::{Home, Ran};
use crate::secrets::{TOKEN, exported, homes, is_nowhere, set};

fn run(home: &Home, agent: &str, words: &[&str], script: &str) -> Ran {
    let begin = ["run", "--agent", agent];
    home.dormouse(begin.iter().chain(words).chain(&["--", "sh", "-c", script]))
}

fn sum(value: &str) -> String {
    Ran::of(std::process::Command::new("sh").args(["-c", "printf %s \"$1\" | cksum", "sh", value])).stdout
}

const NAMED: [&str; 2] = ["--env", "GITHUB_TOKEN=secret:GH_TOKEN"];

#[test]
fn a_variable_has_the_value_of_the_secret_that_it_names_which_is_redacted_all_the_same() {
    for (home, _schema) in homes() {
        set(&home, "GH_TOKEN", &["--agent", "alice"], TOKEN);
        set(&home, "GH_TOKEN", &["--shared"], &format!("{TOKEN}-shared"));
        set(&home, "OTHER_ONE", &["--shared"], &format!("{TOKEN}-other"));
        let ran = run(
            &home,
            "alice",
            &NAMED,
            "echo $GITHUB_TOKEN; echo $GITHUB_TOKEN | base64",
        );
        ran.exits(0);
        assert_eq!(ran.stdout.matches("[redacted:GH_TOKEN]").count(), 2, "{ran:?}");
        // Her own, and the shared one of whoever has none.
        let summed = r#"printf %s "$GITHUB_TOKEN" | cksum"#;
        assert_eq!(run(&home, "alice", &NAMED, summed).stdout, sum(TOKEN));
        assert_eq!(
            run(&home, "bob", &NAMED, summed).stdout,
            sum(&format!("{TOKEN}-shared"))
        );
        // Beside a list it is the worker's under the other name alone.
        let listed = [&["--secret", "OTHER_ONE"], &NAMED[..]].concat();
        let said = "echo [${GH_TOKEN-none}] [${OTHER_ONE:+there}] [${GITHUB_TOKEN:+there}]";
        assert_eq!(
            run(&home, "alice", &listed, said).stdout,
            "[none] [there] [there]\n"
        );
        exported(&home);
        is_nowhere(&home, TOKEN);
    }
}

#[test]
fn names_of_one_secret_are_no_way_round_the_bound_of_an_environment() {
    let home = Home::new();
    let long = TOKEN.repeat(32 * 1024 / TOKEN.len());
    set(&home, "LONG", &["--agent", "alice"], &long);
    let named: Vec<String> = (0..9).map(|name| format!("LONG_{name}=secret:LONG")).collect();
    let words: Vec<&str> = named.iter().flat_map(|named| ["--env", named.as_str()]).collect();
    run(&home, "alice", &words, "echo ran >ran")
        .exits(1)
        .errs(&["ENV_TOTAL_MAX"]);
    assert!(!home.workspace("alice").join("ran").exists(), "nothing ran");
}

#[test]
fn a_variable_that_names_no_secret_of_workers_starts_nothing() {
    let home = Home::new();
    set(&home, "GH_TOKEN", &["--agent", "alice"], TOKEN);
    set(
        &home,
        "SYSTEM_ONE",
        &["--agent", "alice", "--category", "system"],
        TOKEN,
    );
    for named in ["NOBODYS", "SYSTEM_ONE"] {
        let words = ["--env", &format!("A_TOKEN=secret:{named}")];
        run(&home, "alice", &words, "echo ran >ran")
            .exits(1)
            .errs(&[named]);
    }
    let words = ["--env", "SYSTEM_ONE=secret:GH_TOKEN"];
    let conflict = "`SYSTEM_ONE` is set by the secrets of its agent and by the profile";
    run(&home, "alice", &words, "echo ran >ran")
        .exits(1)
        .errs(&[conflict]);
    for wrong in [
        "A_TOKEN=secret:gh_token",
        "A_TOKEN=secret:",
        "PATH=secret:GH_TOKEN",
        "A_TOKEN=a literal",
    ] {
        run(&home, "alice", &["--env", wrong], "echo ran >ran")
            .exits(2)
            .hints();
    }
    assert!(!home.workspace("alice").join("ran").exists(), "nothing ran");
}
