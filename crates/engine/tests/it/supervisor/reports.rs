//! The report channel: what a worker says on descriptor 3.

use dormouse_engine::outcome::{BlockReason, ReportFacts};
use dormouse_engine::task::Steps;

use super::*;

async fn events(house: &House) -> Vec<dormouse_engine::event::Event> {
    let log = &house.tenant.events;
    let page = log.read_after(Position::START, 1000).await.unwrap();
    page.events.into_iter().map(|at| at.event).collect()
}

#[tokio::test]
async fn a_block_decides_whatever_else_the_worker_says() {
    let house = bed().open_with_alice().await;
    let block = r#"{"block":{"reason":{"kind":"captcha","provider":"turnstile"},"url":"https://me:word@a.example/x","detail":"third page"}}"#;
    for end in [
        "exit 0",
        "exit 3",
        "echo '{\"result\":\"an answer\"}' >&3",
        "kill -9 $$",
    ] {
        let script = format!("echo '{{\"segment\":\"fetch\"}}' >&3; echo '{block}' >&3; {end}");
        let row = house.run(sh(&script)).await;
        let Outcome::Blocked { reason, evidence } = outcome(&row) else {
            panic!("{end}: {row:?}")
        };
        let provider = Some("turnstile".to_owned());
        assert_eq!(reason, BlockReason::Captcha { provider });
        let evidence = evidence.unwrap();
        assert_eq!(evidence.url.unwrap().as_str(), "https://a.example/x");
        assert_eq!(evidence.detail.unwrap().as_str(), "third page");
        assert!(
            matches!(house.task_state(&row).await, TaskState::Failed { .. }),
            "{end}"
        );
        let task = format!("task:{}", row.run.task.unwrap());
        let failed: Vec<_> = events(&house)
            .await
            .into_iter()
            .filter(|event| event.subject == task && event.kind == "task.failed")
            .collect();
        assert_eq!(failed.len(), 1, "{end}: not requeued");
        let told = serde_json::to_string(&failed[0]).unwrap();
        for word in ["captcha", "https://a.example/x", &row.run.id.to_string()] {
            assert!(told.contains(word), "{word}: {told}");
        }
        assert!(!told.contains("me:word"), "{told}");
    }
}

#[tokio::test]
async fn the_first_block_stands() {
    let house = bed().open_with_alice().await;
    let script = r#"echo '{"block":{"reason":"LoginWall"}}' >&3; echo '{"block":{"reason":"captcha"}}' >&3"#;
    let row = house.run(sh(script)).await;
    let Outcome::Blocked { reason, .. } = outcome(&row) else {
        panic!("{row:?}")
    };
    assert_eq!(reason, BlockReason::LoginWall);
}

