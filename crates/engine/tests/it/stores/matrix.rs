//! Every state of tasks and runs × every command, through the services: answers as in the golden file, and what is
//! ignored or rejected leaves every byte as it was.

use dormouse_engine::run::{ClaimOptions, Claimed, StopReason};
use dormouse_engine::task::{NewTask, Start, Steps, Task};
use dormouse_engine::{CommandError, Subject};

use super::golden::{aligned, check};
use super::house::{House, facts, failed, name, operator, partial, success};

super::on_every_store! {
    /// Deleting, assigning, editing, parking have no command yet: their cells are in the golden files of the tables.
    every_state_of_a_task_meets_every_command;
}

super::on_every_store_of_one_process! {
    every_state_of_a_run_meets_every_command;
}

const STATES: [&str; 9] = [
    "pending_approval",
    "backlog",
    "ready",
    "running",
    "waiting",
    "done",
    "failed",
    "quarantined",
    "cancelled",
];

const COMMANDS: [&str; 9] = [
    "approve", "refuse", "shelve", "enqueue", "claim", "due", "cancel", "retry", "finish",
];

/// A new task, brought into the state, and the last run of it.
async fn task_in(house: &House, state: &str) -> (Task, Option<Claimed>) {
    let start = match state {
        "pending_approval" => Start::PendingApproval,
        "backlog" => Start::Backlog,
        _ => Start::Ready,
    };
    let task = house
        .task(NewTask {
            start,
            ..NewTask::new(name("alice"), state)
        })
        .await;
    let tasks = &house.tenant.tasks;
    let claimed = match state {
        "running" => Some(house.claim(&task).await),
        "waiting" => Some(ended(house, &task, &failed(false)).await),
        "done" => Some(ended(house, &task, &success()).await),
        "failed" => Some(ended(house, &task, &failed(true)).await),
        "quarantined" => {
            for _ in 0..4 {
                ended(house, &task, &failed(false)).await;
                tasks.enqueue(&operator(), task.id).await.unwrap();
            }
            Some(ended(house, &task, &failed(false)).await)
        }
        "cancelled" => {
            tasks.cancel(&operator(), task.id, None).await.unwrap();
            None
        }
        _ => None,
    };
    let task = tasks.get(task.id).await.unwrap().into_inner();
    assert_eq!(task.state.word(), state);
    // Past every delay, so that what waits for a time is due.
    house.clock.advance(60);
    (task, claimed)
}

async fn ended(house: &House, task: &Task, outcome: &dormouse_engine::outcome::Outcome) -> Claimed {
    let claimed = house.claim(task).await;
    house
        .tenant
        .runs
        .finish(&claimed, outcome, &facts())
        .await
        .unwrap();
    claimed
}

async fn obey(
    house: &House,
    command: &str,
    task: &Task,
    claimed: Option<&Claimed>,
) -> Result<(), CommandError> {
    let (tasks, by) = (&house.tenant.tasks, operator());
    match command {
        "approve" => tasks.approve(&by, task.id).await.map(drop),
        "refuse" => tasks.refuse(&by, task.id).await.map(drop),
        "shelve" => tasks.shelve(&by, task.id).await.map(drop),
        "enqueue" => tasks.enqueue(&by, task.id).await.map(drop),
        "due" => tasks.due(&by, task.id).await.map(drop),
        "cancel" => tasks.cancel(&by, task.id, None).await.map(drop),
        "retry" => tasks.retry(&by, task.id, Steps::Kept).await.map(drop),
        "claim" => {
            let claim = house.tenant.runs.claim(&by, task.id, ClaimOptions::default());
            claim.await.map(drop)
        }
        "finish" => match claimed {
            Some(claimed) => house
                .tenant
                .runs
                .finish(claimed, &partial(), &facts())
                .await
                .map(drop),
            None => Ok(()),
        },
        other => panic!("no command {other}"),
    }
}

fn refusal(error: &CommandError) -> String {
    match error {
        CommandError::Rejected { subject, reason, .. } => {
            let of_run = matches!(subject, Subject::Run(_));
            format!("x:{}{}", reason.word(), if of_run { " (run)" } else { "" })
        }
        other => format!("x:{}", other.code()),
    }
}

