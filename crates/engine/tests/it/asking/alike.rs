//! How the work ended decides the outcome, and not in which turn it did, nor of what kind it is.

use dormouse_engine::adapter::Class;
use dormouse_engine::command::Stdin;
use dormouse_engine::outcome::{BlockEvidence, BlockReason, CancelledBy, FailReason, Outcome, PartialCause};
use dormouse_engine::run::{ClaimOptions, SendError};
use dormouse_engine::step::{Failure, Report, StepContext};
use dormouse_engine::supervisor::{Force, RunEnd};
use dormouse_secrets::Scrubbed;
use jiff::{SignedDuration, Timestamp};

use super::resumed::program;
use super::*;
use crate::stores::until;

/// In which turn the work ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    First,
    Further,
    Resumed,
}

const TURNS: [Turn; 3] = [Turn::First, Turn::Further, Turn::Resumed];

/// A row of the table: what the worker does in the end, and what becomes of the run.
struct Row {
    name: &'static str,
    /// Of a provider's program.
    script: &'static str,
    /// What it is told once it is there.
    stop: Option<Stop>,
    outcome: Outcome,
}

/// Who stops it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Person,
    Shutdown,
    Clock,
}

/// How long one has that its clock stops.
const SHORT_MS: u64 = 8_000;

fn text(text: &'static str) -> Option<Scrubbed> {
    Some(Scrubbed::constant(text))
}

fn failed(reason: FailReason, permanent: bool, message: &'static str) -> Outcome {
    Outcome::Failed {
        reason,
        permanent,
        retry_at: None,
        message: Scrubbed::constant(message),
        hint: None,
    }
}

fn cancelled(by: CancelledBy) -> Outcome {
    Outcome::Cancelled { by, reason: None }
}

/// Rows 1 to 7.
fn rows() -> Vec<Row> {
    let row = |name, script, outcome| Row {
        name,
        script,
        stop: None,
        outcome,
    };
    let stopped = |name, script, stop, outcome| Row {
        stop: Some(stop),
        ..row(name, script, outcome)
    };
    const DONE: &str = r#"result success false '"result":"done","stop_reason":"end_turn"'"#;
    const CALLED_OFF: &str = r#"hear; result error_during_execution true '"errors":["called off"]'"#;
    let blocked = Outcome::Blocked {
        reason: BlockReason::Captcha { provider: None },
        evidence: Some(BlockEvidence {
            url: None,
            detail: text("a wall"),
        }),
    };
    let done = Outcome::Success { text: text("done") };
    vec![
        row(
            "blocked",
            r#"echo '{"block":{"reason":"captcha","detail":"a wall"}}' >&3; result success false '"result":"done","stop_reason":"end_turn"'"#,
            blocked,
        ),
        stopped(
            "finished though stopped",
            r#"hear; result success false '"result":"done","stop_reason":"end_turn"'"#,
            Stop::Person,
            done.clone(),
        ),
        stopped(
            "shut down",
            CALLED_OFF,
            Stop::Shutdown,
            cancelled(CancelledBy::Shutdown),
        ),
        stopped("timed out", CALLED_OFF, Stop::Clock, wall_timeout(SHORT_MS)),
        stopped(
            "cancelled",
            CALLED_OFF,
            Stop::Person,
            cancelled(CancelledBy::Principal),
        ),
        row("whole", DONE, done),
        row(
            "part",
            r#"said 'so far'; result error_max_turns true '"x":0'"#,
            Outcome::Partial {
                cause: PartialCause::MaxTurns,
                text: text("so far"),
            },
        ),
        row(
            "limit with nothing",
            r#"result error_max_turns true '"x":0'"#,
            failed(
                FailReason::Worker,
                false,
                "a limit was reached with nothing to show",
            ),
        ),
        row(
            "refused",
            r#"result success false '"result":"I will not","stop_reason":"refusal"'"#,
            failed(FailReason::Refused, true, "I will not"),
        ),
        row(
            "auth",
            r#"result success true '"result":"bad key","api_error_status":401'"#,
            failed(FailReason::Auth, true, "bad key"),
        ),
        row(
            "rate limited",
            r#"result success true '"result":"slow down","api_error_status":429'"#,
            failed(FailReason::RateLimited, false, "slow down"),
        ),
        row(
            "overloaded",
            r#"result success true '"result":"too many","api_error_status":529'"#,
            failed(FailReason::Overloaded, false, "too many"),
        ),
        row(
            "failed",
            r#"result error_during_execution true '"errors":["it broke"]'"#,
            failed(FailReason::Worker, false, "it broke"),
        ),
        row(
            "cut",
            "exit 0",
            failed(
                FailReason::StreamEnded,
                false,
                "the stream ended without its last event",
            ),
        ),
    ]
}