/// Of a block its outcome and each byte that is stored; the other outcomes, titles, gate texts, comments and reasons are
/// `a_worker_prints_no_value_and_its_texts_have_none` and its neighbours.
#[tokio::test]
async fn no_text_of_a_report_has_a_value() {
    let bed = bed();
    let house = bed.open_with_alice().await;
    house.with_secret("GH_TOKEN").await;
    // It makes each form of the value itself: what an operator wrote into a command is stored as it is.
    let script = r#"say() { printf '%s\n' "$1" >&3; }
        hex=$(printf %s "$GH_TOKEN" | od -An -v -tx1 | tr -d '\n')
        encoded=$(printf %s "$hex" | sed 's/ /%/g'); escaped=$(printf %s "$hex" | sed 's/ /\\u00/g')
        echo "it is $GH_TOKEN"
        say "{\"segment\":\"part $GH_TOKEN\"}"
        say '{"segment":"part '"$escaped"'"}'
        say "{\"partial\":\"so far $GH_TOKEN\"}"
        say '{"checkpoint":{"at":"'"$escaped"'","'"$escaped"'":["'"$escaped"'"]}}'
        say "{\"block\":{\"reason\":{\"kind\":\"fraud_detect\",\"vendor\":\"$GH_TOKEN\"},\"url\":\"https://u:$GH_TOKEN@a.example/$encoded?t=$GH_TOKEN\",\"detail\":\"<p>$GH_TOKEN\"}}"
        say '{"block":{"reason":"captcha","detail":"'"$escaped"'"}}'"#;
    let row = house.run(sh(script)).await;
    let Outcome::Blocked { reason, evidence } = outcome(&row) else {
        panic!("{row:?}")
    };
    let transcript = house.transcript(row.run.id).await;
    assert!(transcript.contains("[redacted:GH_TOKEN]"), "{transcript}");
    let stored = crate::stores::stored_in(&bed.store).await;
    assert!(stored.contains(r#""vendor":"[redacted:GH_TOKEN]""#), "{stored}");
    let kept = format!(
        "{reason:?} {evidence:?} {:?} {:?} {:?} {transcript} {stored}",
        facts(&row),
        row.run,
        events(&house).await
    );
    // No 8 characters of it, plain or as they are written in an address.
    for piece in VALUE.as_bytes().windows(8) {
        let piece = std::str::from_utf8(piece).unwrap();
        assert!(!kept.contains(piece), "{piece}: {kept}");
        let written: String = piece.bytes().map(|byte| format!("%{byte:02x}")).collect();
        assert!(!kept.contains(&written), "{written}: {kept}");
    }
    assert!(kept.matches("[redacted:GH_TOKEN]").count() >= 6, "{kept}");
    assert!(row.run.saved.is_some());
}

/// WK-20
#[tokio::test]
async fn parts_that_were_completed_count_and_the_next_attempt_gets_the_checkpoint() {
    let house = bed().open_with_alice().await;
    let script = r#"
        if [ -e $DORMOUSE_RUN_DIR/checkpoint ]; then cat $DORMOUSE_RUN_DIR/checkpoint; exit 0; fi
        for part in one two three; do echo "{\"segment\":\"$part\"}" >&3; echo "{\"done\":\"$part\"}" >&3; done
        echo '{"segment":"dropped"}' >&3
        echo '{"segment":"four"}' >&3
        echo '{"checkpoint":{"page":6}}' >&3
        echo '{"checkpoint":{"page":7}}' >&3
        echo '{"partial":"six pages"}' >&3
        sleep 300"#;
    let slow = CommandSpec {
        wall_clock_ms: Some(5_000),
        ..sh(script)
    };
    let row = house.run(slow).await;
    assert!(matches!(outcome(&row), Outcome::Timeout { .. }), "{row:?}");
    let its = facts(&row);
    assert_eq!(its.segments_completed, 3);
    assert_eq!(its.segment_current.unwrap().as_str(), "four");
    assert_eq!(its.reports.unwrap().text.unwrap().as_str(), "six pages");
    assert_eq!(row.run.saved.as_ref().unwrap().as_str(), r#"{"page":7}"#);
    let task = row.run.task.unwrap();
    let tasks = &house.tenant.tasks;
    tasks.retry(&operator(), task, Steps::Kept).await.unwrap();
    let by = operator();
    let again = house.supervisor.start(&house.tenant, &by, task).await.unwrap();
    let again = house.ended(again).await;
    assert!(matches!(outcome(&again), Outcome::Success { .. }), "{again:?}");
    assert_eq!(house.transcript(again.run.id).await, r#"{"page":7}"#);
}

#[tokio::test]
async fn a_result_that_was_reported_stands_though_a_stop_had_begun() {
    let house = bed().open_with_alice().await;
    let script =
        r#"trap 'echo "{\"result\":\"all of it\"}" >&3; exit 1' TERM; echo up; while :; do sleep 0.1; done"#;
    let command = CommandSpec {
        grace_ms: Some(10_000),
        ..sh(script)
    };
    let run = house.begin(command).await;
    house.printed(run, "up").await;
    house
        .supervisor
        .cancel(&house.tenant, &operator(), run, Force::Cooperative, None)
        .await
        .unwrap();
    let row = house.ended(run).await;
    let Outcome::Success { text } = outcome(&row) else {
        panic!("{row:?}")
    };
    assert_eq!(text.unwrap().as_str(), "all of it");
    let its = facts(&row);
    assert!(its.after_stop);
    assert!(its.reports.unwrap().exit_mismatch, "it left with 1");
}

#[tokio::test]
async fn bad_lines_are_counted_and_the_next_one_is_read() {
    let house = bed().open_with_alice().await;
    let script = r#"
        echo 'no json' >&3; echo '{"segment":7}' >&3; printf '{"result":"\377"}\n' >&3; echo >&3
        head -c 70000 /dev/zero | tr '\0' x >&3; echo >&3
        printf '{"partial":"no end of line"}' >&3
        exit 75"#;
    let command = CommandSpec {
        partial_codes: vec![75],
        ..sh(script)
    };
    let row = house.run(command).await;
    let Outcome::Partial { text, .. } = outcome(&row) else {
        panic!("{row:?}")
    };
    assert_eq!(text.unwrap().as_str(), "no end of line");
    let expected = ReportFacts {
        bad_lines: 4,
        exit_mismatch: false,
        text: None,
    };
    assert_eq!(facts(&row).reports, Some(expected));
}

#[tokio::test]
async fn a_flood_of_reports_stalls_nobody_and_the_last_one_is_heard() {
    let house = bed().open_with_alice().await;
    let script = r#"yes '{"segment":"again and again"}' | head -c 8000000 >&3; echo >&3; sleep 1; echo '{"result":"done"}' >&3"#;
    let row = house.run(sh(script)).await;
    let Outcome::Success { text } = outcome(&row) else {
        panic!("{row:?}")
    };
    assert_eq!(text.unwrap().as_str(), "done");
}
