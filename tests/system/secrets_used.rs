//! On which day a secret was used, as who looks later is told.

use crate::home::Ran;
use crate::secrets::{TOKEN, homes, set, worker};

fn today() -> String {
    let date = Ran::of(std::process::Command::new("date").args(["-u", "+%F"]));
    date.stdout.trim().to_owned()
}

#[test]
fn the_day_of_a_worker_is_the_day_on_which_its_secret_was_used() {
    for (home, _schema) in homes() {
        set(&home, "GH_TOKEN", &["--agent", "alice"], TOKEN);
        set(&home, "NOT_LENT", &["--shared", "--category", "system"], TOKEN);
        let used = |show: &str| home.json(&format!("secret show {show}"))["used_on"].clone();
        assert!(used("GH_TOKEN --agent alice").is_null());
        let before = today();
        worker(&home, "alice", "true").exits(0);
        // It was written when the owner left.
        let days = [before, today()];
        let day = used("GH_TOKEN --agent alice");
        assert!(days.iter().any(|today| day == today.as_str()), "{day}");
        assert!(used("NOT_LENT --shared").is_null());
        let shown = home.type_line("secret show GH_TOKEN --agent alice");
        let line = shown
            .stdout
            .lines()
            .find(|line| line.starts_with("used"))
            .unwrap();
        assert!(line.ends_with(day.as_str().unwrap()), "{line}");
        let listed = home.items("secret list");
        let listed: Vec<bool> = listed.iter().map(|item| item["used_on"] == day).collect();
        assert_eq!(listed, [false, true]);
        set(
            &home,
            "GH_TOKEN",
            &["--agent", "alice"],
            &format!("{TOKEN}-newer"),
        );
        assert_eq!(
            used("GH_TOKEN --agent alice"),
            day,
            "another value is the same secret"
        );
    }
}