/// When a limit ends is a matter of the moment.
fn timeless(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Failed {
            reason,
            permanent,
            message,
            hint,
            ..
        } => Outcome::Failed {
            reason,
            permanent,
            retry_at: None,
            message,
            hint,
        },
        other => other,
    }
}

/// A claude that comes to its end so, in this turn.
fn claude(end: &str, turn: Turn) -> String {
    let when = match turn {
        Turn::First => "last",
        Turn::Further => {
            r#"touch up; while [ ! -e go ]; do sleep 0.02; done
            result success false '"result":"first","stop_reason":"end_turn"'; hear; init; last"#
        }
        Turn::Resumed => {
            r#"if [ -e began ]; then last; else touch began
            echo '{"type":"assistant","message":{"id":"a","role":"assistant","content":[{"type":"tool_use","id":"t","name":"Bash","input":{"command":"rm x"}}]},"session_id":"s"}'
            result success false '"result":"","stop_reason":"tool_deferred"'; fi"#
        }
    };
    format!(
        r#"hear() {{ IFS= read -r line || exit 0; }}
        init() {{ echo '{{"type":"system","subtype":"init","session_id":"s","model":"m"}}'; }}
        said() {{ echo '{{"type":"assistant","message":{{"id":"m","role":"assistant","content":[{{"type":"text","text":"'"$1"'"}}]}},"session_id":"s"}}'; }}
        result() {{ echo '{{"type":"result","subtype":"'"$1"'","is_error":'"$2"',"session_id":"s","total_cost_usd":0,'"$3"'}}'; }}
        last() {{ touch last; {end}; }}
        hear; init
        {when}
        hear"#
    )
}

fn clock_of(stop: Option<Stop>) -> u64 {
    if stop == Some(Stop::Clock) {
        SHORT_MS
    } else {
        60_000
    }
}

/// A run of this command that comes to its last turn, and its outcome.
async fn come_to_its_end(bed: Bed, command: CommandSpec, turn: Turn, stop: Option<Stop>) -> Outcome {
    let workspace = bed.folder().join("workspaces/default/alice");
    let engine = asking_options(GateOptions::default());
    let mut worker = Worker::begin_in(bed, engine, command, OnGate::Park).await;
    let supervisor = worker.house.supervisor.clone();
    if turn == Turn::Further {
        until("it is up", async || workspace.join("up").exists()).await;
        let tenant = &worker.house.tenant;
        supervisor.send(tenant, worker.run, "more").await.unwrap();
        std::fs::write(workspace.join("go"), "").unwrap();
    }
    let (tenant, run) = (worker.house.tenant.clone(), worker.run);
    let stopping = async {
        if stop.is_some() {
            until("it is in its last turn", async || workspace.join("last").exists()).await;
        }
        match stop {
            Some(Stop::Person) => {
                let by = operator();
                let cancel = supervisor.cancel(&tenant, &by, run, Force::Cooperative, None);
                drop(cancel.await.unwrap());
            }
            Some(Stop::Shutdown) => supervisor.shutdown().await,
            // It comes by itself.
            Some(Stop::Clock) | None => {}
        }
    };
    let ending = async {
        if turn == Turn::Resumed {
            return outcome(&worker.parks_and_ends().await);
        }
        supervisor.wait(run).await;
        outcome(&worker.house.tenant.runs.get(run).await.unwrap())
    };
    let (ended, ()) = tokio::join!(ending, stopping);
    ended
}

#[tokio::test]
async fn the_outcome_of_a_provider_is_the_same_in_a_first_a_further_and_a_resumed_turn() {
    for row in rows() {
        for turn in TURNS {
            let bed = bed();
            let claude = program(&bed, "claude", &claude(row.script, turn));
            let argv = [claude.to_str().unwrap(), "-p"].map(str::to_owned);
            let command = CommandSpec {
                stdin: Stdin::Stream,
                grace_ms: Some(2_000),
                wall_clock_ms: Some(clock_of(row.stop)),
                ..CommandSpec::new(argv.to_vec())
            };
            let ended = come_to_its_end(bed, command, turn, row.stop).await;
            assert_eq!(timeless(ended), row.outcome, "{} in the turn {turn:?}", row.name);
        }
    }
}

