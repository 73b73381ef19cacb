//! Secrets of an older layout: foretold, taken over, set aside, placed, and their file destroyed.

use std::path::PathBuf;

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::home::Home;
use crate::secrets::{TOKEN, exported, homes, is_nowhere, worker};

/// A row of the file.
fn row(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": BASE64.encode(value.as_bytes()) })
}

/// The file beside the home, of layout 2.
fn file(home: &Home, rows: &[Value]) -> PathBuf {
    let path = home.path().with_file_name("old-secrets.jsonl");
    let head = json!({ "format": "dormouse-secrets-rows", "layout": 2 });
    let lines: Vec<String> = std::iter::once(&head)
        .chain(rows)
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(&path, lines.concat()).unwrap();
    path
}

fn names(home: &Home) -> Vec<String> {
    let items = home.items("secret list");
    items
        .iter()
        .map(|item| item["ref"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn secrets_of_an_older_layout_are_foretold_taken_over_and_told_of_where_they_cannot_be_placed() {
    for (home, _schema) in homes() {
        home.type_line("agent add alice").exits(0);
        let time = "2025-02-03T04:05:06Z";
        let mut own = row("a\0alice\0GH_TOKEN", TOKEN);
        own["meta"] = json!({ "category": "tool", "created_at": time, "updated_at": time });
        let rows = [
            own,
            row("DEPLOY_KEY", &format!("{TOKEN}-deploy")),
            row("s\0LD_PRELOAD", &format!("{TOKEN}-so")),
            row("a\0nobody\0KEY", &format!("{TOKEN}-nobody")),
            json!({ "key": "s\0BROKEN", "value": null }),
        ];
        let file = file(&home, &rows);
        let (path, source) = (file.to_str().unwrap(), std::fs::read(&file).unwrap());

        let foretold = home.dormouse(["secret", "migrate", path, "--dry-run", "-o", "json"]);
        foretold.exits(1);
        let foretold = foretold.json();
        assert_eq!(names(&home), Vec::<String>::new(), "nothing was written");
        let done = home.dormouse(["secret", "migrate", path, "-o", "json"]);
        done.exits(1);
        let done = done.json();
        for same in ["written", "there", "unreadable"] {
            assert_eq!(done[same], foretold[same]);
        }
        assert_eq!(names(&home), ["shared:DEPLOY_KEY", "agent:alice:GH_TOKEN"]);
        let reasons = |told: &Value| -> Vec<(String, String)> {
            let aside = told["quarantined"].as_array().unwrap();
            let text = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
            aside
                .iter()
                .map(|row| (text(row, "key"), text(row, "reason")))
                .collect()
        };
        let expected = [("a\\0nobody\\0KEY", "no_agent"), ("s\\0LD_PRELOAD", "reserved")];
        let expected = expected.map(|(key, reason)| (key.to_owned(), reason.to_owned()));
        assert_eq!(reasons(&done), expected);
        assert_eq!(reasons(&foretold), expected);
        let missing = ["a\\0nobody\\0KEY", "s\\0BROKEN", "s\\0LD_PRELOAD"];
        assert_eq!(done["missing"], json!(missing));
        let known = home.json("secret show GH_TOKEN --agent alice");
        assert_eq!(
            (&known["created_at"], &known["times_known"]),
            (&json!(time), &json!(true))
        );
        let unknown = home.json("secret show DEPLOY_KEY --shared");
        assert_eq!(unknown["times_known"], false);
        let ran = worker(&home, "alice", "echo $GH_TOKEN $DEPLOY_KEY [$LD_PRELOAD]");
        assert_eq!(ran.stdout, "[redacted:GH_TOKEN] [redacted:DEPLOY_KEY] []\n");

        // Again: nothing is written, and the report is the same but for what is there.
        let again = home.dormouse(["secret", "migrate", path, "-o", "json"]);
        again.exits(1);
        let again = again.json();
        assert_eq!(
            (&again["written"], &again["there"]),
            (&json!([]), &done["written"])
        );
        assert_eq!(again["quarantined"], done["quarantined"]);
        assert_eq!(std::fs::read(&file).unwrap(), source, "the source is as it was");
        let text = home.dormouse(["secret", "migrate", path]);
        text.exits(1);
        assert!(text.stderr.contains("dormouse secret place"), "{text:?}");
        for said in [
            "its agent does not live here",
            "nobody may set a variable of its name",
            "s NUL BROKEN",
        ] {
            assert!(text.stdout.contains(said), "{text:?}");
        }

        // What was set aside becomes what somebody says.
        let aside = home.items("secret quarantined");
        assert_eq!(aside.len(), 2);
        let of_nobody = aside.iter().find(|row| row["reason"] == "no_agent").unwrap();
        let id = of_nobody["id"].as_str().unwrap();
        home.dormouse(["secret", "place", id, "LD_PRELOAD", "--shared"])
            .exits(2)
            .hints();
        home.dormouse(["secret", "place", id, "DEPLOY_KEY", "--shared"])
            .exits(7);
        home.dormouse(["secret", "place", id, "KEY", "--agent", "alice"])
            .exits(0);
        home.dormouse(["secret", "place", id, "KEY", "--agent", "alice"])
            .exits(3)
            .hints();
        assert_eq!(home.items("secret quarantined").len(), 1);
        assert_eq!(worker(&home, "alice", "echo $KEY").stdout, "[redacted:KEY]\n");

        std::fs::remove_file(&file).unwrap();
        exported(&home);
        is_nowhere(&home, TOKEN);
    }
}

#[test]
fn a_file_is_destroyed_only_when_all_of_it_has_its_place() {
    let home = Home::new();
    let whole = row("KEY", &format!("{TOKEN}-of-alice"));
    let lost = json!({ "key": "LOST", "value": null });
    let path = file(&home, &[whole.clone(), lost]);
    let migrate = ["secret", "migrate", path.to_str().unwrap(), "--agent", "alice"];
    let destroy = [&migrate[..], &["--destroy", "--yes"]].concat();
    home.dormouse(migrate).exits(3).hints();
    home.type_line("agent add alice").exits(0);
    let before = std::fs::read(&path).unwrap();
    // Nobody can be asked, and a row could not be read.
    home.dormouse([&migrate[..], &["--destroy"]].concat())
        .exits(2)
        .hints();
    assert_eq!(names(&home), Vec::<String>::new());
    let kept = home.dormouse(&destroy);
    kept.exits(1);
    assert!(kept.stderr.contains("LOST"), "{kept:?}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    // One that is set aside goes after a week: it gets a place first.
    let aside = row("lower", &format!("{TOKEN}-aside"));
    file(&home, &[whole.clone(), aside]);
    let kept = home.dormouse(&destroy);
    kept.exits(1);
    for said in ["lower", "dormouse secret place", "then the same again"] {
        assert!(kept.stderr.contains(said), "{kept:?}");
    }
    assert!(path.exists());
    let id = home.items("secret quarantined")[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    home.dormouse(["secret", "place", &id, "PLACED", "--agent", "alice"])
        .exits(0);
    let gone = home.dormouse(&destroy);
    gone.exits(0);
    assert!(!path.exists());
    home.dormouse(["secret", "delete", "PLACED", "--agent", "alice", "--yes"])
        .exits(0);

    file(&home, &[whole]);
    let gone = home.dormouse(&destroy);
    gone.exits(0);
    assert!(gone.stderr.contains("snapshots"), "{gone:?}");
    assert!(!path.exists());
    assert_eq!(names(&home), ["agent:alice:KEY"]);
}

#[test]
fn a_file_that_is_not_understood_changes_nothing() {
    let home = Home::new();
    let good = row("KEY", TOKEN);
    for (rows, said) in [
        (vec![good.clone(), row("x\0KEY", TOKEN)], "x\\0KEY"),
        (vec![good.clone(), json!({ "key": "OTHER" })], "line 3"),
        (vec![good.clone(), good.clone()], "line 3"),
    ] {
        let path = file(&home, &rows);
        home.dormouse(["secret", "migrate", path.to_str().unwrap()])
            .exits(2)
            .errs(&[said])
            .hints();
    }
    let path = file(&home, &[good]);
    let newer = std::fs::read_to_string(&path)
        .unwrap()
        .replace("\"layout\":2", "\"layout\":3");
    std::fs::write(&path, newer).unwrap();
    home.dormouse(["secret", "migrate", path.to_str().unwrap()])
        .exits(2)
        .errs(&["layout 3"]);
    assert_eq!(home.json("secret status")["vault"], "absent");
}
