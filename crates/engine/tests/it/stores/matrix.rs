//! Every state of tasks and runs × every command, through the services: answers as in the golden file, and what is
//! ignored or rejected leaves every byte as it was.

use std::time::Duration;

use dormouse_engine::agent::AgentConfig;
use dormouse_engine::command::{CommandSpec, Effects};
use dormouse_engine::gate::{Caller, Gate, NewGate};
use dormouse_engine::outcome::{BlockReason, CancelledBy, ClockKind, Outcome};
use dormouse_engine::run::{ClaimOptions, Claimed, StopReason};
use dormouse_engine::task::{
    DelegationState, NewTask, OnFailed, Start, Steps, Task, TaskEdit, TaskState, Wait,
};
use dormouse_engine::{CommandError, GateId, PrefixedId, Subject};

use super::at_step::AtStep;
use super::gates::{approve, call_of, open};
use super::golden::{aligned, check};
use super::house::{House, NoOrphans, facts, failed, name, operator, partial, success};
use super::place::Place;

super::on_every_store! {
    every_state_of_a_task_meets_every_command;
    every_end_of_a_run_is_for_its_task_what_table_b_says;
    every_end_of_a_task_is_for_those_that_wait_what_the_table_says;
    every_state_of_a_delegation_meets_every_command;
}

super::on_every_store_of_one_process! {
    every_state_of_a_run_meets_every_command;
}

const STATES: [&str; 13] = [
    "pending_approval",
    "backlog",
    "ready",
    "ready, parked",
    "running",
    "waiting",
    "waiting for a gate",
    "waiting for tasks",
    "shelved, parked",
    "done",
    "failed",
    "quarantined",
    "cancelled",
];

const COMMANDS: [&str; 13] = [
    "approve", "refuse", "shelve", "enqueue", "claim", "park", "due", "finish", "cancel", "retry", "assign",
    "edit", "delete",
];