#[tokio::test]
async fn the_outcome_of_a_script_is_the_same_in_a_first_a_further_and_a_resumed_turn() {
    let part = Outcome::Partial {
        cause: PartialCause::Declared,
        text: None,
    };
    for (end, expected) in [
        ("exit 0", Outcome::Success { text: None }),
        ("exit 75", part),
        ("exit 126", failed(FailReason::Exit, true, "exited with code 126")),
        ("exit 3", failed(FailReason::Exit, false, "exited with code 3")),
        (
            "kill -9 $$",
            failed(FailReason::Signal, false, "ended by signal 9"),
        ),
    ] {
        for turn in [Turn::First, Turn::Further] {
            let when = match turn {
                Turn::First | Turn::Resumed => "",
                Turn::Further => "touch up; while [ ! -e go ]; do sleep 0.02; done; read -r more;",
            };
            let argv = ["sh", "-c", &format!("read -r first; {when} {end}")].map(str::to_owned);
            let command = CommandSpec {
                stdin: Stdin::Stream,
                partial_codes: vec![75],
                ..CommandSpec::new(argv.to_vec())
            };
            let ended = come_to_its_end(bed(), command, turn, None).await;
            assert_eq!(ended, expected, "{end} in the turn {turn:?}");
        }
        // It parks where it asks, and ends so when it has heard.
        let script = format!("if [ -e began ]; then {end}; fi; touch began; sleep 60");
        let command = CommandSpec {
            partial_codes: vec![75],
            ..sh(&script)
        };
        let engine = asking_options(GateOptions::default());
        let mut worker = Worker::begin_in(bed(), engine, command, OnGate::Park).await;
        let began = worker.bed.folder().join("workspaces/default/alice/began");
        until("it runs", async || began.exists()).await;
        worker.asks(&pay(1)).await;
        let row = worker.parks_and_ends().await;
        assert_eq!(outcome(&row), expected, "{end} when it is resumed");
    }
}

/// What a future does that comes to the same end as the row's worker; none of one that no future comes to.
async fn works(name: &str, steps: StepContext) -> Result<Report, Failure> {
    let of = |class, says: &str| Err(Failure::of_provider(class, says.to_owned()));
    match name {
        "blocked" => {
            let captcha = BlockReason::Captcha { provider: None };
            assert!(steps.block(captcha, None, Some("a wall")).await?);
            assert!(
                !steps.block(BlockReason::Unknown, None, None).await?,
                "the first stands"
            );
            Ok("done".into())
        }
        "finished though stopped" => {
            steps.stopped().await;
            Ok("done".into())
        }
        "timed out" | "cancelled" => {
            steps.stopped().await;
            Err(Failure::of("called off"))
        }
        "whole" => Ok("done".into()),
        "part" => Ok(Report {
            text: Some("so far".to_owned()),
            partial: Some(PartialCause::MaxTurns),
        }),
        "limit with nothing" => Ok(Report {
            text: None,
            partial: Some(PartialCause::MaxTurns),
        }),
        "refused" => of(Class::Refused, "I will not"),
        "auth" => of(Class::Auth, "bad key"),
        "rate limited" => {
            of(Class::RateLimited, "slow down").map_err(|limit: Failure| limit.retry_at(Timestamp::MAX))
        }
        "overloaded" => of(Class::Overloaded, "too many"),
        "failed" => Err(Failure::of("it broke")),
        other => panic!("{other} is no future's"),
    }
}

/// The same, in its first turn, when it was told more, or behind a park.
async fn works_in(name: &str, turn: Turn, until: Timestamp, steps: StepContext) -> Result<Report, Failure> {
    match turn {
        Turn::First => {}
        Turn::Further => assert_eq!(steps.next_text().await, "more"),
        Turn::Resumed => steps.sleep_until("nap", until).await?,
    }
    works(name, steps).await
}