async fn every_state_of_a_task_meets_every_command(house: House) {
    house.agent("alice").await;
    let head = std::iter::once("").chain(COMMANDS).map(str::to_owned);
    let mut rows = vec![head.collect::<Vec<_>>()];
    for state in STATES {
        let mut row = vec![state.to_owned()];
        for command in COMMANDS {
            row.push(task_cell(&house, state, command).await);
        }
        rows.push(row);
    }
    check("services_tasks.txt", &aligned(&rows));
}

async fn task_cell(house: &House, state: &str, command: &str) -> String {
    let (task, claimed) = task_in(house, state).await;
    if command == "finish" && claimed.is_none() {
        return "no run".to_owned();
    }
    let before = house.tenant.tasks.get(task.id).await.unwrap();
    let (events, run) = (house.event_count().await, run_of(house, claimed.as_ref()).await);
    let answer = obey(house, command, &task, claimed.as_ref()).await;
    let after = house.tenant.tasks.get(task.id).await.unwrap();
    let is_untouched = before == after
        && before.version() == after.version()
        && run == run_of(house, claimed.as_ref()).await
        && events == house.event_count().await;
    match answer {
        Err(error) => {
            assert!(is_untouched, "{state} × {command} was refused and yet wrote");
            refusal(&error)
        }
        Ok(()) if is_untouched => "ignored".to_owned(),
        Ok(()) if before == after => "· (run)".to_owned(),
        Ok(()) => after.state.word().to_owned(),
    }
}

async fn run_of(house: &House, claimed: Option<&Claimed>) -> Option<String> {
    let run = house.tenant.runs.get(claimed?.run.id).await.unwrap();
    Some(format!("{run:?}"))
}

const RUN_STATES: [&str; 5] = ["starting", "running", "stopping", "ended", "ended otherwise"];
const RUN_COMMANDS: [&str; 5] = ["start", "heartbeat", "stop", "finish", "lapse"];

async fn run_in(house: &House, state: &str) -> Claimed {
    let task = house.task(NewTask::new(name("alice"), state)).await;
    let claimed = house.claim(&task).await;
    let runs = &house.tenant.runs;
    if state != "starting" {
        runs.started(&claimed, None).await.unwrap();
    }
    match state {
        "stopping" => drop(runs.stopping(&claimed, &StopReason::Shutdown).await.unwrap()),
        "ended" => drop(runs.finish(&claimed, &partial(), &facts()).await.unwrap()),
        "ended otherwise" => drop(runs.finish(&claimed, &success(), &facts()).await.unwrap()),
        _ => {}
    }
    claimed
}

async fn run_cell(house: &House, state: &str, command: &str) -> String {
    let claimed = run_in(house, state).await;
    let runs = &house.tenant.runs;
    let before = runs.get(claimed.run.id).await.unwrap();
    let events = house.event_count().await;
    let answer = match command {
        "start" => runs.started(&claimed, None).await.map(drop),
        "heartbeat" => runs.heartbeat(&claimed, None).await.map(drop),
        "stop" => {
            let by_shutdown = StopReason::AgentPause;
            runs.stopping(&claimed, &by_shutdown).await.map(drop)
        }
        "finish" => runs.finish(&claimed, &partial(), &facts()).await.map(drop),
        "lapse" => {
            let other = house.neighbour().await;
            other.recover(&super::house::NoOrphans).await.map(drop)
        }
        other => panic!("no command {other}"),
    };
    let after = runs.get(claimed.run.id).await.unwrap();
    let is_untouched = before.run == after.run
        && before.run.version() == after.run.version()
        && before.outcome == after.outcome
        && events == house.event_count().await;
    match answer {
        Err(error) => {
            assert!(is_untouched, "{state} × {command} was refused and yet wrote");
            refusal(&error)
        }
        Ok(()) if is_untouched => "ignored".to_owned(),
        Ok(()) => {
            let outcome = after.outcome.map(|row| format!("({})", row.outcome.name()));
            after.run.state.word().to_owned() + &outcome.unwrap_or_default()
        }
    }
}

async fn every_state_of_a_run_meets_every_command(house: House) {
    house.agent("alice").await;
    let head = std::iter::once("").chain(RUN_COMMANDS).map(str::to_owned);
    let mut rows = vec![head.collect::<Vec<_>>()];
    for state in RUN_STATES {
        let mut row = vec![state.to_owned()];
        for command in RUN_COMMANDS {
            row.push(run_cell(&house, state, command).await);
        }
        rows.push(row);
    }
    check("services_runs.txt", &aligned(&rows));
}