/// A new task, brought into the state, and the last run of it.
async fn task_in(house: &House, state: &str) -> (Task, Option<Claimed>) {
    let start = match state {
        "pending_approval" => Start::PendingApproval,
        "backlog" => Start::Backlog,
        _ => Start::Ready,
    };
    let after = match state {
        "waiting for tasks" => vec![house.task(NewTask::new(name("alice"), "first")).await.id],
        _ => Vec::new(),
    };
    let task = house
        .task(NewTask {
            start,
            after,
            ..NewTask::new(name("alice"), state)
        })
        .await;
    let tasks = &house.tenant.tasks;
    let claimed = match state {
        "running" => {
            let claimed = house.claim(&task).await;
            house.tenant.runs.started(&claimed, None).await.unwrap();
            Some(claimed)
        }
        "waiting" => Some(ended(house, &task, &failed(false)).await),
        "waiting for a gate" => Some(parked(house, &task).await.0),
        "ready, parked" => {
            let (claimed, gate) = parked(house, &task).await;
            approve(house, &gate).await;
            Some(claimed)
        }
        "shelved, parked" => {
            let (claimed, gate) = parked(house, &task).await;
            approve(house, &gate).await;
            tasks.shelve(&operator(), task.id).await.unwrap();
            Some(claimed)
        }
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
    let word = match state {
        "shelved, parked" => "backlog",
        state => state.split([' ', ',']).next().unwrap(),
    };
    assert_eq!(task.state.word(), word);
    // Past every delay, so that what waits for a time is due; not past any lease.
    house.clock.advance(60);
    (task, claimed)
}

/// Its run, which waits for this gate.
async fn parked(house: &House, task: &Task) -> (Claimed, Gate) {
    let claimed = house.claim(task).await;
    let runs = &house.tenant.runs;
    runs.started(&claimed, None).await.unwrap();
    let gate = asked(house, &claimed).await;
    runs.park(&claimed, gate.id, Duration::ZERO).await.unwrap();
    (claimed, gate)
}

async fn asked(house: &House, claimed: &Claimed) -> Gate {
    let run = &claimed.run;
    let new = NewGate {
        task: run.task,
        caller: Some(Caller {
            run: run.id,
            spawn: run.spawn,
        }),
        ..NewGate::approval(run.agent.clone(), call_of("{}"), "run it")
    };
    open(house, &new).await
}

async fn ended(house: &House, task: &Task, outcome: &Outcome) -> Claimed {
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
    gate: GateId,
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
        "assign" => tasks.assign(&by, task.id, &name("bob")).await.map(drop),
        "edit" => {
            let edit = TaskEdit {
                title: Some("another".to_owned()),
                ..TaskEdit::default()
            };
            tasks.edit(&by, task.id, &edit).await.map(drop)
        }
        "delete" => tasks.delete(&by, task.id).await,
        "park" => match claimed {
            Some(claimed) => {
                let park = house.tenant.runs.park(claimed, gate, Duration::ZERO);
                park.await.map(drop)
            }
            None => Ok(()),
        },
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

pub(super) fn refusal(error: &CommandError) -> String {
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
    house.agent("bob").await;
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
    if matches!(command, "finish" | "park") && claimed.is_none() {
        return "no run".to_owned();
    }
    let gate = match &claimed {
        Some(claimed) if (state, command) == ("running", "park") => asked(house, claimed).await.id,
        _ => GateId::make(task.created_at, &house.engine.environment().random),
    };
    let before = house.tenant.tasks.get(task.id).await.unwrap();
    let (bytes, run) = (bytes(house).await, run_of(house, claimed.as_ref()).await);
    let answer = obey(house, command, &task, claimed.as_ref(), gate).await;
    let is_untouched = bytes == self::bytes(house).await && run == run_of(house, claimed.as_ref()).await;
    let after = match house.tenant.tasks.get(task.id).await {
        Ok(after) => after,
        Err(CommandError::NotFound { .. }) => return "gone".to_owned(),
        Err(error) => panic!("{error}"),
    };
    match answer {
        Err(error) => {
            assert!(is_untouched, "{state} × {command} was refused and yet wrote");
            refusal(&error)
        }
        Ok(()) if is_untouched => {
            assert_eq!(before.version(), after.version());
            "ignored".to_owned()
        }
        Ok(()) if before.version() == after.version() => "· (run)".to_owned(),
        Ok(()) if before.state == after.state => "·".to_owned(),
        Ok(()) => word(&after.state),
    }
}

/// What the store holds: every byte where that is quickly read, else how many events there are.
pub(super) async fn bytes(house: &House) -> String {
    let events = house.event_count().await;
    match house.place() {
        Place::Memory(_) | Place::Sled(_) => {
            let mut all = events.to_string();
            for entry in house.entries().await {
                let value = String::from_utf8_lossy(&entry.value);
                all.push_str(&format!("{} {} {value}\n", entry.key, entry.version));
            }
            all
        }
        Place::Local(_) | Place::Postgres(_) | Place::Theirs(..) => events.to_string(),
    }
}

fn word(state: &TaskState) -> String {
    match state {
        TaskState::Waiting {
            on: Wait::Gate { .. },
        } => "waiting for a gate".to_owned(),
        TaskState::Waiting { on: Wait::Tasks } => "waiting for tasks".to_owned(),
        state => state.word().to_owned(),
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
            other.recover(&NoOrphans).await.map(drop)
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

fn cancelled(by: CancelledBy) -> Outcome {
    Outcome::Cancelled { by, reason: None }
}

/// Every outcome that a holder may report.
fn outcomes() -> Vec<(&'static str, Outcome)> {
    let timeout = Outcome::Timeout {
        clock: ClockKind::Wall,
        limit_ms: 1,
    };
    let blocked = Outcome::Blocked {
        reason: BlockReason::LoginWall,
        evidence: None,
    };
    vec![
        ("success", success()),
        ("partial", partial()),
        ("blocked", blocked),
        ("timeout", timeout),
        ("failed, permanent", failed(true)),
        ("failed", failed(false)),
        ("cancelled by principal", cancelled(CancelledBy::Principal)),
        ("cancelled by shutdown", cancelled(CancelledBy::Shutdown)),
        ("cancelled by agent pause", cancelled(CancelledBy::AgentPause)),
    ]
}

/// Why a run was being stopped when its holder vanished.
fn stops() -> Vec<(&'static str, Option<StopReason>)> {
    let cancel = StopReason::Cancel {
        by: operator(),
        reason: None,
    };
    let clock = StopReason::Clock {
        clock: ClockKind::Idle,
        limit_ms: 5,
    };
    vec![
        ("lapse", None),
        ("lapse, being cancelled", Some(cancel)),
        ("lapse, at its clock", Some(clock)),
        ("lapse, at shutdown", Some(StopReason::Shutdown)),
        ("lapse, at agent pause", Some(StopReason::AgentPause)),
    ]
}

const CHECKPOINTS: [&str; 3] = ["none", "safe", "side effect"];

/// A run at this checkpoint.
async fn run_at(house: &House, checkpoint: &str) -> (Task, Holder) {
    let command = CommandSpec {
        effects: match checkpoint {
            "safe" => Some(Effects::Repeatable),
            _ => Some(Effects::Opaque),
        },
        ..CommandSpec::new(vec!["true".to_owned()])
    };
    let new = NewTask {
        command: Some(command),
        ..NewTask::new(name("alice"), checkpoint)
    };
    let task = house.task(new).await;
    let claimed = house.claim(&task).await;
    let holder = match checkpoint {
        "none" => Holder::Claimed(Box::new(claimed)),
        "safe" => Holder::AtStep(AtStep::behind(house, claimed).await),
        _ => {
            house.tenant.runs.started(&claimed, None).await.unwrap();
            Holder::Claimed(Box::new(claimed))
        }
    };
    (task, holder)
}

/// Who holds a run.
enum Holder {
    Claimed(Box<Claimed>),
    AtStep(AtStep),
}

impl Holder {
    fn claimed(&self) -> &Claimed {
        match self {
            Self::Claimed(claimed) => claimed,
            Self::AtStep(at) => at.claimed(),
        }
    }
}

async fn became(house: &House, task: &Task) -> String {
    let task = house.tenant.tasks.get(task.id).await.unwrap();
    let outcome = match &task.state {
        TaskState::Done { outcome } | TaskState::Failed { outcome } => format!("({outcome})"),
        _ => String::new(),
    };
    let counted = |name: &str, count: u32| match count {
        0 => String::new(),
        count => format!(" {name}={count}"),
    };
    let word = task.state.word();
    let (failures, reclaims) = (
        counted("failures", task.failures),
        counted("reclaims", task.reclaims),
    );
    format!("{word}{outcome}{failures}{reclaims}")
}

async fn every_end_of_a_run_is_for_its_task_what_table_b_says(house: House) {
    house.agent("alice").await;
    let head = std::iter::once("").chain(CHECKPOINTS).map(str::to_owned);
    let mut rows = vec![head.collect::<Vec<_>>()];
    let runs = &house.tenant.runs;
    for (title, outcome) in outcomes() {
        let mut row = vec![title.to_owned()];
        for checkpoint in CHECKPOINTS {
            let (task, holder) = run_at(&house, checkpoint).await;
            runs.finish(holder.claimed(), &outcome, &facts()).await.unwrap();
            row.push(became(&house, &task).await);
        }
        rows.push(row);
    }
    for (title, stop) in stops() {
        let mut row = vec![title.to_owned()];
        for checkpoint in CHECKPOINTS {
            let (task, holder) = run_at(&house, checkpoint).await;
            if let Some(stop) = &stop {
                runs.stopping(holder.claimed(), stop).await.unwrap();
            }
            let next = house.successor().await;
            next.recover(&NoOrphans).await.unwrap();
            row.push(became(&house, &task).await);
        }
        rows.push(row);
    }
    check("services_ends.txt", &aligned(&rows));
}

async fn every_end_of_a_task_is_for_those_that_wait_what_the_table_says(house: House) {
    house.agent("alice").await;
    let mut rows = vec![vec![String::new()]];
    for (end, on_failed) in [("done", OnFailed::Fail), ("failed", OnFailed::Fail)]
        .into_iter()
        .chain([("failed", OnFailed::Run), ("failed", OnFailed::Cancel)])
    {
        rows[0].push(format!("{end}, {}", on_failed.word()));
    }
    for state in ["pending_approval", "backlog", "waiting", "cancelled"] {
        let mut row = vec![state.to_owned()];
        for (end, on_failed) in [
            (success(), OnFailed::Fail),
            (failed(true), OnFailed::Fail),
            (failed(true), OnFailed::Run),
            (failed(true), OnFailed::Cancel),
        ] {
            let first = house.task(NewTask::new(name("alice"), "first")).await;
            let new = NewTask {
                after: vec![first.id],
                on_failed,
                start: match state {
                    "pending_approval" => Start::PendingApproval,
                    "backlog" => Start::Backlog,
                    _ => Start::Ready,
                },
                ..NewTask::new(name("alice"), "second")
            };
            let second = house.task(new).await;
            if state == "cancelled" {
                let tasks = &house.tenant.tasks;
                tasks.cancel(&operator(), second.id, None).await.unwrap();
            }
            ended(&house, &first, &end).await;
            house.engine.settle_once().await.unwrap();
            let after = house.tenant.tasks.get(second.id).await.unwrap();
            assert!(after.open_dependencies.is_empty());
            row.push(became(&house, &second).await);
        }
        rows.push(row);
    }
    check("services_dependents.txt", &aligned(&rows));
}

const DELEGATION_COMMANDS: [&str; 4] = ["settle", "deliver", "consume", "abandon"];

/// A task that a run gave away, in this state, and the run.
async fn delegation_in(house: &House, state: DelegationState) -> (Task, Claimed) {
    let parent = house.task(NewTask::new(name("alice"), "parent")).await;
    let claimed = house.claim(&parent).await;
    let delegations = &house.tenant.delegations;
    let new = NewTask::new(name("bob"), "child");
    let given = delegations.delegate(&operator(), claimed.run.id, new).await;
    let child = given.unwrap().task;
    let (by, run) = (operator(), claimed.run.id);
    match state {
        DelegationState::Open => {}
        DelegationState::Settled => drop(ended(house, &child, &failed(true)).await),
        DelegationState::Delivered => {
            ended(house, &child, &failed(true)).await;
            assert!(delegations.deliver(child.id).await.unwrap());
        }
        DelegationState::Consumed => {
            ended(house, &child, &failed(true)).await;
            delegations.deliver(child.id).await.unwrap();
            delegations.consume(&by, run, child.id).await.unwrap();
        }
        DelegationState::Abandoned => drop(delegations.abandon(&by, child.id).await.unwrap()),
    }
    (child, claimed)
}

async fn delegation_cell(house: &House, state: DelegationState, command: &str) -> String {
    let (child, claimed) = delegation_in(house, state).await;
    let delegations = &house.tenant.delegations;
    let before = delegations.get(child.id).await.unwrap();
    let bytes = bytes(house).await;
    let answer = match command {
        "settle" => {
            let child = house.tenant.tasks.get(child.id).await.unwrap().into_inner();
            if child.state.has_ended() {
                // It ends again where it is tried again.
                let again = house.tenant.tasks.retry(&operator(), child.id, Steps::Kept).await;
                assert_eq!(again.unwrap().state, TaskState::Ready);
            }
            ended(house, &child, &failed(true)).await;
            Ok(())
        }
        "deliver" => delegations.deliver(child.id).await.map(drop),
        "consume" => {
            let by = operator();
            let consume = delegations.consume(&by, claimed.run.id, child.id);
            consume.await.map(drop)
        }
        "abandon" => delegations.abandon(&operator(), child.id).await.map(drop),
        other => panic!("no command {other}"),
    };
    let after = delegations.get(child.id).await.unwrap();
    match answer {
        Err(error) => {
            assert_eq!(bytes, self::bytes(house).await, "{state:?} × {command}");
            refusal(&error)
        }
        Ok(()) if bytes == self::bytes(house).await => "ignored".to_owned(),
        Ok(()) if before.version() == after.version() => "ignored".to_owned(),
        Ok(()) => after.state.word().to_owned(),
    }
}

async fn every_state_of_a_delegation_meets_every_command(house: House) {
    let config = AgentConfig {
        delegates_to: vec![name("bob")],
        ..AgentConfig::default()
    };
    let agents = &house.tenant.agents;
    agents.create(&operator(), &name("alice"), config).await.unwrap();
    house.agent("bob").await;
    let head = std::iter::once("").chain(DELEGATION_COMMANDS).map(str::to_owned);
    let mut rows = vec![head.collect::<Vec<_>>()];
    for state in DelegationState::ALL {
        let mut row = vec![state.word().to_owned()];
        for command in DELEGATION_COMMANDS {
            row.push(delegation_cell(&house, state, command).await);
        }
        rows.push(row);
    }
    check("services_delegations.txt", &aligned(&rows));
}