/// What a row's run comes to where a future works on it.
async fn of_future(row: &Row, turn: Turn) -> RunEnd {
    let bed = bed();
    let house = bed
        .open_with_alice_and(asking_options(GateOptions::default()))
        .await;
    let (by, runs) = (operator(), &house.tenant.runs);
    let command = CommandSpec {
        wall_clock_ms: Some(clock_of(row.stop)),
        ..sh("is not run: a future does the work")
    };
    let new = NewTask {
        command: Some(command),
        ..NewTask::new(alice(), "a task")
    };
    let task = house.tenant.tasks.create(&by, new).await.unwrap().id;
    let nap = house.engine.environment().clock.now() + SignedDuration::from_hours(1);
    let claim = async || runs.claim(&by, task, ClaimOptions::default()).await.unwrap();
    let mut claimed = claim().await;
    let name = row.name;
    if turn == Turn::Resumed {
        let parked = runs
            .drive(claimed, async move |steps| works_in(name, turn, nap, steps).await)
            .await;
        assert!(matches!(parked, RunEnd::Parked(_)), "{}: {parked:?}", row.name);
        let waits = runs.send(parked_run(&parked), "more").await;
        assert!(
            matches!(waits, Err(SendError::Unsupported { kind: "run", .. })),
            "{waits:?}"
        );
        bed.slept(3_601);
        house.tenant.tasks.due(&by, task).await.unwrap();
        claimed = claim().await;
    }
    let run = claimed.run.id;
    let work = runs.drive(claimed, async move |steps| works_in(name, turn, nap, steps).await);
    let meanwhile = async {
        if turn == Turn::Further {
            until("it listens", async || runs.send(run, "more").await.is_ok()).await;
        }
        if row.stop == Some(Stop::Person) {
            let is_running = async || runs.get(run).await.unwrap().run.state == RunState::Running;
            until("it works", is_running).await;
            drop(house.tenant.tasks.cancel(&by, task, None).await.unwrap());
        }
    };
    let (end, ()) = tokio::join!(work, meanwhile);
    let late = runs.send(run, "too late").await;
    assert!(matches!(late, Err(SendError::Ended { .. })), "{late:?}");
    end
}

fn parked_run(end: &RunEnd) -> RunId {
    match end {
        RunEnd::Parked(parked) => parked.run.id,
        other => panic!("{other:?}"),
    }
}

/// WK-24, with `the_outcome_of_a_provider_is_the_same_in_a_first_a_further_and_a_resumed_turn` and that of a script, of
/// processes; rows 10 and 11 have no turns, and row 12 is recovery's.
#[tokio::test]
async fn the_outcome_of_a_future_is_that_of_a_process() {
    // No stream of a future is cut, and who drops it at a shutdown is who drives it.
    let is_of_future = |row: &Row| !["cut", "shut down"].contains(&row.name);
    for row in rows().into_iter().filter(is_of_future) {
        for turn in TURNS {
            let end = of_future(&row, turn).await;
            let RunEnd::Recorded(finished) = end else {
                panic!("{}: {end:?}", row.name)
            };
            let found = timeless(finished.outcome.outcome.clone());
            assert_eq!(found, row.outcome, "{} in the turn {turn:?}", row.name);
            let facts = finished.outcome.facts.as_ref().unwrap();
            assert_eq!(
                facts.after_stop,
                row.name == "finished though stopped",
                "{}",
                row.name
            );
        }
    }
}

#[tokio::test]
async fn a_future_hears_what_is_said_in_order_and_no_more_waits_for_it_than_may() {
    let house = bed()
        .open_with_alice_and(asking_options(GateOptions::default()))
        .await;
    let (by, runs) = (operator(), &house.tenant.runs);
    let task = house
        .tenant
        .tasks
        .create(&by, NewTask::new(alice(), "a task"))
        .await
        .unwrap()
        .id;
    let claimed = runs.claim(&by, task, ClaimOptions::default()).await.unwrap();
    let run = claimed.run.id;
    let (go, mut goes) = watch::channel(false);
    let work = runs.drive(claimed, async move |steps: StepContext| {
        goes.wait_for(|go| *go).await?;
        let mut heard = Vec::new();
        while heard.len() < 16 {
            heard.push(steps.next_text().await);
        }
        Ok::<_, Failure>(heard.join(" "))
    });
    let says = async {
        until("it listens", async || runs.send(run, "0").await.is_ok()).await;
        for number in 1..16 {
            runs.send(run, &number.to_string()).await.unwrap();
        }
        let full = runs.send(run, "16").await;
        assert!(matches!(full, Err(SendError::QueueFull { max: 16 })), "{full:?}");
        go.send_replace(true);
    };
    let (end, ()) = tokio::join!(work, says);
    let RunEnd::Recorded(finished) = end else {
        panic!("{end:?}")
    };
    let heard = (0..16)
        .map(|number| number.to_string())
        .collect::<Vec<_>>()
        .join(" ");
    let text = Some(dormouse_secrets::Scrubber::empty().scrub(&heard));
    assert_eq!(finished.outcome.outcome, Outcome::Success { text });
}
